"""When are two answers to the same row equal? To the last digits, of which no model is sure.

Whole numbers, words and missing values have to be the same. Floats may be as far apart as the
tolerance says, relative to the largest answer in the same column among rows of the same scale, so
that no column hides another; or as far as a change in the last digits of the row itself moves its
answer. `k` rows; `C` columns, the last axis.
"""

import numpy as np
import numpy.typing as npt

from app.engine.tensor import Array, Tensors

RELATIVE_TOLERANCE = 1e-5
"""Largest difference between rows run together and apart, relative to the largest answer in that
column among rows of that scale."""

ROUNDING_TOLERANCE = 1e-3
"""The same for models whose graph keeps rows apart: there a smaller difference is one of rounding,
for ONNX Runtime multiplies one row by other kernels than many (1.3e-4 in one of 124 models)."""

NUDGE = 1e-6
"""Relative change of a row's floats, some 8 steps of float32."""

NUM_NUDGES = 2

UNSTEADY = 10.0
"""So many times as far as a nudge moves an answer, its neighbours may, too: rounding inside a model
is that of all its steps."""


def allowed(
    answers: Array, scales: npt.NDArray[np.float64], tolerance: float = RELATIVE_TOLERANCE
) -> Array:
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


def nudged(inputs: Tensors) -> list[Tensors]:
    """Give copies with the last digits of all floats changed; whole numbers have none."""
    random = np.random.default_rng(0)
    copies = []
    with np.errstate(over="ignore"):
        for _ in range(NUM_NUDGES):
            copy = dict(inputs)
            for name, array in inputs.items():
                if array.dtype.kind == "f":
                    change = 1.0 + NUDGE * random.choice([-1.0, 1.0], array.shape)
                    copy[name] = (array * change).astype(array.dtype)
            copies.append(copy)
    return copies


def as_unsteady(found: Array, answer: Array, nudged: list[Array]) -> bool:
    """Tell whether an answer is as near to the right one as those to the nudged row are.

    Args:
        found: An answer to a row, `[1, …]`.
        answer: The right one.
        nudged: Those to copies of the row.
    """
    if answer.dtype.kind != "f":
        moved = np.any([each != answer for each in nudged], axis=0)
        return not np.any((found != answer) & ~moved)
    with np.errstate(all="ignore"):
        moves = np.nan_to_num(np.abs(np.array(nudged) - answer)).max(axis=0)
    return not unequal(found, answer, UNSTEADY * _by_column(moves).max(axis=0)).any()


def _by_column(values: Array) -> Array:
    """Give `[…, C]` as `[n, C]`; `[k]` is one column."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
