"""Tiny ONNX models, as the bytes of their files: by hand with onnx.helper, or by skl2onnx.

Every model is made from seeded numbers, so that two calls give the same file. What a model should
answer is asked of ONNX Runtime itself (`reference`), never computed a second time here.
Letters for shapes: `B` rows, `F` features, `C` classes; None is any size.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

Array = npt.NDArray[Any]
Shape = Sequence[int | str | None] | None

OPSETS = {"": 21, "ai.onnx.ml": 3}
IR_VERSION = 10  # pinned with the opsets: a newer onnx must not ask for a newer ONNX Runtime

ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
    "str": TensorProto.STRING,
}


def reference(model: bytes | Path, inputs: dict[str, Array]) -> list[Any]:
    """Answers of a plain `InferenceSession`, alone with these rows."""
    return list(ort.InferenceSession(model).run(None, inputs))


def tensor(name: str, dtype: str, shape: Shape) -> onnx.ValueInfoProto:
    """Describe an input or output of a graph."""
    kind = TensorProto.BFLOAT16 if dtype == "bfloat16" else ONNX_TYPES[dtype]
    return helper.make_tensor_value_info(name, kind, shape)


def node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
) -> NodeProto:
    """Make one node; operators of scikit-learn's kind are found in their own domain."""
    domain = "ai.onnx.ml" if operator == "LabelEncoder" else ""
    return helper.make_node(operator, inputs, outputs, domain=domain, **attributes)


def graph(
    nodes: Sequence[Any],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    **constants: Array,
) -> bytes:
    """Make the file of a graph; `constants` are its weights by name."""
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "test", inputs, outputs, weights),
        opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS.items()],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())


# Row by row: what a batcher may put together.


def scale_model(factor: float = 2.0, *, shape: Shape = (None, 3)) -> bytes:
    """`y = x * factor`, float32 of any shape."""
    return graph(
        [node("Mul", ["x", "factor"], ["y"])],
        [tensor("x", "float32", shape)],
        [tensor("y", "float32", shape)],
        factor=np.array(factor, np.float32),
    )


