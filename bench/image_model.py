"""A model of images whose run costs next to nothing: what is measured is the way there.

Letters for shapes: B images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (3, 224, 224)
OPSET = 17
IR_VERSION = 9


def write_model(path: Path) -> None:
    """Write the model, `image` float32 [B, 3, 224, 224] → `corner` float32 [B, 3, 1, 1]."""
    bounds = {"starts": [0, 0], "ends": [1, 1], "axes": [2, 3]}
    graph = helper.make_graph(
        [helper.make_node("Slice", ["image", *bounds], ["corner"])],
        "corner",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *SHAPE])],
        [helper.make_tensor_value_info("corner", TensorProto.FLOAT, ["batch", 3, 1, 1])],
        [numpy_helper.from_array(np.array(value), name) for name, value in bounds.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
