"""Evidence for and against running rows together: each model here is tried as a new one is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from ml_pipeline.engine.graph.read import report
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.engine.trials.batching import domains_of
from ml_pipeline.engine.trials.sample import sample_inputs
from ml_pipeline.engine.trials.trial import Evidence, try_batching
from ml_pipeline.engine.trials.trial_rows import MOST_BYTES, draw, trial_rows
from tests import models, odd_models
from tests.conftest import WriteModel

Try = Callable[..., Evidence]


class CountingPool(SessionPool):
    """Keeps the number of rows of each run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, num_sessions=1, providers=["CPUExecutionProvider"], shared=True)
        self.sizes: list[int] = []

    def run(self, inputs: Tensors) -> list[Array]:
        self.sizes.append(len(next(iter(inputs.values()))))
        return super().run(inputs)


@pytest.fixture
def try_model(write_model: WriteModel) -> Try:
    """Try a model as if nothing were known of its batch axis."""

    def try_model(model: bytes, *, sample: Any = None, max_batch_size: int = 256) -> Evidence:
        path = write_model(model)
        pool = CountingPool(path)
        graph = report(onnx.load(path))
        inputs, domains = pool.sessions[0].inputs, domains_of(graph)
        rows = sample_inputs(pool, inputs, sample, domains)
        tried = trial_rows(inputs, rows, domains, wild=not graph.unbounded)
        return try_batching(pool, tried, max_batch_size)

    return try_model


def rounded_model() -> bytes:
    """Give `x` as bfloat16."""
    return models.graph(
        [models.node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "bfloat16", [None, 3])],
    )


row_by_row: list[Any] = [
    pytest.param(models.scale_model(), id="floats"),
    pytest.param(models.scale_model(shape=[None]), id="rank-1"),
    pytest.param(models.scale_model(shape=[None, 2, 2]), id="rank-3"),
    *(pytest.param(models.cast_model(x), id=x) for x in models.ONNX_TYPES if x != "str"),
    pytest.param(models.cast_model("bfloat16"), id="bfloat16"),
    pytest.param(rounded_model(), id="to-bfloat16"),
    pytest.param(models.words_model(), id="words"),
    pytest.param(models.two_input_model(), id="two-inputs"),
    pytest.param(models.width_free_model(), id="free-width"),
    pytest.param(models.network_model(32), id="network"),
    pytest.param(models.labelled_model(), id="three-outputs"),
    pytest.param(models.sklearn_classifier(), id="zipmap"),
    pytest.param(models.sklearn_regressor(dtype="float64"), id="doubles"),
    pytest.param(models.sklearn_word_classifier(), id="word-classifier"),
    pytest.param(odd_models.bert_model(), id="attention-and-a-table-of-two"),
    pytest.param(odd_models.centred_model(), id="centred-over-time"),
    pytest.param(odd_models.lagged_model(300), id="beyond-a-batch"),
]


@pytest.mark.parametrize("model", row_by_row)
def test_rows_that_stay_apart_are_found_equal(model: bytes, try_model: Try) -> None:
    """No scale, no word and no number of rows makes a difference."""
    assert try_model(model) == Evidence("equal")


DIFFER = "rows run together differ from rows run apart"

coupled: list[Any] = [
    pytest.param(models.mean_model(), f"output y: {DIFFER}", id="mean-of-the-rows"),
    pytest.param(models.random_model(), f"output y: {DIFFER}", id="random"),
    pytest.param(odd_models.largest_model(), f"output y: {DIFFER}", id="largest-of-all"),
    pytest.param(odd_models.lagged_model(), f"output y: {DIFFER}", id="eighth-before"),
    pytest.param(odd_models.traced_model(), f"output y: {DIFFER}", id="first-eight"),
    pytest.param(odd_models.quantised_model(), f"output probabilities: {DIFFER}", id="quantised"),
    pytest.param(odd_models.quantised_label_model(), f"output label: {DIFFER}", id="label-alone"),
    pytest.param(odd_models.quantised_sign_model(), f"output y: {DIFFER}", id="sign-alone"),
    pytest.param(odd_models.masked_model(), f"output y: {DIFFER}", id="beside-a-mask"),
    pytest.param(odd_models.split_model(mean=True), f"output y: {DIFFER}", id="padded-words"),
    pytest.param(odd_models.centred_model(over_rows=True), f"output y: {DIFFER}", id="behind-time"),
]


@pytest.mark.parametrize(("model", "reason"), coupled)
def test_rows_that_change_each_other_are_found(model: bytes, reason: str, try_model: Try) -> None:
    """By one of the rows, or one of the numbers of rows, that are tried."""
    assert try_model(model) == Evidence("differs", reason)


