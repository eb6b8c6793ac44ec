"""Models with oddities that users' models have had: served rightly, or refused in clear words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ml_pipeline.errors import InvalidInput, ModelLoadError
from tests import models
from tests.backend.serving import Asked
from tests.conftest import LoadModel, Serve, WriteModel
from tests.models import Array, graph, node, tensor

ONES = np.ones((2, 3), np.float32)


def cache_model() -> bytes:
    """A language model's memory: what is past, then what is new."""
    return graph(
        [node("Concat", ["past", "new"], ["present"], axis=2)],
        [
            tensor("past", "float32", ["b", 2, "past", 4]),
            tensor("new", "float32", ["b", 2, "seq", 4]),
        ],
        [tensor("present", "float32", ["b", 2, "total", 4])],
    )


def detector_model() -> bytes:
    """Values above a half, and their places: as many as there are."""
    return graph(
        [
            node("Reshape", ["image", "flat"], ["values"]),
            node("Greater", ["values", "half"], ["keep"]),
            node("Compress", ["values", "keep"], ["scores"], axis=0),
            node("NonZero", ["keep"], ["places"]),
            node("Squeeze", ["places", "zero"], ["labels"]),
        ],
        [tensor("image", "float32", [1, 3, 2, 2])],
        [tensor("labels", "int64", ["n"]), tensor("scores", "float32", ["n"])],
        flat=np.array([-1], np.int64),
        half=np.array(0.5, np.float32),
        zero=np.array([0], np.int64),
    )


def time_major_model() -> bytes:
    """The sum over time, which comes first."""
    return graph(
        [node("ReduceSum", ["x", "zero"], ["y"], keepdims=0)],
        [tensor("x", "float32", ["seq", "batch", 3])],
        [tensor("y", "float32", ["batch", 3])],
        zero=np.array([0], np.int64),
    )


def oddly_named_model() -> bytes:
    """`y = x * 2`, called as TensorFlow does, and worse."""
    return graph(
        [node("Mul", ["serving_default/x:0", "two"], ['out put.é"1'])],
        [tensor("serving_default/x:0", "float32", [None, 3])],
        [tensor('out put.é"1', "float32", [None, 3])],
        two=np.array(2, np.float32),
    )


def unshaped_output_model() -> bytes:
    """Label and probabilities, of which the file tells no shape."""
    return graph(
        [
            node("Softmax", ["x"], ["probabilities"]),
            node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("label", "int64", None), tensor("probabilities", "float32", None)],
    )


def either_rank_model() -> bytes:
    """The rows, or their sum where none is above 0."""
    rows = helper.make_graph(
        [node("Identity", ["x"], ["a"])], "t", [], [tensor("a", "float32", None)]
    )
    total = helper.make_graph(
        [node("ReduceSum", ["x"], ["b"], keepdims=0)], "e", [], [tensor("b", "float32", None)]
    )
    return graph(
        [
            node("ReduceMax", ["x"], ["most"], keepdims=0),
            node("Greater", ["most", "zero"], ["above"]),
            node("If", ["above"], ["y"], then_branch=rows, else_branch=total),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", None)],
        zero=np.array(0, np.float32),
    )


def old_model() -> bytes:
    """Of the third version of the format, in which weights are inputs as well."""
    model = onnx.load_from_string(models.scale_model())
    model.graph.input.append(tensor("factor", "float32", []))
    model.ir_version = 3
    return bytes(model.SerializeToString())


def function_model() -> bytes:
    """`y = x + x` by a function of its own, as PyTorch writes them."""
    twice = helper.make_function(
        "pkg.torch", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    made = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="pkg.torch")],
        "test",
        [tensor("x", "float32", ["s0", 3])],
        [tensor("y", "float32", ["s0", 3])],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("pkg.torch", 1)]
    model = helper.make_model(made, opset_imports=imports, functions=[twice], ir_version=10)
    return bytes(model.SerializeToString())


