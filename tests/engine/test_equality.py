"""When two answers to a row are equal."""

from typing import Any

import numpy as np
import pytest

from ml_pipeline.engine.trials.equality import RELATIVE_TOLERANCE, allowed, unequal, varies

NAN, INF = np.nan, np.inf


def differs(found: Any, expected: Any, scales: Any = None) -> list[bool]:
    """Tell by row, of which all are of one scale unless it is said."""
    found, expected = np.array(found, np.float32), np.array(expected, np.float32)
    scales = np.ones(len(expected)) if scales is None else np.array(scales)
    elements = unequal(found, expected, allowed(expected, scales, RELATIVE_TOLERANCE))
    return [bool(row.any()) for row in elements]


def test_the_last_digits_may_differ() -> None:
    """Up to 1e-5 of the largest answer of the column."""
    assert differs([[1.0 + 5e-6], [1.0]], [[1.0], [1.0]]) == [False, False]
    assert differs([[1.0 + 2e-5], [1.0]], [[1.0], [1.0]]) == [True, False]


def test_a_column_is_held_against_itself() -> None:
    """A mask of -1e5 beside it hides nothing."""
    assert differs([[1.001, -1e5], [1.0, -1e5]], [[1.0, -1e5], [1.0, -1e5]]) == [True, False]


def test_a_column_is_the_last_axis() -> None:
    """Steps of a sequence share theirs."""
    expected = np.ones((2, 3, 2))
    found = expected.copy()
    found[1, 2, 0] = 1.001

    assert differs(found, expected) == [False, True]


def test_rows_are_held_against_those_of_their_scale() -> None:
    """One of a million beside it hides nothing."""
    assert differs([[1.001], [1e6]], [[1.0], [1e6]], [1, 1e6]) == [True, False]


@pytest.mark.parametrize(
    ("found", "expected", "differ"),
    [
        (NAN, NAN, False),
        (NAN, 1.0, True),
        (1.0, NAN, True),
        (INF, INF, False),
        (-INF, INF, True),
        (1.0, INF, True),
        (0.0, 0.0, False),
        (1e-30, 0.0, True),
    ],
)
def test_missing_and_infinite_ones_must_agree(found: float, expected: float, differ: bool) -> None:
    """In their places, and in sign."""
    assert differs([[found], [0.0]], [[expected], [0.0]]) == [differ, False]


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, object])
def test_what_is_no_float_must_be_the_same(dtype: Any) -> None:
    """To the last digit, or letter."""
    ones, zeros = np.array([1, 0]).astype(dtype), np.array([0, 0]).astype(dtype)

    assert unequal(ones, zeros, allowed(zeros, np.ones(2), RELATIVE_TOLERANCE)).tolist() == [
        True,
        False,
    ]


def test_a_coarse_type_has_coarse_last_digits() -> None:
    """Float16 has three of them."""
    expected = np.ones((2, 1), np.float16)
    found = np.array([[1.001], [1.01]], np.float16)

    assert unequal(found, expected, allowed(expected, np.ones(2), RELATIVE_TOLERANCE)).tolist() == [
        [False],
        [True],
    ]


@pytest.mark.parametrize(
    ("answers", "vary"),
    [
        ([1.0, 1.0], False),
        ([1.0, 2.0], True),
        ([NAN, NAN], False),
        ([NAN, 1.0], False),
        ([INF, 1.0], False),
        ([NAN, 1.0, 2.0], True),
        ([1.0, NAN, 2.0], True),
    ],
)
def test_answers_vary_if_two_numbers_do(answers: list[float], vary: bool) -> None:
    """A missing one is none."""
    assert varies(np.array(answers, np.float32)) == vary
