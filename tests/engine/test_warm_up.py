"""Rows to try a model with, the proof that batching is safe, the cost curve."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

from app.engine.model import EngineOptions
from app.engine.tensor import TensorSpec
from app.engine.warm_up import measure, sample_inputs
from app.errors import InvalidInput, RunRefused
from tests.conftest import Load, Serve, WriteModel, with_batch
from tests.models import (
    ONNX_TYPES,
    column_sum_model,
    labelled_model,
    lookup_model,
    mean_model,
    network_model,
    random_model,
    reference,
    scale_model,
    sklearn_classifier,
    two_input_model,
    width_free_model,
    words_model,
)

RANDOM = np.random.default_rng(4)
ROWS = RANDOM.standard_normal((24, 3)).astype(np.float32)


# Rows to try a model with.


@pytest.mark.parametrize("dtype", ONNX_TYPES)
def test_drawn_rows_fit_the_input(dtype: str) -> None:
    """Rows that are drawn pass the check that requests have to pass."""
    spec = TensorSpec("x", dtype, (-1, 4, -1))

    drawn = sample_inputs((spec,), None)["x"]

    spec.check(drawn)
    assert drawn.shape == (3, 4, 1)


def test_drawn_rows_are_always_the_same() -> None:
    """Two loads try a model with the same rows."""
    spec = TensorSpec("x", "float32", (-1, 4))

    first, second = (sample_inputs((spec,), None)["x"] for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_drawn_rows_keep_a_fixed_first_size() -> None:
    """An input of 2 rows, no more and no less, is tried with 2."""
    drawn = sample_inputs((TensorSpec("x", "float32", (2, 4)),), None)

    assert drawn["x"].shape == (2, 4)


def test_sample_of_the_metadata_stands_before_drawn_rows() -> None:
    """Real rows are tried where there are any."""
    rows = [[1.0, 2.0], [3.0, 4.0]]

    tried = sample_inputs((TensorSpec("x", "float32", (-1, 2)),), rows)

    assert tried["x"].tolist() == rows


def test_sample_is_for_a_lone_input() -> None:
    """Of several inputs each gets drawn rows: a table cannot fill them."""
    specs = (TensorSpec("a", "float32", (-1, 2)), TensorSpec("b", "int64", (-1,)))

    tried = sample_inputs(specs, [[1.0, 2.0]])

    assert {name: array.shape for name, array in tried.items()} == {"a": (3, 2), "b": (3,)}


# The proof.

row_by_row: list[Any] = [
    pytest.param(scale_model(), id="floats"),
    pytest.param(scale_model(shape=[None]), id="rank-1"),
    pytest.param(scale_model(shape=[None, 2, 2]), id="rank-3"),
    pytest.param(words_model(), id="words"),
    pytest.param(two_input_model(), id="two-inputs"),
    pytest.param(width_free_model(), id="free-width"),
    pytest.param(network_model(32), id="network"),
    pytest.param(labelled_model(), id="three-outputs"),
    pytest.param(sklearn_classifier(), id="zipmap"),
]


@pytest.mark.parametrize("model", row_by_row)
def test_row_by_row_models_are_batched(model: bytes, write_model: WriteModel, load: Load) -> None:
    """A model that treats each row by itself passes the proof."""
    assert load(write_model(model)).batching_reason is None


alone: list[Any] = [
    pytest.param(mean_model(), "output y: rows run together differ", id="mean-of-the-rows"),
    pytest.param(column_sum_model(), "output totals: its first dimension", id="sum-of-the-rows"),
    pytest.param(
        scale_model(shape=[1, 3]), "an input has no free first dimension", id="one-row-at-a-time"
    ),
    pytest.param(
        scale_model(shape=[4, 3]), "an input has no free first dimension", id="four-rows-at-a-time"
    ),
    pytest.param(
        two_input_model(right_shape=[1, 2]),
        "an input has no free first dimension",
        id="one-of-two-inputs",
    ),
    pytest.param(random_model(), "output y: rows run together differ", id="random"),
    pytest.param(lookup_model(), "trial rows failed: ONNX Runtime", id="failing-rows"),
]


@pytest.mark.parametrize(("model", "reason"), alone)
def test_other_models_are_run_alone_and_say_why(
    model: bytes, reason: str, write_model: WriteModel, load: Load
) -> None:
    """A model that fails the proof is loaded with the reason, without batching."""
    assert (load(write_model(model)).batching_reason or "").startswith(reason)


@pytest.mark.parametrize("rows", [[[1.0, 2.0, 3.0]], [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0]]])
def test_proof_sees_through_samples(
    rows: list[list[float]], write_model: WriteModel, load: Load
) -> None:
    """A sample of one row, or of equal rows, does not hide that a model mixes its rows."""
    model = load(write_model(mean_model(), sample=rows))

    assert model.batching_reason is not None


def test_batches_of_one_need_no_other_reason(
    write_model: WriteModel, load: Load, options: EngineOptions
) -> None:
    """MAX_BATCH_SIZE=1 turns batching off, and is given as the reason."""
    model = load(write_model(scale_model()), with_batch(options, max_batch_size=1))

    assert model.batching_reason == "MAX_BATCH_SIZE is 1"


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "in-lanes"])
async def test_mixing_models_answer_each_request_alone(
    inline: bool, write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Requests that come together to a model that mixes rows get what they get alone."""
    path = write_model(mean_model())
    served = await serve(path, with_batch(options, inline_budget_seconds=1.0 if inline else 0.0))
    requests = np.split(ROWS, [1, 3, 6, 10, 15])

    replies = await asyncio.gather(*(served.ask(rows) for rows in requests))

    for rows, reply in zip(requests, replies, strict=True):
        expected = reference(path, {"x": rows})[0]
        np.testing.assert_allclose(reply.predictions, expected, atol=1e-6)
    assert {record.num_requests for record in served.batches} == {1}


