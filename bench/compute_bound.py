"""A model of about a millisecond a row, on which batching pays.

A multilayer perceptron whose 25 MB of weights do not fit into a core's own cache: one row has
to read them all for a few multiplications each, and 32 rows read them as often as one does.
Letters for shapes: B rows of one run, F features (few, so that JSON is not what is measured).

Measured on one core, ms a run of 1 / 8 / 32 / 64 rows: 1.1 / 1.8 / 5.5 / 11.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 16
WIDTH = 1024
HIDDEN_LAYERS = 7
OPSET = 17
IR_VERSION = 9


def write_model(path: Path, width: int = WIDTH) -> None:
    """Write the model, input `input` float32 [B, F] → output `output` float32 [B, 1]."""
    generator = np.random.default_rng(seed=7)
    sizes = [FEATURES, *[width] * HIDDEN_LAYERS, 1]
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    value = "input"
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        last = layer == HIDDEN_LAYERS
        # Scaled so that values neither die nor explode on their way through the layers.
        matrix = generator.standard_normal((rows, columns)) * np.sqrt(2 / rows)
        weights.append(numpy_helper.from_array(matrix.astype(np.float32), f"weight{layer}"))
        product = "output" if last else f"product{layer}"
        nodes.append(helper.make_node("MatMul", [value, f"weight{layer}"], [product]))
        if not last:
            value = f"hidden{layer}"
            nodes.append(helper.make_node("Relu", [product], [value]))
    graph = helper.make_graph(
        nodes,
        "compute_bound",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1])],
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
