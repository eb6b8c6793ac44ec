"""When an answer beside others is the same as alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from ml_pipeline.engine.batching.recheck import Checked, Finding, check, first_difference
from ml_pipeline.engine.signature.bfloat import narrowed
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from tests.fakes import FakeSession

LAST = slice(1, 2)
SAME, OTHER = "", "y"
NAN, INF = float("nan"), float("inf")


def differing(together: Any, apart: Any, dtype: str = "float32") -> str:
    """Compare the second of two rows with its own run."""
    spec = TensorSpec("y", dtype, (-1, -1))
    numpy_dtype = spec.numpy_dtype
    return first_difference(
        [np.array(together, numpy_dtype)], LAST, [np.array(apart, numpy_dtype)], [spec]
    )


@pytest.mark.parametrize(
    ("together", "apart", "expected"),
    [
        ([[1.0], [2.0]], [[2.0]], SAME),
        ([[1.0], [2.0]], [[2.00001]], SAME),
        ([[1.0], [2.0]], [[2.00003]], OTHER),
        ([[1.0], [0.0]], [[1e-9]], OTHER),
        ([[1e30], [3.0]], [[2.0]], OTHER),
        ([[-1e5, 1.0], [-1e5, 2.0]], [[-1e5, 2.001]], OTHER),
        ([[1.0], [NAN]], [[NAN]], SAME),
        ([[1.0], [NAN]], [[1.0]], OTHER),
        ([[1.0], [1.0]], [[NAN]], OTHER),
        ([[1.0], [INF]], [[INF]], SAME),
        ([[1.0], [INF]], [[-INF]], OTHER),
        ([[INF], [1.0]], [[1.1]], OTHER),
        ([[1.0], [1.0]], [[INF]], OTHER),
        ([[1.0], [2.0]], [[2.0], [2.0]], OTHER),
        ([[1.0], [2.0]], [[2.0, 2.0]], OTHER),
        ([1.0, 2.0], [2.0], SAME),
        ([1.0, 2.0], [2.1], OTHER),
        ([[], []], [[]], SAME),
    ],
)
def test_numbers_are_compared_by_column(together: Any, apart: Any, expected: str) -> None:
    """To 1e-5 of the request's largest there; shapes, NaN and infinities must agree."""
    assert differing(together, apart) == expected


@pytest.mark.parametrize(
    ("dtype", "together", "apart", "expected"),
    [
        ("int64", [7, 10**9], [10**9], SAME),
        ("int64", [7, 10**9], [10**9 + 1], OTHER),
        ("bool", [True, True], [False], OTHER),
        ("str", ["a", "b"], ["b"], SAME),
        ("str", ["a", "b"], ["c"], OTHER),
        ("float16", [1.0, 1.0], [1.001], SAME),
        ("float16", [1.0, 1.0], [1.01], OTHER),
        ("float64", [1.0, 1.0], [1.0001], OTHER),
    ],
)
def test_types_are_compared_as_finely_as_they_are(
    dtype: str, together: Any, apart: Any, expected: str
) -> None:
    """Whole numbers, truths and words exactly; short floats to their last bits."""
    assert differing(together, apart, dtype) == expected


@pytest.mark.parametrize(("value", "expected"), [(1.01, SAME), (1.1, OTHER)])
def test_bfloats_are_compared_as_numbers(value: float, expected: str) -> None:
    """Not as the integers that carry them."""
    together, apart = (narrowed(np.array(v, np.float32)) for v in ([1.0, 1.0], [value]))
    spec = TensorSpec("y", "bfloat16", (-1,))

    assert first_difference([together], LAST, [apart], [spec]) == expected


def found(function: Callable[[Tensors], list[Array]], *values: float) -> Finding:
    """Run values together, and have the last one checked."""
    session: Any = FakeSession(function)
    rows = np.array(values, np.float32).reshape(-1, 1)
    shared = session.run({"x": rows})
    last = slice(len(values) - 1, len(values))
    return check([Checked({"x": rows[last]}, last)], shared, ort.RunOptions(), session)


def checked(function: Callable[[Tensors], list[Array]], *values: float) -> str:
    """Do the same; give what differs."""
    return found(function, *values).difference


def test_rows_that_stay_apart_pass() -> None:
    """A row that is answered alone as beside others says nothing."""
    assert checked(lambda inputs: [inputs["x"] * 2], 1.0, 2.0) == ""


def test_a_difference_names_its_output() -> None:
    """So that whoever reads of it knows where to look."""
    difference = checked(lambda inputs: [inputs["x"], inputs["x"] - inputs["x"].mean()], 1.0, 2.0)

    assert difference == "output y1: rows run together differ from rows run apart"


def test_huge_neighbours_hide_nothing() -> None:
    """A difference is held against the request's own values."""
    assert checked(lambda inputs: [inputs["x"] * (2 + (inputs["x"].max() > 1e9))], 1e30, 2.0) != ""


def rounded_by_size(inputs: Tensors) -> list[Array]:
    """Two columns, whose second rounds differently in larger runs, as kernels do."""
    rows = inputs["x"]
    return [np.concatenate([rows, rows * 1e-6 + 1e-9 * len(rows)], axis=1)]


def stirred_by_neighbours(inputs: Tensors) -> list[Array]:
    """The same difference, made by the values of the neighbours."""
    rows = inputs["x"]
    return [np.concatenate([rows, rows * 1e-6 + 1e-9 * rows.sum()], axis=1)]


def test_rounding_by_the_number_of_rows_is_no_difference() -> None:
    """Where copies of the request do as its neighbours do, only the number of rows matters."""
    assert checked(rounded_by_size, 1.0, 1.5, 2.0) == ""


def test_a_small_difference_that_neighbours_make_is_one() -> None:
    """However small beside other columns."""
    assert checked(stirred_by_neighbours, 1.0, 1.5, 2.0) != ""


def test_a_large_difference_by_the_number_of_rows_is_one() -> None:
    """An export that answers the rows it was traced with only is no rounding."""
    assert checked(lambda inputs: [inputs["x"] * (len(inputs["x"]) < 3)], 1.0, 1.5, 2.0) != ""


def test_a_run_that_fails_alone_proves_nothing() -> None:
    """It may have been ended, to make room for others."""

    def refuse_one(inputs: Tensors) -> list[Array]:
        if len(inputs["x"]) == 1:
            raise MemoryError
        return [inputs["x"]]

    assert found(refuse_one, 1.0, 2.0) == Finding("", 0, 0)


def test_rows_that_were_run_are_counted() -> None:
    """Those of copies, too, so that checks stay as seldom as they are to be."""
    assert found(lambda inputs: [inputs["x"]], 1.0, 2.0, 3.0) == Finding("", 1, 1)
    assert found(rounded_by_size, 1.0, 1.5, 2.0) == Finding("", 1, 1 + 3)