Make = Callable[[], bytes]
SERVED: dict[str, tuple[Make, list[dict[str, Array]]]] = {
    "no input": (models.constant_model, [{}]),
    "scalar": (lambda: models.scale_model(shape=()), [{"x": np.array(3, np.float32)}]),
    "any rank": (
        lambda: models.scale_model(shape=None),
        [{"x": x} for x in (np.array(3, np.float32), ONES, ONES[:0], ONES[None, :, :, None])],
    ),
    "a size of 0": (lambda: models.scale_model(shape=(None, 0)), [{"x": ONES[:, :0]}]),
    "an empty memory of one size": (
        lambda: models.scale_model(shape=(1, 2, 0, 4)),
        [{"x": np.zeros((1, 2, 0, 4), np.float32)}],
    ),
    "first size of 0": (lambda: models.scale_model(shape=(0, 3)), [{"x": ONES[:0]}]),
    "no rows": (models.scale_model, [{"x": ONES[:0]}]),
    "no columns": (models.width_free_model, [{"x": ONES[:, :0]}, {"x": ONES[:0, :0]}]),
    "empty memory": (
        cache_model,
        [
            {
                "past": np.zeros((rows, 2, past, 4), np.float32),
                "new": np.ones((rows, 2, 3, 4), np.float32),
            }
            for rows in (1, 2)
            for past in (0, 2)
        ],
    ),
    "detector": (
        detector_model,
        [{"image": np.full((1, 3, 2, 2), value, np.float32)} for value in (0, 1)],
    ),
    "time first": (time_major_model, [{"x": np.ones((4, 2, 3), np.float32)}]),
    "odd names": (oddly_named_model, [{"serving_default/x:0": ONES}]),
    "outputs without a shape": (unshaped_output_model, [{"x": ONES}]),
    "either rank": (either_rank_model, [{"x": ONES}, {"x": -ONES}]),
    "weights as inputs": (old_model, [{"x": ONES}]),
    "function": (function_model, [{"x": ONES}]),
    "no words": (models.words_model, [{"words": np.empty((0, 2), object)}]),
    "two without rows": (models.two_input_model, [{"left": ONES[:0, :2], "right": ONES[:0, :2]}]),
}  # fmt: skip


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize(("make", "requests"), SERVED.values(), ids=SERVED)
async def test_odd_model_answers_as_onnx_runtime_does(
    make: Make,
    requests: list[dict[str, Array]],
    binary: bool,
    write_model: WriteModel,
    serve: Serve,
) -> None:
    """Alone with its request, in every value and shape."""
    asked = Asked(await serve(write_model(make())))
    for inputs in requests:
        found = await asked.infer(inputs, binary=binary)

        for one, other in zip(found, models.reference(make(), inputs), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def echo_model(kind: int) -> bytes:
    """Give back what it is given, of a type that numpy lacks."""
    value = helper.make_tensor_value_info
    return graph(
        [node("Identity", ["x"], ["y"])], [value("x", kind, [None])], [value("y", kind, [None])]
    )


def foreign_model() -> bytes:
    """With an operator of a library that is not there."""
    made = helper.make_graph(
        [helper.make_node("StringUpper", ["x"], ["y"], domain="ai.onnx.contrib")],
        "test",
        [tensor("x", "str", [None])],
        [tensor("y", "str", [None])],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.contrib", 1)]
    return bytes(helper.make_model(made, opset_imports=imports).SerializeToString())


def newer_model(*, opset: int = 21, ir_version: int = 10) -> bytes:
    """As a later ONNX may write it."""
    model = onnx.load_from_string(models.scale_model())
    model.opset_import[0].version = opset
    model.ir_version = ir_version
    return bytes(model.SerializeToString())


REFUSED: dict[str, tuple[Make, str]] = {
    "float8": (lambda: echo_model(TensorProto.FLOAT8E4M3FN), r"x: .* found tensor\(float8e4m3fn\)"),
    "int4": (lambda: echo_model(TensorProto.INT4), "Could not find an implementation"),
    "complex": (lambda: echo_model(TensorProto.COMPLEX64), r"tensor\(complex64\) is not"),
    "sequence": (models.sequence_model, r"parts: .* found seq\(tensor\(float\)\)"),
    "maybe nothing": (models.optional_output_model, r"found: .* found optional\(tensor\(float\)\)"),
    "foreign operator": (
        foreign_model,
        "StringUpper.* is not a registered .*; set CUSTOM_OPS=onnxruntime-extensions$",
    ),
    "newer opset": (lambda: newer_model(opset=99), "Opset 99 is under development"),
    "newer format": (lambda: newer_model(ir_version=99), "IR version: 99, max supported"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_refused_when_it_is_loaded(
    make: Make, words: str, write_model: WriteModel, load: LoadModel
) -> None:
    """In words that name what is the matter."""
    path = write_model(make())

    with pytest.raises(ModelLoadError, match=words):
        load(path)


# The same models at `POST /predict`.


@pytest.mark.parametrize(
    ("make", "data", "words"),
    [
        (
            models.constant_model,
            [[1.0]],
            r"one input, found 0 in model; use /v2/models/model/infer",
        ),
        (lambda: models.scale_model(shape=None), [[1.0]], r"tells its input's shape; use /v2/"),
        (models.scale_model, [], "at least 1 row, found 0"),
        (lambda: models.scale_model(shape=(0, 3)), [[1.0] * 3], "expected 0 rows, found 1"),
    ],
    ids=["no input", "any rank", "no rows", "first size of 0"],
)
async def test_predict_says_what_it_cannot_ask(
    make: Make, data: Any, words: str, write_model: WriteModel, serve: Serve
) -> None:
    """And where it can be asked, if anywhere."""
    served = await serve(write_model(make()))

    with pytest.raises(InvalidInput, match=words):
        await served.ask(data)


async def test_predict_takes_a_number_for_a_scalar(write_model: WriteModel, serve: Serve) -> None:
    """As the file says that it is one."""
    reply = await (await serve(write_model(models.scale_model(shape=())))).ask(1.5)

    assert reply.predictions.tolist() == 3.0


async def test_metadata_may_tell_the_shape_that_a_file_does_not(
    write_model: WriteModel, serve: Serve
) -> None:
    """Then rows can be asked for at `POST /predict` too."""
    path = write_model(models.scale_model(shape=None), input_shape=[None, 3])

    reply = await (await serve(path)).ask(ONES.tolist())

    assert reply.predictions.tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize("shape", [(), None, (0, 3), (2, 3)], ids=str)
async def test_what_has_no_free_rows_is_never_run_with_others(
    shape: Any, write_model: WriteModel, load: LoadModel
) -> None:
    """A first size that is fixed, even to 0, or not known."""
    model = load(write_model(models.scale_model(shape=shape)))

    assert model.batching_reason == "an input has no free first dimension"
