"""Runs rows together and each alone, and compares."""

from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from tests.engine.graph.examples.example import Array

Rows = dict[str, Array]

RELATIVE, ABSOLUTE = 1e-5, 1e-7
"""By how much kernels round differently in batches of other sizes."""


def session(model: ModelProto) -> ort.InferenceSession:
    """Load a model as the server does, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options)


def difference(run: ort.InferenceSession, rows: Rows, absolute: float = ABSOLUTE) -> str:
    """Tell what differs between rows together and each row alone; "" if nothing does."""
    count = len(next(iter(rows.values())))
    try:
        alone = [run.run(None, {n: v[i : i + 1] for n, v in rows.items()}) for i in range(count)]
        together = run.run(None, rows)
    except Exception as error:  # of ONNX Runtime, whose classes have no common base
        return str(error)
    for place, found in enumerate(together):
        if len(np.shape(found)) == 0:
            return f"output {place} has no rows"
        for row, each in enumerate(alone):
            if not _same(each[place], found[row : row + 1], absolute):
                return f"output {place} of row {row}: {found[row : row + 1]}, alone {each[place]}"
        if len(found) != count:
            return f"output {place} has {len(found)} rows of {count}"
    return ""


def _same(left: Any, right: Any, absolute: float) -> bool:
    if isinstance(left, list):  # of maps, one a row
        return len(left) == len(right) and all(
            a.keys() == b.keys() and np.allclose(list(a.values()), list(b.values()), RELATIVE)
            for a, b in zip(left, right, strict=True)
        )
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.allclose(left, right, rtol=RELATIVE, atol=absolute, equal_nan=True))