unfit: list[Any] = [
    pytest.param(
        models.column_sum_model(), "output totals: its first dimension", id="sum-of-the-rows"
    ),
    pytest.param(odd_models.flattened_model(), "output y: its first dimension", id="flattened"),
    pytest.param(odd_models.split_model(), "output codes: the size of a row's", id="split"),
]


@pytest.mark.parametrize(("model", "reason"), unfit)
def test_what_cannot_be_handed_out_is_found(model: bytes, reason: str, try_model: Try) -> None:
    """Outputs that are not one row for each row."""
    found = try_model(model)

    assert found.outcome == "unfit"
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(("most", "outcome"), [(1000, "equal"), (1500, "unfit")])
def test_as_many_rows_are_tried_as_a_batch_may_have(
    most: int, outcome: str, try_model: Try
) -> None:
    """A slice that ends at 1,000 rows is whole up to there."""
    assert try_model(odd_models.cut_model(), max_batch_size=most).outcome == outcome


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(odd_models.constant_model(), id="constant-floats-beside-labels"),
        pytest.param(odd_models.missing_model(), id="not-a-number"),
        pytest.param(odd_models.one_label_model(), id="one-label"),
    ],
)
def test_answers_that_never_change_prove_nothing(model: bytes, try_model: Try) -> None:
    """They are equal together and apart, whatever the model does with its rows."""
    found = try_model(model)

    assert found.outcome == "unproven"
    assert "every row has the same answer" in found.reason


def test_one_real_row_proves_nothing(try_model: Try) -> None:
    """Where no drawn row fits, it would have only itself beside it."""
    assert try_model(models.lookup_model(), sample=[[100]]).outcome == "unproven"


def test_real_rows_prove_what_drawn_ones_cannot(try_model: Try) -> None:
    """Those that the model refuses are left out of the trial."""
    assert try_model(models.lookup_model(), sample=[[100], [102]]) == Evidence("equal")


def test_rows_that_are_all_refused_fail(try_model: Try) -> None:
    """ONNX Runtime's words are the reason."""
    found = try_model(models.lookup_model())

    assert found.outcome == "failed"
    assert found.reason.startswith("trial rows failed: ONNX Runtime")


@pytest.mark.parametrize("rows", [[[1.0, 2.0, 3.0]], [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]]])
def test_the_trial_sees_through_samples(rows: list[list[float]], try_model: Try) -> None:
    """A sample of one row, or of equal rows, does not hide that a model mixes its rows."""
    assert try_model(models.mean_model(), sample=rows).outcome == "differs"


def test_the_last_digits_are_no_difference(try_model: Try) -> None:
    """ONNX Runtime's ELU rounds by the place of a number, whoever its neighbours are."""
    model = models.graph(
        [
            models.node("Elu", ["x"], ["bent"]),
            models.node("Sub", ["bent", "bend"], ["y"]),
        ],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 3])],
        bend=np.array(-0.999, np.float32),
    )

    assert try_model(model) == Evidence("equal")


# What it costs.


def runs(path: Path, max_batch_size: int = 256, **options: float) -> list[int]:
    """Try a model of one input, and give the rows of each run."""
    pool = CountingPool(path)
    inputs = pool.sessions[0].inputs
    rows = trial_rows(inputs, draw(inputs, 3, {}), {}, wild=True)
    assert try_batching(pool, rows, max_batch_size, **options).outcome == "equal"
    return pool.sizes


def test_a_slow_model_is_tried_by_a_few_runs(write_model: WriteModel) -> None:
    """Six rows apart, two and six of them together, whatever time that takes."""
    assert runs(write_model(models.scale_model()), seconds=0.0) == [*[1] * 6, 2, 6]


def test_a_quick_model_is_tried_by_each_row_at_each_size(write_model: WriteModel) -> None:
    """Apart once, and then together."""
    sizes = runs(write_model(models.scale_model()), seconds=60.0)
    num_rows = sizes.count(1)

    assert num_rows > 12
    assert max(sizes) == 256
    assert sizes.count(2) == -(-num_rows // 2)
    assert sizes.count(6) == -(-num_rows // 6)


def test_large_rows_are_tried_by_as_many_as_fit_into_memory(write_model: WriteModel) -> None:
    """Rows of 2 MB are not run by the hundred."""
    width = MOST_BYTES // 32 // 4

    sizes = runs(write_model(models.scale_model(shape=[None, width])))

    assert max(sizes) <= 32