def cast_model(dtype: str) -> bytes:
    """`y = float32(x)`, with rows `[B, 3]` of any type of number."""
    return graph(
        [node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        [tensor("x", dtype, [None, 3])],
        [tensor("y", "float32", [None, 3])],
    )


def words_model() -> bytes:
    """Code of each word, int64 `[B, 2]`: "a" 0, "b" 1, "c" 2, any other -1."""
    return graph(
        [
            node(
                "LabelEncoder",
                ["words"],
                ["codes"],
                keys_strings=["a", "b", "c"],
                values_int64s=[0, 1, 2],
                default_int64=-1,
            )
        ],
        [tensor("words", "str", [None, 2])],
        [tensor("codes", "int64", [None, 2])],
    )


def probabilities_model(num_features: int = 4, num_classes: int = 3) -> bytes:
    """Softmax of a linear map: a lone `[B, C]` output."""
    return graph(
        [node("MatMul", ["x", "weights"], ["z"]), node("Softmax", ["z"], ["probabilities"])],
        [tensor("x", "float32", [None, num_features])],
        [tensor("probabilities", "float32", [None, num_classes])],
        weights=_weights(num_features, num_classes),
    )


def labelled_model(labels: Sequence[int] = (0, 1, 2), *, num_features: int = 4) -> bytes:
    """A classifier that names each row's likeliest class by `labels`, and gives an embedding too.

    Outputs: label int64 `[B]`, probabilities `[B, C]`, embedding `[B, 8]`.
    """
    num_classes = len(labels)
    return graph(
        [
            node("MatMul", ["x", "weights"], ["z"]),
            node("Softmax", ["z"], ["probabilities"]),
            node("ArgMax", ["z"], ["position"], axis=1, keepdims=0),
            node("Gather", ["labels", "position"], ["label"]),
            node("MatMul", ["x", "directions"], ["embedding"]),
        ],
        [tensor("x", "float32", [None, num_features])],
        [
            tensor("label", "int64", [None]),
            tensor("probabilities", "float32", [None, num_classes]),
            tensor("embedding", "float32", [None, 8]),
        ],
        weights=_weights(num_features, num_classes),
        directions=_weights(num_features, 8),
        labels=np.array(labels, np.int64),
    )


def nearest_model(centres: Sequence[Sequence[float]] = ((0, 0), (900, 0), (0, 9))) -> bytes:
    """Place of the nearest of some points, int64 `[B]`, and the distances of all, float32 `[B, C]`.

    As KMeans is converted: the least of the squares is the label, their roots are given.
    """
    return graph(
        [
            node("Unsqueeze", ["x", "one"], ["apart"]),
            node("Sub", ["apart", "centres"], ["differences"]),
            node("ReduceSumSquare", ["differences", "two"], ["squares"], keepdims=0),
            node("ArgMin", ["squares"], ["label"], axis=1, keepdims=0),
            node("Sqrt", ["squares"], ["distances"]),
        ],
        [tensor("x", "float32", [None, len(centres[0])])],
        [tensor("label", "int64", [None]), tensor("distances", "float32", [None, len(centres)])],
        centres=np.array(centres, np.float32),
        one=np.array([1], np.int64),
        two=np.array([2], np.int64),
    )


def pairs_model(num_classes: int = 4, *, num_features: int = 4) -> bytes:
    """A support vector machine: label int64 `[B]`, a score for each pair of classes `[B, 6]`.

    The file says that there are as many scores as classes, as converters write it.
    """
    vectors = _weights(num_classes, num_features)
    machine = helper.make_node(
        "SVMClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_ints=list(range(num_classes)),
        coefficients=[1.0] * (num_classes * (num_classes - 1)),
        kernel_params=[1.0, 0.0, 3.0],
        kernel_type="LINEAR",
        rho=[0.0] * (num_classes * (num_classes - 1) // 2),
        support_vectors=vectors.ravel().tolist(),
        vectors_per_class=[1] * num_classes,
    )
    return graph(
        [machine],
        [tensor("x", "float32", [None, num_features])],
        [
            tensor("label", "int64", [None]),
            tensor("probabilities", "float32", [None, num_classes]),
        ],
    )


def found_model() -> bytes:
    """Boxes `[n, 4]` and labels `[n]`, n as many as pixels of `[1, 4]` are above a half."""
    return graph(
        [
            node("Greater", ["image", "half"], ["bright"]),
            node("NonZero", ["bright"], ["where"]),
            node("Gather", ["where", "last"], ["labels"], axis=0),
            node("Cast", ["labels"], ["places"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["places", "one"], ["column"]),
            node("Mul", ["column", "corners"], ["boxes"]),
        ],
        [tensor("image", "float32", [1, 4])],
        [tensor("boxes", "float32", ["n", 4]), tensor("labels", "int64", ["n"])],
        half=np.array(0.5, np.float32),
        last=np.array(1, np.int64),
        one=np.array([1], np.int64),
        corners=np.array([1, 2, 300, 400], np.float32),
    )


def network_model(width: int = 256, depth: int = 2, *, num_features: int = 16) -> bytes:
    """A multilayer perceptron, float32 `[B, F]` → `[B, 4]`: a run costs by the row."""
    names = ["x", *(f"hidden{layer}" for layer in range(depth)), "y"]
    sizes = [num_features, *[width] * depth, 4]
    nodes, constants = [], {}
    for layer, (source, target) in enumerate(pairwise(names)):
        constants[f"weights{layer}"] = _weights(sizes[layer], sizes[layer + 1])
        nodes.append(node("MatMul", [source, f"weights{layer}"], [f"z{layer}"]))
        nodes.append(node("Tanh", [f"z{layer}"], [target]))
    return graph(
        nodes,
        [tensor("x", "float32", [None, num_features])],
        [tensor("y", "float32", [None, 4])],
        **constants,
    )


def loop_model(factor: float = 2.0, *, width: int = 48) -> bytes:
    """`y = x * factor`, int64 `[B, 1]`, after as many matrix products as the largest `x` says.

    A row of 5,000 keeps a core busy for tens of milliseconds; trial rows, which are small, do not.
    """
    body = helper.make_graph(
        [
            node("Identity", ["going_in"], ["going"]),
            node("MatMul", ["state_in", "turn"], ["state"]),
        ],
        "body",
        [
            tensor("step", "int64", []),
            tensor("going_in", "bool", []),
            tensor("state_in", "float32", [width, width]),
        ],
        [tensor("going", "bool", []), tensor("state", "float32", [width, width])],
    )
    identity = np.eye(width, dtype=np.float32)
    return graph(
        [
            node("ReduceMax", ["x"], ["num_steps"], keepdims=0),
            node("Loop", ["num_steps", "", "start"], ["end"], body=body),
            node("Slice", ["end", "zero", "one", "zero"], ["corner_row"]),
            node("ReduceMax", ["corner_row"], ["corner"], keepdims=0),
            node("Cast", ["x"], ["values"], to=TensorProto.FLOAT),
            node("Mul", ["values", "corner"], ["kept"]),
            node("Mul", ["kept", "factor"], ["y"]),
        ],
        [tensor("x", "int64", [None, 1])],
        [tensor("y", "float32", [None, 1])],
        start=identity,
        turn=identity,
        zero=np.array([0], np.int64),
        one=np.array([1], np.int64),
        factor=np.array(factor, np.float32),
    )


def width_free_model() -> bytes:
    """Sum of each row, `[B]`, with both sizes of `[None, None]` free."""
    return graph(
        [node("ReduceSum", ["x", "axis"], ["total"], keepdims=0)],
        [tensor("x", "float32", ["rows", "width"])],
        [tensor("total", "float32", ["rows"])],
        axis=np.array([1], np.int64),
    )


def two_input_model(*, right_shape: Shape = (None, 2)) -> bytes:
    """`sum = left + right`, two inputs."""
    return graph(
        [node("Add", ["left", "right"], ["sum"])],
        [tensor("left", "float32", [None, 2]), tensor("right", "float32", right_shape)],
        [tensor("sum", "float32", [None, 2])],
    )


def lookup_model(first: int = 100, num_entries: int = 3) -> bytes:
    """`y = 10 * x` for x from `first` on, int64 `[B, 1]`; the run fails for any other.

    Rows that are drawn without knowing this do not fit.
    """
    return graph(
        [node("Sub", ["x", "first"], ["index"]), node("Gather", ["table", "index"], ["y"])],
        [tensor("x", "int64", [None, 1])],
        [tensor("y", "int64", [None, 1])],
        first=np.array(first, np.int64),
        table=10 * np.arange(first, first + num_entries, dtype=np.int64),
    )


# What must be run alone, or not served at all.


def constant_model() -> bytes:
    """Always [1, 2, 3], float32: it takes nothing."""
    value = numpy_helper.from_array(np.array([1, 2, 3], np.float32))
    return graph([node("Constant", [], ["y"], value=value)], [], [tensor("y", "float32", [3])])


def mean_model() -> bytes:
    """`y = x - mean over the rows`: rows of one run change each other."""
    return graph(
        [
            node("ReduceMean", ["x", "axis"], ["mean"], keepdims=1),
            node("Sub", ["x", "mean"], ["y"]),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", [None, 3])],
        axis=np.array([0], np.int64),
    )


def column_sum_model() -> bytes:
    """Sum of each column, `[3]`: the rows are gone from the output."""
    return graph(
        [node("ReduceSum", ["x", "axis"], ["totals"], keepdims=0)],
        [tensor("x", "float32", [None, 3])],
        [tensor("totals", "float32", [3])],
        axis=np.array([0], np.int64),
    )


HUGE = 1e30
"""What no trial draws, and no check expects."""


def minding_model(threshold: float = HUGE) -> bytes:
    """`y = 2 x`, float32 `[B, 3]`; `3 x` in a run whose largest value exceeds the threshold.

    Rows depend on their neighbours, and no trial finds it.
    """
    return graph(
        [
            node("ReduceMax", ["x"], ["largest"], keepdims=0),
            node("Greater", ["largest", "threshold"], ["minds"]),
            node("Where", ["minds", "three", "two"], ["factor"]),
            node("Mul", ["x", "factor"], ["y"]),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", [None, 3])],
        threshold=np.array(threshold, np.float32),
        two=np.array(2, np.float32),
        three=np.array(3, np.float32),
    )


def random_model(operator: str = "RandomNormalLike") -> bytes:
    """Another answer each time, float32 `[B, 3]`."""
    zeros = [node("Sub", ["x", "x"], ["zeros"]), node("Sigmoid", ["zeros"], ["halves"])]
    outputs = "int32" if operator == "Multinomial" else "float32"
    return graph(
        [*zeros, node(operator, ["halves"], ["y"])],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", outputs, [None, 1 if operator == "Multinomial" else 3])],
    )


def optional_output_model() -> bytes:
    """Gives a tensor, or nothing, as an optional type says."""
    tensor_type = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 3])
    output = helper.make_value_info("found", helper.make_optional_type_proto(tensor_type))
    return graph(
        [node("Optional", ["x"], ["found"])], [tensor("x", "float32", [None, 3])], [output]
    )


def sequence_model() -> bytes:
    """A sequence of tensors, which no answer has room for."""
    return graph(
        [node("SequenceConstruct", ["x"], ["parts"])],
        [tensor("x", "float32", [None, 3])],
        [helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, [None, 3])],
    )


def save_with_external_weights(path: Path, factor: float) -> None:
    """Write `y = x * [factor] * 3` with its weights in a second file, `NAME.weights`."""
    model = onnx.load_from_string(
        graph(
            [node("Mul", ["x", "factors"], ["y"])],
            [tensor("x", "float32", [None, 3])],
            [tensor("y", "float32", [None, 3])],
            factors=np.full(3, factor, np.float32),
        )
    )
    weights = path.with_suffix(".weights")
    weights.unlink(missing_ok=True)  # onnx would append
    onnx.save_model(
        model, path, save_as_external_data=True, location=weights.name, size_threshold=0
    )


def externally_weighted_model(location: str) -> bytes:
    """`y = x * weights`, float32 `[B, 3]`, with the weights' 12 bytes in a file of that name."""
    weights = onnx.TensorProto(
        name="weights", data_type=TensorProto.FLOAT, dims=[3],
        data_location=onnx.TensorProto.EXTERNAL,
    )  # fmt: skip
    weights.external_data.add(key="location", value=location)
    made = helper.make_graph(
        [node("Mul", ["x", "weights"], ["y"])],
        "test",
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", [None, 3])],
        [weights],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 21)], ir_version=IR_VERSION
    )
    return bytes(model.SerializeToString())