async def test_requests_over_the_batch_size_are_not_split_where_rows_mix(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """A model that mixes rows sees the rows of a request at once, however many."""
    path = write_model(mean_model())
    served = await serve(path, with_batch(options, max_batch_size=4))

    reply = await served.ask(ROWS)

    np.testing.assert_allclose(reply.predictions, reference(path, {"x": ROWS})[0], atol=1e-6)


async def test_outputs_without_rows_are_answered(write_model: WriteModel, serve: Serve) -> None:
    """A model that sums over its rows answers each request with its own sums."""
    path = write_model(column_sum_model())
    served = await serve(path)
    requests = np.split(ROWS, [1, 8])

    replies = await asyncio.gather(*(served.ask(rows) for rows in requests))

    for rows, reply in zip(requests, replies, strict=True):
        np.testing.assert_allclose(reply.predictions, rows.sum(axis=0), rtol=1e-5, atol=1e-6)


async def test_fixed_first_size_takes_rows_one_by_one(
    write_model: WriteModel, serve: Serve
) -> None:
    """Requests to a model of one row at a time are each run alone."""
    served = await serve(write_model(scale_model(shape=[1, 3])))

    replies = await asyncio.gather(*(served.ask(row[None]) for row in ROWS))

    answered = np.concatenate([reply.predictions for reply in replies])
    np.testing.assert_allclose(answered, ROWS * 2, rtol=1e-6)
    assert [record.num_rows for record in served.batches] == [1] * len(ROWS)


async def test_fixed_first_size_refuses_other_numbers_of_rows(
    write_model: WriteModel, serve: Serve
) -> None:
    """Two rows for a model of one row at a time are refused before any run."""
    served = await serve(write_model(scale_model(shape=[1, 3])))

    with pytest.raises(InvalidInput, match="expected 1 row, found 2"):
        await served.ask(ROWS[:2])

    assert served.batches == []


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "in-lanes"])
async def test_requests_of_different_widths_do_not_share_a_run(
    inline: bool, write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Where the number of features is free, only rows of one width are run together."""
    path = write_model(width_free_model())
    served = await serve(path, with_batch(options, inline_budget_seconds=1.0 if inline else 0.0))
    widths = [1, 2, 3, 2, 1, 3, 2, 5]
    requests = [RANDOM.standard_normal((2, width)).astype(np.float32) for width in widths]

    replies = await asyncio.gather(*(served.ask(rows) for rows in requests))

    for rows, reply in zip(requests, replies, strict=True):
        np.testing.assert_allclose(reply.predictions, rows.sum(axis=1), rtol=1e-5, atol=1e-6)
    assert len(served.batches) >= len(set(widths))


async def test_failing_trial_rows_do_not_keep_a_model_from_answering(
    write_model: WriteModel, serve: Serve
) -> None:
    """A model that no drawn row fits is loaded, and answers the rows that do."""
    served = await serve(write_model(lookup_model()))

    replies = await asyncio.gather(*(served.ask([[value]]) for value in (100, 101, 102)))

    assert [reply.predictions.tolist() for reply in replies] == [[1000], [1010], [1020]]


async def test_rows_that_fail_are_refused_as_a_failed_run(
    write_model: WriteModel, serve: Serve
) -> None:
    """What the model refuses is told as a failed run, and nothing is stored."""
    served = await serve(write_model(lookup_model()))

    with pytest.raises(RunRefused):
        await served.ask([[7]])

    assert served.cache.statistics().num_entries == 0


def test_sample_makes_up_for_drawn_rows(write_model: WriteModel, load: Load) -> None:
    """Real rows in the metadata prove what drawn rows cannot."""
    model = load(write_model(lookup_model(), sample=[[100], [102]]))

    assert model.batching_reason is None
    assert model.curve.samples


# The cost curve.


def test_curve_is_measured_up_to_the_batch_size(
    write_model: WriteModel, load: Load, options: EngineOptions
) -> None:
    """Runs of 1, 2, 4 … rows are timed, none larger than a batch, as many as there is time for."""
    model = load(write_model(scale_model()), with_batch(options, max_batch_size=20))

    sizes = [sample.num_rows for sample in model.curve.samples]
    assert len(sizes) >= 2
    assert sizes == [1, 2, 4, 8, 16][: len(sizes)]
    assert all(sample.seconds > 0 for sample in model.curve.samples)


def test_curve_of_an_unbatched_model_is_one_run(write_model: WriteModel, load: Load) -> None:
    """Where rows are not run together, only a run of the trial rows is timed."""
    model = load(write_model(mean_model()))

    assert [sample.num_rows for sample in model.curve.samples] == [1]


def test_curve_grows_with_rows(write_model: WriteModel, load: Load) -> None:
    """A model whose work is in its rows is predicted to take longer for more of them."""
    model = load(write_model(network_model(512)))

    assert len(model.curve.samples) >= 2
    assert model.curve.predict(256) > model.curve.predict(16) > model.curve.predict(1) > 0


def test_curve_of_failing_rows_is_unknown(write_model: WriteModel, load: Load) -> None:
    """Nothing is measured where the trial rows fail, and a cost is predicted all the same."""
    model = load(write_model(lookup_model()))

    assert model.curve.samples == []
    assert model.curve.predict(1) > 0


@pytest.mark.parametrize("share_weights_above_bytes", [0, 10**9], ids=["shared", "own"])
def test_curve_is_measured_on_any_pool(
    share_weights_above_bytes: int, write_model: WriteModel, load: Load, options: EngineOptions
) -> None:
    """A curve can be measured on a pool of any number of sessions, shared or not."""
    three_lanes = msgspec.structs.replace(
        options, num_sessions=3, share_weights_above_bytes=share_weights_above_bytes
    )
    pool = load(write_model(scale_model()), three_lanes).pool

    curve = measure(pool, {"x": ROWS}, 2)

    assert [sample.num_rows for sample in curve.samples] == [1, 2]
