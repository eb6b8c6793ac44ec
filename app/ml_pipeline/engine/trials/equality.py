"""When are two answers to the same row equal? To the last digits, of which no model is sure.

Whole numbers, words and missing values have to be the same. Floats may be as far apart as the
tolerance says, relative to the largest answer in the same column among rows of the same scale, so
that no column hides another. `k` rows; `C` columns, the last axis.
"""

import numpy as np
import numpy.typing as npt

from ml_pipeline.engine.signature.tensor import Array

RELATIVE_TOLERANCE = 1e-5
"""Largest difference between rows run together and apart, relative to the largest answer in that
column among rows of that scale."""

ROUNDING_TOLERANCE = 1e-3
"""The same where a row is answered likewise beside copies of itself, as many as there were rows:
then its neighbours have no part in it, only their number, by which ONNX Runtime chooses its kernels
and so the order in which they add up (1.3e-4 in one of 124 real models)."""


def allowed(answers: Array, scales: npt.NDArray[np.float64], tolerance: float) -> Array:
    """Give how far other answers may be from these, `[k, …]`.

    Args:
        answers: One a row, `[k, …]`.
        scales: Of each row, `[k]`.
        tolerance: Relative; for a coarser type than float32 it is 4 of its steps.
    """
    if answers.dtype.kind != "f" or not answers.size:
        return np.zeros(answers.shape)
    sizes = np.abs(np.where(np.isfinite(answers), answers, 0.0))
    for scale in np.unique(scales):
        rows = scales == scale
        sizes[rows] = _by_column(sizes[rows]).max(axis=0)
    return sizes * max(tolerance, 4 * float(np.finfo(answers.dtype).eps))


def unequal(found: Array, expected: Array, allowed: Array | float) -> npt.NDArray[np.bool_]:
    """Tell which values differ."""
    if expected.dtype.kind != "f":
        return np.asarray(found != expected, bool)
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= allowed
    both_missing = np.isnan(found) & np.isnan(expected)
    return np.asarray(~(near | both_missing | (found == expected)), bool)


def varies(answers: Array) -> bool:
    """Tell whether two rows have different answers; a missing one is none. `[k, …]`, k > 0."""
    if answers.dtype.kind != "f":
        return bool((answers[1:] != answers[:1]).any())
    numbers = np.where(np.isfinite(answers), answers, np.nan)
    return bool((np.fmax.reduce(numbers) > np.fmin.reduce(numbers)).any())


def _by_column(values: Array) -> Array:
    """Give `[…, C]` as `[n, C]`; `[k]` is one column."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
