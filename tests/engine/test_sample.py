"""Real rows of the metadata, and rows that are drawn where it has none."""

from typing import Any

import numpy as np
import pytest

from ml_pipeline.engine.graph.report import Domain
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.trials.sample import real_rows
from ml_pipeline.engine.trials.trial_rows import FREE_SIZES, WILD, draw, trial_rows
from ml_pipeline.errors import ModelLoadError
from tests import odd_models
from tests.conftest import LoadModel, WriteModel
from tests.models import ONNX_TYPES, graph, node, scale_model, tensor, two_input_model

PAIR = (TensorSpec("a", "float32", (-1, 2)), TensorSpec("b", "int64", (-1,)))


# Rows of the metadata.


def test_a_table_is_for_a_lone_input() -> None:
    """It is given as it is."""
    rows = [[1.0, 2.0], [3.0, 4.0]]

    real = real_rows((TensorSpec("x", "float32", (-1, 2)),), rows)

    assert real is not None
    assert real["x"].tolist() == rows


def test_a_table_fills_none_of_several_inputs() -> None:
    """Of several inputs each gets drawn rows."""
    assert real_rows(PAIR, [[1.0, 2.0]]) is None


def test_rows_are_given_by_the_input_s_name() -> None:
    """Then a sample is for any number of inputs."""
    real = real_rows(PAIR, {"a": [[1.0, 2.0]], "b": [3]})

    assert real is not None
    assert {name: array.tolist() for name, array in real.items()} == {"a": [[1.0, 2.0]], "b": [3]}
    assert real["b"].dtype == np.int64


faults: list[Any] = [
    pytest.param({"a": [[1.0, 2.0]]}, ("sample:", "expected rows for a, b", "found a"), id="few"),
    pytest.param({}, ("sample:", "expected rows for a, b", "found none"), id="none"),
    pytest.param(
        {"a": [[1.0, 2.0]], "b": [1, 2]}, ("sample:", "as many rows", "[1, 2]"), id="numbers"
    ),
    pytest.param({"a": [[1.0]], "b": [1]}, ("sample.a:", "expected 2 features"), id="width"),
    pytest.param({"a": [1.0], "b": [1]}, ("sample.a:", "expected 2 dimensions"), id="depth"),
    pytest.param({"a": [[1.0, 2.0]], "b": ["x"]}, ("sample.b:", "int64"), id="type"),
]


@pytest.mark.parametrize(("sample", "parts"), faults)
def test_rows_that_do_not_fit_are_named(sample: Any, parts: tuple[str, ...]) -> None:
    """Where it is, what was expected and what was found."""
    with pytest.raises(ModelLoadError) as caught:
        real_rows(PAIR, sample)

    assert all(part in str(caught.value) for part in parts)


def test_a_sample_by_name_is_offered(write_model: WriteModel, load: LoadModel) -> None:
    """`GET /sample` gives the rows of a lone input, however they were written down."""
    model = load(write_model(scale_model(), sample={"x": [[1.0, 2.0, 3.0]]}))

    assert model.sample_rows == [[1.0, 2.0, 3.0]]


def test_a_sample_by_name_is_tried_and_timed(write_model: WriteModel, load: LoadModel) -> None:
    """It stands before drawn rows."""
    sample = {"left": [[1.0, 2.0]], "right": [[3.0, 4.0]]}

    model = load(write_model(two_input_model(), sample=sample))

    assert {name: array.tolist() for name, array in model.sample.items()} == sample
    assert model.curve.samples


# Drawn rows.


@pytest.mark.parametrize("dtype", ONNX_TYPES)
def test_drawn_rows_fit_the_input(dtype: str) -> None:
    """Rows that are drawn pass the check that requests have to pass."""
    spec = TensorSpec("x", dtype, (-1, 4, -1))

    drawn = draw((spec,), 3, {})["x"]

    spec.check(drawn)
    assert drawn.shape == (3, 4, FREE_SIZES[0])


