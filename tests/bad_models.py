"""Models that fail for some values: they raise, lose rows, take long, want memory, give no numbers.

Letters for shapes: B rows. Each has one input, float32 [B, 1], and fails by its value alone, so
that neighbours in a batch are sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 9
NUM_ENTRIES = 100
"""Of the table that `gather` reads; a larger value is beyond it."""
LOST_BELOW = -1000.0
"""Rows with a smaller value are dropped by `rows`."""
Node = onnx.NodeProto
Constants = dict[str, np.ndarray[Any, np.dtype[Any]]]


def write_models(folder: Path) -> dict[str, Path]:
    """Write each into a folder; their files by name."""
    graphs = {
        "steady": ([_node("Mul", "x", "two", "y")], {"two": np.array(2.0, np.float32)}),
        "gather": _gather(),
        "rows": _rows(),
        "turns": _turns(),
        "memory": _memory(),
        "numbers": ([_node("Log", "x", "y")], {}),
        "wide": ([_node("Concat", "x", "x", "x", "y", axis=1)], {}),
    }
    for name in ("turns", "memory"):  # whose rows share a count, and are to share runs all the same
        (folder / f"{name}.json").write_text('{"batching": "accept"}')
    return {name: _write(folder / f"{name}.onnx", *parts) for name, parts in graphs.items()}


def _gather() -> tuple[list[Node], Constants]:
    """Row of a table: raises where there is none."""
    table = np.arange(NUM_ENTRIES, dtype=np.float32) * 0.5
    nodes = [_node("Cast", "x", "at", to=TensorProto.INT64), _node("Gather", "table", "at", "y")]
    return nodes, {"table": table}


def _rows() -> tuple[list[Node], Constants]:
    """The value itself; rows below a bound are left out."""
    nodes = [
        _node("Greater", "x", "bound", "above"),
        _node("Reshape", "above", "flat", "kept"),
        _node("Compress", "x", "kept", "y", axis=0),
    ]
    return nodes, {"bound": np.array(LOST_BELOW, np.float32), "flat": np.array([-1])}


def _turns() -> tuple[list[Node], Constants]:
    """The value itself, after as many turns of a loop as the largest of the batch says."""
    body = helper.make_graph(
        [
            _node("Identity", "go", "goes"),
            _node("Add", "value", "nothing", "next"),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        _node("ReduceMax", "x", "most", keepdims=0),
        _node("Cast", "most", "count", to=TensorProto.INT64),
        _node("Loop", "count", "always", "x", "y", body=body),
    ]
    return nodes, {"always": np.array(True), "nothing": np.array(0.0, np.float32)}


def _memory() -> tuple[list[Node], Constants]:
    """The value plus the sum of as many zeros as the largest of the batch says."""
    nodes = [
        _node("ReduceMax", "x", "most", axes=[0], keepdims=0),
        _node("Cast", "most", "count", to=TensorProto.INT64),
        _node("ConstantOfShape", "count", "zeros"),
        _node("ReduceMax", "zeros", "zero", keepdims=0),
        _node("Add", "x", "zero", "y"),
    ]
    return nodes, {}


def _node(operator: str, *names: str, **attributes: Any) -> Node:
    """Make a node of its inputs and, at the end, its output."""
    node: Node = helper.make_node(operator, names[:-1], names[-1:], **attributes)
    return node


def _write(path: Path, nodes: Sequence[Node], constants: Constants) -> Path:
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows_out", 1])],
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return path
