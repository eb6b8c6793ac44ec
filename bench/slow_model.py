"""A model whose rows say how long they take.

`y = 2 · x`, int64 [B, 1], after as many matrix products as the largest `x` of a run: 5,000 keep a
core busy for tens of milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 48
OPSET = 17
IR_VERSION = 9


def write_model(path: Path) -> None:
    """Write the model."""
    body = _body()
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["num_steps"], keepdims=0),
        helper.make_node("Loop", ["num_steps", "", "start"], ["end"], body=body),
        # What the loop ends with is 1 in its corner, and must be used, or it would be left out.
        helper.make_node("Slice", ["end", "zero", "one", "zero"], ["corner_row"]),
        helper.make_node("ReduceMax", ["corner_row"], ["corner"], keepdims=0),
        helper.make_node("Cast", ["corner"], ["unit"], to=TensorProto.INT64),
        helper.make_node("Mul", ["x", "unit"], ["kept"]),
        helper.make_node("Add", ["kept", "kept"], ["y"]),
    ]
    identity = np.eye(WIDTH, dtype=np.float32)
    constants: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
        "start": identity,
        "turn": identity,
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["batch", 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)


def _body() -> onnx.GraphProto:
    """One turn of the loop: a matrix product that leaves its state as it was."""
    square = [WIDTH, WIDTH]
    return helper.make_graph(
        [
            helper.make_node("Identity", ["going_in"], ["going"]),
            helper.make_node("MatMul", ["state_in", "turn"], ["state"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("going_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, square),
        ],
    )
