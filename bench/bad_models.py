"""Models that misbehave when an input value tells them to, for `ops/soak`.

Each takes `x`, int64 [B, 1], and is well-behaved for small values, so that it loads, and its rows
prove to be the same together and apart. Letters for shapes: B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9
NUM_ENTRIES = 1000
"""Of the table that `lookup` looks into; it holds twice its position."""


def write_lookup(path: Path) -> None:
    """`y = 2 x` from a table, float32 [B, 1]: the run raises for an `x` beyond the table."""
    table = np.arange(NUM_ENTRIES, dtype=np.float32) * 2
    _write(path, [_node("Gather", ["table", "x"], "y")], table=table)


def write_greedy(path: Path) -> None:
    """`y = 2 x`, float32 [B, 1], by way of so many GB as the largest `x`, if more than 1,000."""
    nodes = [
        _node("ReduceMax", ["x"], "most", keepdims=0),
        _node("Sub", ["most", "harmless"], "above"),
        _node("Max", ["above", "one"], "num_gigabytes"),
        _node("Mul", ["num_gigabytes", "gigabyte"], "size"),
        _node("Unsqueeze", ["size", "axis"], "shape"),
        _node("ConstantOfShape", ["shape"], "zeros"),  # float32: 4 bytes each
        _node("ReduceSum", ["zeros"], "nothing", keepdims=0),
        _node("Cast", ["x"], "values", to=TensorProto.FLOAT),
        _node("Mul", ["values", "two"], "doubled"),
        _node("Add", ["doubled", "nothing"], "y"),
    ]
    _write(
        path,
        nodes,
        harmless=np.array(1000),
        one=np.array(0),
        gigabyte=np.array(2**28),
        axis=np.array([0]),
        two=np.array(2.0, np.float32),
    )


def write_short(path: Path) -> None:
    """`y = 2 x`, float32 [B, 1], without the last row where the largest `x` is beyond 1,000."""
    nodes = [
        _node("ReduceMax", ["x"], "most", keepdims=0),
        _node("Greater", ["most", "harmless"], "bad"),
        _node("Cast", ["bad"], "missing", to=TensorProto.INT64),
        _node("Shape", ["x"], "shape", end=1),
        _node("Sub", ["shape", "missing"], "end"),
        _node("Cast", ["x"], "values", to=TensorProto.FLOAT),
        _node("Mul", ["values", "two"], "doubled"),
        _node("Slice", ["doubled", "start", "end", "axis"], "y"),
    ]
    _write(
        path,
        nodes,
        harmless=np.array(1000),
        start=np.array([0]),
        axis=np.array([0]),
        two=np.array(2.0, np.float32),
    )


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


def _write(path: Path, nodes: list[onnx.NodeProto], **constants: Any) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
