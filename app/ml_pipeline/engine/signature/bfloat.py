"""Runs of models with bfloat16 tensors, which numpy does not know and ONNX Runtime's `run` refuses.

They travel as the uint16 of the same bits, and are handed over as ONNX Runtime's own values.
"""

import ctypes
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec

BFLOAT16 = 16
"""Of `TensorProto.DataType`. Source: onnx.proto."""

_TYPE = "tensor(bfloat16)"


def widened(array: Array) -> Array:
    """Give bfloat16 as float32: they are the upper half of its bits."""
    wide: Array = (array.astype(np.uint32) << 16).view(np.float32)
    return wide


def narrowed(array: Array) -> Array:
    """Give float32 as bfloat16, cut off rather than rounded."""
    narrow: Array = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(
        np.uint16
    )
    return narrow


def run_with_bfloats(
    session: ort.InferenceSession,
    names: Sequence[str],
    inputs: Tensors,
    specs: Sequence[TensorSpec],
    options: ort.RunOptions | None = None,
) -> list[Array]:
    """Run, and copy what comes back out of ONNX Runtime's memory.

    Args:
        session: Where.
        names: Of the outputs.
        inputs: By name, `[B, …]`; bfloat16 as uint16.
        specs: Of the inputs.
        options: By which another thread may end it.

    Raises:
        Exception: ONNX Runtime's own.
    """
    values = {}
    for spec in specs:
        if spec.name not in inputs:  # an optional one
            continue
        array = np.ascontiguousarray(inputs[spec.name])
        if spec.dtype == "bfloat16":
            value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, BFLOAT16)
        else:
            value = ort.OrtValue.ortvalue_from_numpy(array)
        values[spec.name] = value
    return [_to_array(value) for value in session.run_with_ort_values(names, values, options)]


def _to_array(value: ort.OrtValue) -> Array:
    if value.data_type() != _TYPE:
        array: Array = value.numpy()
        return array
    shape = value.shape()
    buffer = (ctypes.c_uint16 * int(np.prod(shape))).from_address(value.data_ptr())
    return np.ctypeslib.as_array(buffer).reshape(shape).copy()