def save_in_ort_format(path: Path, model: bytes) -> None:
    """Write a model as ONNX Runtime's own format, `.ort`."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(model, options)


# As scikit-learn and skl2onnx make them: trained once a session, 0.2 s each.


@cache
def sklearn_classifier(
    labels: Sequence[int | str] = (0, 1, 2), *, num_features: int = 4, zipmap: bool = True
) -> bytes:
    """A logistic regression, converted with everything default unless `zipmap` is False."""
    rows, classes = _blobs(labels, num_features)
    model = LogisticRegression().fit(rows, classes)
    options = None if zipmap else {id(model): {"zipmap": False}}
    return _converted(model, "float_input", FloatTensorType([None, num_features]), options)


@cache
def sklearn_integer_classifier(*, num_features: int = 4) -> bytes:
    """A logistic regression over int64 features, with ZipMap."""
    rows, classes = _blobs((0, 1, 2), num_features)
    model = LogisticRegression().fit(rows.round(), classes)
    return _converted(model, "int_input", Int64TensorType([None, num_features]))


@cache
def sklearn_regressor(
    num_targets: int = 1, *, num_features: int = 4, dtype: str = "float32"
) -> bytes:
    """A linear regression: `[B, num_targets]`, in float32 or float64."""
    random = np.random.default_rng(num_targets)
    rows = random.standard_normal((40, num_features))
    targets = rows @ random.standard_normal((num_features, num_targets)) + 1.0
    model = LinearRegression().fit(rows, targets[:, 0] if num_targets == 1 else targets)
    kind = DoubleTensorType if dtype == "float64" else FloatTensorType
    return _converted(model, "input", kind([None, num_features]))


@cache
def sklearn_words() -> bytes:
    """A one-hot encoding of two columns of words."""
    model = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    model.fit(np.array([["a", "x"], ["b", "y"], ["c", "x"]], dtype=object))
    return _converted(model, "words", StringTensorType([None, 2]))


def sklearn_word_classifier() -> bytes:
    """A pipeline of words alone: two columns of them in, a word as the label of each row out."""
    rows = np.array([["a", "x"], ["b", "y"], ["c", "x"], ["a", "y"]], dtype=object)
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    pipeline = make_pipeline(encode, LogisticRegression()).fit(rows, ["no", "yes", "no", "yes"])
    options = {LogisticRegression: {"zipmap": False}}
    return _converted(pipeline, "words", StringTensorType([None, 2]), options)


def _converted(model: Any, name: str, kind: Any, options: Any = None) -> bytes:
    converted = convert_sklearn(model, "test", [(name, kind)], target_opset=OPSETS, options=options)
    return bytes(converted.SerializeToString())


def _blobs(labels: Sequence[int | str], num_features: int) -> tuple[Array, Array]:
    """One cloud of rows for each label."""
    random = np.random.default_rng(len(labels))
    centres = 3.0 * random.standard_normal((len(labels), num_features))
    rows = np.concatenate([random.normal(centre, 1.0, (20, num_features)) for centre in centres])
    return rows, np.repeat(np.array(labels), 20)


def _weights(num_rows: int, num_columns: int) -> Array:
    """Seeded weights of a size that keeps a layer's outputs near 1."""
    random = np.random.default_rng(num_rows * 1000 + num_columns)
    weights: Array = random.standard_normal((num_rows, num_columns)) / np.sqrt(num_rows)
    return weights.astype(np.float32)
