"""The check of an array against a model's input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml_pipeline.engine.signature.tensor import TensorSpec, type_names
from ml_pipeline.errors import InvalidInput

TABLE = TensorSpec("x", "float32", (-1, 2))


def refusal(spec: TensorSpec, array: Any, field: str = "data") -> str:
    with pytest.raises(InvalidInput) as caught:
        spec.check(array, field)
    return caught.value.detail


def accepts(spec: TensorSpec, array: Any) -> bool:
    try:
        spec.check(array)
    except InvalidInput:
        return False
    return True


@pytest.mark.parametrize("dtype", type_names.values())
def test_each_dtype_is_accepted_as_itself(dtype: str) -> None:
    """An array of the model's dtype passes, for every dtype a model may have."""
    spec = TensorSpec("x", dtype, (-1, 2))
    array = np.ones((3, 2), spec.numpy_dtype)

    assert accepts(spec, array)


def test_strings_are_objects_to_numpy() -> None:
    """The numpy dtype of `str` is object, so that strings may be of any length."""
    assert TensorSpec("x", "str", (-1,)).numpy_dtype == np.dtype(object)


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool", "object"])
def test_another_dtype_is_refused(dtype: str) -> None:
    """Nothing is converted in silence; both dtypes are named."""
    detail = refusal(TABLE, np.ones((1, 2), dtype))

    assert detail == f"data: expected dtype float32, found {dtype}"


@pytest.mark.parametrize(
    ("shape", "found"), [((2,), "1 dimensions [2]"), ((1, 2, 1), "3 dimensions [1, 2, 1]")]
)
def test_another_rank_is_refused(shape: tuple[int, ...], found: str) -> None:
    """The number of dimensions must be the model's; both shapes are named."""
    detail = refusal(TABLE, np.ones(shape, np.float32))

    assert detail == f"data: expected 2 dimensions [any, 2], found {found}"


@pytest.mark.parametrize(
    ("spec_shape", "shape", "detail"),
    [
        ((-1, 2), (0, 2), "expected at least 1 row, found 0"),
        ((-1, 2), (3, 1), "expected 2 features in each row, found 1"),
        ((-1, 1), (3, 2), "expected 1 feature in each row, found 2"),
        ((-1, -1), (3, 0), "expected at least 1 feature in each row, found 0"),
        ((4, 2), (3, 2), "expected 4 rows, found 3"),
        ((1, 2), (3, 2), "expected 1 row, found 3"),
        ((-1, 3, 2), (3, 4, 2), "expected 3 along dimension 1, found 4"),
        ((-1, 3, -1), (3, 3, 0), "expected at least 1 along dimension 2, found 0"),
    ],
)
def test_another_size_is_refused(
    spec_shape: tuple[int, ...], shape: tuple[int, ...], detail: str
) -> None:
    """Each size must be the model's, or not 0 where the model leaves it open."""
    spec = TensorSpec("x", "float32", spec_shape)

    assert refusal(spec, np.ones(shape, np.float32)) == f"data: {detail}"


@pytest.mark.parametrize("shape", [(), (-1,), (-1, -1), (4,), (-1, 3, 2), (-1, -1, -1, 1)])
def test_any_rank_is_accepted(shape: tuple[int, ...]) -> None:
    """Rank 0, 1, 3 and 4 are as good as rank 2."""
    spec = TensorSpec("x", "float32", shape)
    array = np.ones([4 if size == -1 else size for size in shape], np.float32)

    assert accepts(spec, array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_refused(dtype: str, value: float) -> None:
    """NaN and infinities are refused, with their place."""
    array = np.ones((3, 2), dtype)
    array[2, 1] = value

    detail = refusal(TensorSpec("x", dtype, (-1, 2)), array)

    assert detail.startswith(f"data[2][1]: expected a finite {dtype}, found {value}")


def test_place_of_a_bad_value_has_every_index() -> None:
    """In a tensor of rank 3 the place has three indices."""
    array = np.ones((2, 2, 2), np.float32)
    array[0, 1, 1] = np.nan

    assert refusal(TensorSpec("x", "float32", (-1, 2, 2)), array).startswith("data[0][1][1]: ")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_largest_finite_values_are_accepted(dtype: str) -> None:
    """Values whose squares overflow are still finite values."""
    array = np.full((50, 2), np.finfo(dtype).max, dtype)

    assert accepts(TensorSpec("x", dtype, (-1, 2)), array)


def test_field_is_called_as_the_caller_calls_it() -> None:
    """The message names the field it was given."""
    detail = refusal(TABLE, np.ones((1, 3), np.float32), field="inputs[0]")

    assert detail.startswith("inputs[0]: ")


@pytest.mark.parametrize(
    ("shape", "batched"), [((-1, 2), True), ((4, 2), False), ((-1,), True), ((), False)]
)
def test_free_first_dimension_makes_batches(shape: tuple[int, ...], batched: bool) -> None:
    """Rows of several requests may share a run only if the first dimension is free."""
    assert TensorSpec("x", "float32", shape).batched is batched


@pytest.mark.parametrize(
    ("shape", "settled"), [((-1, 2), True), ((-1, -1), False), ((-1,), True), ((), True)]
)
def test_settled_inputs_fit_together(shape: tuple[int, ...], settled: bool) -> None:
    """All requests fit together if only the first dimension is free."""
    assert TensorSpec("x", "float32", shape).settled is settled


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        array_shapes(min_dims=2, max_dims=2, max_side=5),
    )
)
def test_exactly_the_finite_arrays_pass(array: Any) -> None:
    """An array passes if, and only if, every value in it is finite."""
    spec = TensorSpec("x", array.dtype.name, (-1, -1))

    assert accepts(spec, array) == bool(np.isfinite(array).all())
