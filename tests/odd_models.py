"""Tiny ONNX models of one oddity each, as users have had them; made as in `tests/models.py`.

`N` rows, `T` steps of a sequence, `F` features.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.models import Array, graph, node, tensor


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


def _random(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


# Rows that stay apart.


def bert_model() -> bytes:
    """Attention over words, a mask and two types of token, each int64 `[N, T]`; gives `[N, 2]`.

    The tables have 30 words, 64 positions and 2 types.
    """
    width = 8
    nodes = [
        node("Gather", ["words", "input_ids"], ["word"]),
        node("Gather", ["types", "token_type_ids"], ["type"]),
        node("Shape", ["input_ids"], ["sizes"]),
        node("Gather", ["sizes", "one"], ["steps"]),
        node("Range", ["zero", "steps", "one"], ["places"]),
        node("Gather", ["positions", "places"], ["position"]),
        node("Add", ["word", "type"], ["meant"]),
        node("Add", ["meant", "position"], ["placed"]),
        node("LayerNormalization", ["placed", "scale", "bias"], ["x"]),
        node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        node("MatMul", ["x", "turned"], ["near"]),
        node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["seen", "axis"], ["wide"]),
        node("Sub", ["one_float", "wide"], ["unseen"]),
        node("Mul", ["unseen", "never"], ["penalty"]),
        node("Add", ["near", "penalty"], ["scores"]),
        node("Softmax", ["scores"], ["attention"]),
        node("MatMul", ["attention", "x"], ["heard"]),
        node("ReduceMean", ["heard", "axis"], ["sentence"], keepdims=0),
        node("MatMul", ["sentence", "head"], ["logits"]),
    ]
    names = ["input_ids", "attention_mask", "token_type_ids"]
    return graph(
        nodes,
        [tensor(name, "int64", ["batch", "sequence"]) for name in names],
        [tensor("logits", "float32", ["batch", 2])],
        words=_random(30, width),
        types=_random(2, width),
        positions=_random(64, width),
        scale=np.ones(width, np.float32),
        bias=np.zeros(width, np.float32),
        head=_random(width, 2),
        zero=np.array(0, np.int64),
        one=np.array(1, np.int64),
        one_float=np.array(1, np.float32),
        never=np.array(-10_000, np.float32),
        axis=_ints(1),
    )


def centred_model(*, over_rows: bool = False) -> bytes:
    """Float32 `[N, T, 2]` less its mean over time, which leaves zeros of one step.

    Args:
        over_rows: Whether the mean over the rows is taken off as well.
    """
    nodes = [
        node("ReduceMean", ["x", "time"], ["mean"]),
        node("Sub", ["x", "mean"], ["centred" if over_rows else "y"]),
    ]
    if over_rows:
        nodes += [
            node("ReduceMean", ["centred", "rows"], ["middle"]),
            node("Sub", ["centred", "middle"], ["y"]),
        ]
    shape: list[int | str | None] = ["rows", "time", 2]
    return graph(
        nodes,
        [tensor("x", "float32", shape)],
        [tensor("y", "float32", shape)],
        time=_ints(1),
        **({"rows": _ints(0)} if over_rows else {}),
    )


# Rows that change each other.


def largest_model() -> bytes:
    """Float32 `[N, 4]`, divided by 255 if the largest number of the whole input is above 1."""
    shapeless = helper.make_tensor_value_info
    branches = {
        f"{name}_branch": helper.make_graph(
            [made], name, [], [shapeless(made.output[0], TensorProto.FLOAT, None)]
        )
        for name, made in (
            ("then", node("Div", ["x", "most"], ["divided"])),
            ("else", node("Identity", ["x"], ["same"])),
        )
    }
    return graph(
        [
            node("ReduceMax", ["x"], ["largest"], keepdims=0),
            node("Greater", ["largest", "one"], ["above"]),
            node("If", ["above"], ["y"], **branches),
        ],
        [tensor("x", "float32", [None, 4])],
        [tensor("y", "float32", [None, 4])],
        one=np.array(1, np.float32),
        most=np.array(255, np.float32),
    )


def lagged_model(lag: int = 8) -> bytes:
    """`y[t] = x[t] + x[t - lag]` over the first axis, which is time: a dilated convolution."""
    kernel = np.zeros((2, 2, 2), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1
    return graph(
        [
            node("Transpose", ["x"], ["turned"], perm=[1, 0]),
            node("Unsqueeze", ["turned", "axis"], ["wide"]),
            node("Conv", ["wide", "kernel"], ["heard"], dilations=[lag], pads=[lag, 0]),
            node("Squeeze", ["heard", "axis"], ["narrow"]),
            node("Transpose", ["narrow"], ["y"], perm=[1, 0]),
        ],
        [tensor("x", "float32", ["time", 2])],
        [tensor("y", "float32", ["time", 2])],
        axis=_ints(0),
        kernel=kernel,
    )


def traced_model(num_rows: int = 8) -> bytes:
    """`y = x` for the first rows, zeros behind them: as many as an exporter has seen."""
    return graph(
        [
            node("Shape", ["x"], ["sizes"]),
            node("Gather", ["sizes", "zero"], ["count"]),
            node("Range", ["zero", "count", "one"], ["numbers"]),
            node("Less", ["numbers", "seen"], ["known"]),
            node("Cast", ["known"], ["mask"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["mask", "axis"], ["column"]),
            node("Mul", ["x", "column"], ["y"]),
        ],
        [tensor("x", "float32", [None, 4])],
        [tensor("y", "float32", [None, 4])],
        zero=np.array(0, np.int64),
        one=np.array(1, np.int64),
        seen=np.array(num_rows, np.int64),
        axis=_ints(1),
    )


def cut_model(num_rows: int = 1000) -> bytes:
    """`y = x` of the first rows alone: a slice with a fixed end."""
    return graph(
        [node("Slice", ["x", "start", "end"], ["y"])],
        [tensor("x", "float32", [None, 4])],
        [tensor("y", "float32", [None, 4])],
        start=_ints(0),
        end=_ints(num_rows),
    )


def quantised_model(mean: float = 5e4, deviation: float = 1.5e4) -> bytes:
    """Probabilities `[N, 3]` of 10 features of that size; a layer is quantised as it runs."""
    return graph(
        [
            node("Sub", ["x", "mean"], ["centred"]),
            node("Div", ["centred", "deviation"], ["scaled"]),
            node("DynamicQuantizeLinear", ["scaled"], ["q", "scale", "zero"]),
            node("MatMulInteger", ["q", "weights", "zero"], ["sums"]),
            node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
            node("Mul", ["floats", "scale"], ["product"]),
            node("Mul", ["product", "weights_scale"], ["logits"]),
            node("Softmax", ["logits"], ["probabilities"]),
        ],
        [tensor("x", "float32", [None, 10])],
        [tensor("probabilities", "float32", [None, 3])],
        mean=np.full(10, mean, np.float32),
        deviation=np.full(10, deviation, np.float32),
        weights=np.random.default_rng(0).integers(-127, 127, (10, 3)).astype(np.int8),
        weights_scale=np.array(0.02, np.float32),
    )


def quantised_label_model() -> bytes:
    """Position of the largest of 5 sums, int64 `[N]`; 16 features are quantised as it runs."""
    return graph(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            node("MatMulInteger", ["q", "weights", "zero"], ["sums"]),
            node("ArgMax", ["sums"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("x", "float32", [None, 16])],
        [tensor("label", "int64", [None])],
        weights=np.random.default_rng(1).integers(-127, 127, (16, 5)).astype(np.int8),
    )


def quantised_sign_model() -> bytes:
    """`x > 0`, bool `[N, 2]`, of numbers that were quantised by the largest of all rows."""
    return graph(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            node("DequantizeLinear", ["q", "scale", "zero"], ["rounded"]),
            node("Greater", ["rounded", "nothing"], ["y"]),
        ],
        [tensor("x", "float32", [None, 2])],
        [tensor("y", "bool", [None, 2])],
        nothing=np.array(0, np.float32),
    )


def masked_model() -> bytes:
    """`x` less the mean over the rows, beside a column of -1e5: float32 `[N, 3]`."""
    return graph(
        [
            node("ReduceMean", ["x", "rows"], ["mean"]),
            node("Sub", ["x", "mean"], ["small"]),
            node("Mul", ["x", "nothing"], ["zeros"]),
            node("ReduceSum", ["zeros", "columns"], ["zero"]),
            node("Add", ["zero", "never"], ["mask"]),
            node("Concat", ["small", "mask"], ["y"], axis=1),
        ],
        [tensor("x", "float32", [None, 2])],
        [tensor("y", "float32", [None, 3])],
        rows=_ints(0),
        columns=_ints(1),
        nothing=np.array(0, np.float32),
        never=np.array(-1e5, np.float32),
    )


def split_model(*, mean: bool = False) -> bytes:
    """Code of each word of a string, int64 `[N, longest]`; words are parted by blanks.

    Args:
        mean: Give their mean instead, float32 `[N]`, to which the padding adds zeros.
    """
    nodes = [
        node("StringSplit", ["x"], ["words", "count"], delimiter=" "),
        node(
            "LabelEncoder",
            ["words"],
            ["codes"],
            keys_strings=["good", "bad", "film"],
            values_int64s=[1, 2, 3],
            default_int64=0,
        ),
    ]
    outputs = [tensor("codes", "int64", [None, None])]
    constants = {}
    if mean:
        constants["axis"] = _ints(1)
        nodes += [
            node("Cast", ["codes"], ["numbers"], to=TensorProto.FLOAT),
            node("ReduceMean", ["numbers", "axis"], ["y"], keepdims=0),
        ]
        outputs = [tensor("y", "float32", [None])]
    return graph(nodes, [tensor("x", "str", [None])], outputs, **constants)


def flattened_model() -> bytes:
    """`[N, T, 4]` → `[N * T, 4]`: as many rows out as in where there is one step, by chance."""
    return graph(
        [node("Reshape", ["x", "shape"], ["y"])],
        [tensor("x", "float32", ["rows", "time", 4])],
        [tensor("y", "float32", None)],
        shape=_ints(-1, 4),
    )


# Answers that say nothing.


def constant_model() -> bytes:
    """Zeros of float32 `[N, 3]`, and a label of int64 `[N]` that differs from row to row."""
    return graph(
        [
            node("Sub", ["x", "x"], ["zeros"]),
            node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("zeros", "float32", [None, 3]), tensor("label", "int64", [None])],
    )


def missing_model() -> bytes:
    """NaN for whatever comes, float32 `[N, 3]`."""
    return graph(
        [
            node("Abs", ["x"], ["size"]),
            node("Neg", ["size"], ["negative"]),
            node("Sub", ["negative", "one"], ["below"]),
            node("Log", ["below"], ["y"]),
        ],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "float32", [None, 3])],
        one=np.array(1, np.float32),
    )


def one_label_model() -> bytes:
    """Whether a number is below -1e9, bool `[N, 3]`: no trial has such a row."""
    return graph(
        [node("Less", ["x", "far"], ["y"])],
        [tensor("x", "float32", [None, 3])],
        [tensor("y", "bool", [None, 3])],
        far=np.array(-1e9, np.float32),
    )


# Work that values decide.


def costly_branch_model(depth: int = 20, *, width: int = 64) -> bytes:
    """`y = x`, float32 `[N, 4]`, after many matrix products if a number is above 100."""
    names = ["start", *(f"h{number}" for number in range(depth))]
    products = [node("MatMul", [before, "weights"], [after]) for before, after in pairwise(names)]
    made: dict[str, Any] = {}
    for name, nodes in (
        ("then", [*products, node("Mul", [names[-1], "nothing"], ["zeros"]),
                  node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
                  node("Add", ["x", "zero"], ["worked"])]),
        ("else", [node("Identity", ["x"], ["same"])]),
    ):  # fmt: skip
        output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
        made[f"{name}_branch"] = helper.make_graph(nodes, name, [], [output])
    return graph(
        [
            node("ReduceMax", ["x"], ["largest"], keepdims=0),
            node("Greater", ["largest", "many"], ["above"]),
            node("If", ["above"], ["y"], **made),
        ],
        [tensor("x", "float32", [None, 4])],
        [tensor("y", "float32", [None, 4])],
        many=np.array(100, np.float32),
        start=_random(width, width),
        weights=_random(width, width) / width,
        nothing=np.array(0, np.float32),
    )


def window_model(operator: str = "HannWindow") -> bytes:
    """`x` plus the sum of a window as long as its largest number, int64 `[N, 1]` → float32."""
    return graph(
        [
            node("ReduceMax", ["x"], ["length"], keepdims=0),
            node(operator, ["length"], ["window"]),
            node("ReduceSum", ["window"], ["sum"], keepdims=0),
            node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
            node("Add", ["number", "sum"], ["y"]),
        ],
        [tensor("x", "int64", [None, 1])],
        [tensor("y", "float32", [None, 1])],
    )