def test_drawn_rows_are_always_the_same() -> None:
    """Two loads try a model with the same rows."""
    spec = TensorSpec("x", "float32", (-1, 4))

    first, second = (draw((spec,), 3, {})["x"] for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_inputs_are_drawn_apart() -> None:
    """A model that takes one from the other would give zeros."""
    specs = tuple(TensorSpec(name, "float32", (-1, 4)) for name in ("left", "right"))

    drawn = draw(specs, 3, {})

    assert not np.any(drawn["left"] == drawn["right"])


def test_drawn_rows_keep_a_fixed_first_size() -> None:
    """An input of 2 rows, no more and no less, is tried with 2."""
    drawn = draw((TensorSpec("x", "float32", (2, 4)),), 3, {})

    assert drawn["x"].shape == (2, 4)


domains: list[Any] = [
    pytest.param(Domain("x", 0, 1), "int64", {0, 1}, id="mask"),
    pytest.param(Domain("x", 0, 1), "float32", {0.0, 1.0}, id="mask-of-floats"),
    pytest.param(Domain("x", 2, 3), "int32", {2, 3}, id="index"),
    pytest.param(Domain("x", low=1, length=True), "int64", {1, 2, 3, 4, 5}, id="length"),
    pytest.param(Domain("x", numbers=[7, 90]), "int64", {7, 90}, id="categories"),
    pytest.param(Domain("x", words=["good", "bad"]), "str", {"good", "bad"}, id="words"),
    pytest.param(Domain("x"), "int64", {0, 1, 2, 3, 4}, id="anything"),
    pytest.param(Domain("x"), "bool", {False, True}, id="bool"),
]


@pytest.mark.parametrize(("domain", "dtype", "values"), domains)
def test_values_are_drawn_inside_what_the_graph_allows(
    domain: Domain, dtype: str, values: set[Any]
) -> None:
    """All of it is seen, and nothing else."""
    specs = (TensorSpec("x", dtype, (-1,)), TensorSpec("sequence", "float32", (-1, 5, 2)))

    drawn = draw(specs, 200, {"x": domain})["x"]

    assert set(drawn.tolist()) == values


@pytest.mark.parametrize(("size", "drawn"), [(5, 5), (8, 8), (48, 48), (3, 1)])
def test_free_sizes_are_those_that_a_model_takes(
    size: int, drawn: int, write_model: WriteModel, load: LoadModel
) -> None:
    """The first that it does; the last to be tried is 1."""
    model = graph(
        [node("Add", ["x", "weights"], ["y"])],
        [tensor("x", "float32", ["rows", "time"])],
        [tensor("y", "float32", ["rows", "time"])],
        weights=np.ones(size, np.float32),
    )

    assert load(write_model(model)).sample["x"].shape == (3, drawn)


# Rows of a trial.


def rows_of(dtype: str, domain: Domain | None = None, *, wild: bool = True) -> Any:
    """Give trial rows for an input of 3 columns, and their scales."""
    inputs = (TensorSpec("x", dtype, (-1, 3)),)
    domains = {"x": domain or Domain("x")}
    rows = trial_rows(inputs, draw(inputs, 3, domains), domains, wild=wild)
    return rows.inputs["x"], rows.scales


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_trial_rows_are_of_every_scale(dtype: str) -> None:
    """From 1e-3 up to 1e6, or as far as the type goes, of either sign, and zeros."""
    rows, scales = rows_of(dtype)

    assert len(rows) == len(scales)
    assert np.isfinite(rows).all()
    assert {1e-3, 1e3, 1e6, 0.0} <= set(scales)
    assert np.abs(rows[scales == 1e-3]).max() < 0.01
    assert np.abs(rows[scales == 1e6]).max() > 1000
    assert (rows > 0).all(axis=1).any()
    assert (rows < 0).all(axis=1).any()
    assert (rows == 0).all(axis=1).any()


def test_columns_are_of_scales_of_their_own() -> None:
    """One row has them all."""
    rows, scales = rows_of("float32")
    (mixed,) = rows[scales == -1]

    assert np.abs(mixed[2]) > 100 * np.abs(mixed[0])


def test_tame_rows_are_such_as_anybody_s() -> None:
    """Where extremes could take for ever."""
    rows, _ = rows_of("float32", wild=False)

    assert np.abs(rows).max() < 100


@pytest.mark.parametrize("missing", [True, False])
def test_missing_values_are_tried_where_the_graph_knows_them(missing: bool) -> None:
    """Elsewhere they would only make NaN of everything."""
    rows, _ = rows_of("float32", Domain("x", missing=missing))

    assert np.isnan(rows).any() == missing


def test_strings_are_of_several_lengths_and_words() -> None:
    """Of known words and unknown ones, with blanks and other signs between them."""
    rows, _ = rows_of("str", Domain("x", words=["good", "bad"]))
    strings = rows.reshape(-1).tolist()

    assert {len(text.split(" ")) for text in strings} >= {1, 2, 3, 4, 5}
    assert {word for text in strings for word in text.split(" ")} > {"good", "bad"}
    assert any(". " in text for text in strings)


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_whole_numbers_stay_inside_their_domain(dtype: str) -> None:
    """No scale makes an index larger than its table, nor a mask of floats anything else."""
    rows, _ = rows_of(dtype, Domain("x", 0, 1))

    assert set(rows.reshape(-1).tolist()) == {0, 1}
    assert len(rows) > len(WILD)


def test_a_transformer_is_tried_with_words_of_its_own(
    write_model: WriteModel, load: LoadModel
) -> None:
    """Its sequences are longer than one step, and its types of token two."""
    model = load(write_model(odd_models.bert_model()))

    assert {name: array.shape for name, array in model.sample.items()} == {
        "input_ids": (3, 5),
        "attention_mask": (3, 5),
        "token_type_ids": (3, 5),
    }
    assert model.batching_reason is None
