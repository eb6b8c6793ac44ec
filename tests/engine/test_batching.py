"""Who shares a run: what the owner, the graph and a trial say, and what clients see of it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_pipeline.engine.graph.report import Batching, GraphReport, Verdict
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import DeclaredMetadata
from ml_pipeline.engine.signature.tensor import Array
from ml_pipeline.engine.trials.batching import why_alone
from ml_pipeline.errors import InvalidInput, RunRefused
from tests import odd_models
from tests.conftest import LoadModel, Serve, WriteModel, with_batch
from tests.models import (
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


# What is decided.


def why(path: Path, rows: Array, verdict: Verdict, **metadata: Any) -> str | None:
    """Give the reason against batching a model of one input, if its graph says so much."""
    pool = SessionPool(path, num_sessions=1, providers=["CPUExecutionProvider"], shared=True)
    graph = GraphReport(Batching(verdict, "Mean it", "mixes all rows"), unbounded="")
    sample = {pool.sessions[0].inputs[0].name: rows}
    return why_alone(pool, sample, DeclaredMetadata(**metadata), graph, 256)


EQUAL, DIFFERS = scale_model(), mean_model()
UNPROVEN, FAILS, UNFIT = odd_models.constant_model(), lookup_model(), column_sum_model()
NUMBERS = np.array([[1]])

decisions: list[Any] = [
    pytest.param("independent", EQUAL, None, id="shown-and-seen"),
    pytest.param("independent", UNPROVEN, None, id="shown-and-not-seen"),
    pytest.param("independent", FAILS, None, id="shown-and-not-tried"),
    pytest.param("independent", DIFFERS, "its graph keeps rows apart, but", id="contradicted"),
    pytest.param("independent", UNFIT, "its graph keeps rows apart, but", id="contradicted-sizes"),
    pytest.param("coupled", EQUAL, "Mean it mixes all rows", id="refuted"),
    pytest.param("unknown", EQUAL, None, id="seen"),
    pytest.param("unknown", DIFFERS, "output y: rows run together differ", id="seen-to-differ"),
    pytest.param("unknown", UNFIT, "output totals: its first dimension", id="other-sizes"),
    pytest.param("unknown", UNPROVEN, "its trial proves nothing", id="not-seen"),
    pytest.param("unknown", FAILS, "trial rows failed", id="not-tried"),
]


@pytest.mark.parametrize(("verdict", "model", "reason"), decisions)
def test_a_graph_counts_more_than_a_trial(
    verdict: Verdict, model: bytes, reason: str | None, write_model: WriteModel
) -> None:
    """A trial proves what no graph shows; of what one shows it can only prove the contrary."""
    found = why(write_model(model), NUMBERS if model is FAILS else ROWS[:3], verdict)

    assert found == reason if reason is None else (found or "").startswith(reason)


accepted: list[Any] = [
    pytest.param("coupled", DIFFERS, None, id="differs"),
    pytest.param("unknown", DIFFERS, None, id="unknown-differs"),
    pytest.param("unknown", UNPROVEN, None, id="unproven"),
    pytest.param("coupled", UNFIT, "output totals: its first dimension", id="other-sizes"),
    pytest.param("coupled", FAILS, "trial rows failed", id="not-tried"),
]


@pytest.mark.parametrize(("verdict", "model", "reason"), accepted)
def test_an_owner_may_accept_that_rows_change_each_other(
    verdict: Verdict, model: bytes, reason: str | None, write_model: WriteModel
) -> None:
    """But not that there is nothing to hand out."""
    rows = NUMBERS if model is FAILS else ROWS[:3]

    found = why(write_model(model), rows, verdict, batching="accept")

    assert found == reason if reason is None else (found or "").startswith(reason)


def test_real_rows_of_one_step_do_not_hide_that_steps_are_rows(write_model: WriteModel) -> None:
    """Longer ones are drawn beside them."""
    one_step = np.ones((2, 1, 4), np.float32)
    path = write_model(odd_models.flattened_model())

    found = why(path, one_step, "unknown", sample=one_step.tolist())

    assert (found or "").startswith("output y: its first dimension does not follow")


@pytest.mark.parametrize("verdict", ["independent", "coupled", "unknown"])
def test_an_owner_may_forbid_it(verdict: Verdict, write_model: WriteModel) -> None:
    """Whatever a graph shows."""
    assert why(write_model(EQUAL), ROWS, verdict, batching=False) == "its metadata says so"


# What comes of it.

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
def test_row_by_row_models_are_batched(
    model: bytes, write_model: WriteModel, load: LoadModel
) -> None:
    """A model that treats each row by itself passes the proof."""
    assert load(write_model(model)).batching_reason is None


alone: list[Any] = [
    pytest.param(mean_model(), "ReduceMean mean ", id="mean-of-the-rows"),
    pytest.param(column_sum_model(), "ReduceSum totals ", id="sum-of-the-rows"),
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
    pytest.param(odd_models.largest_model(), "ReduceMax largest ", id="largest-of-all"),
    pytest.param(odd_models.lagged_model(), "Conv heard ", id="eighth-before"),
    pytest.param(odd_models.traced_model(), "Less known ", id="first-eight"),
    pytest.param(odd_models.quantised_model(), "DynamicQuantizeLinear q ", id="quantised"),
    pytest.param(odd_models.quantised_sign_model(), "DynamicQuantizeLinear q ", id="sign-alone"),
]


@pytest.mark.parametrize(("model", "reason"), alone)
def test_other_models_are_run_alone_and_say_why(
    model: bytes, reason: str, write_model: WriteModel, load: LoadModel
) -> None:
    """Such a model is loaded, without batching."""
    assert (load(write_model(model)).batching_reason or "").startswith(reason)


def test_batches_of_one_need_no_other_reason(
    write_model: WriteModel, load: LoadModel, options: EngineOptions
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


BRIGHT = np.linspace(0.1, 300, 24, dtype=np.float32).reshape(-1, 1)
WORDS = np.array(["good film", "bad bad bad bad", "film", "nothing", "bad film good"], object)

neighbours: list[Any] = [
    pytest.param(odd_models.largest_model(), BRIGHT.repeat(4, 1), id="largest-of-all"),
    pytest.param(odd_models.lagged_model(), ROWS[:, :2], id="eighth-before"),
    pytest.param(odd_models.traced_model(), BRIGHT.repeat(4, 1), id="first-eight"),
    pytest.param(
        odd_models.quantised_model(),
        RANDOM.normal(5e4, 1.5e4, (24, 10)).astype(np.float32),
        id="quantised",
    ),
    pytest.param(
        odd_models.quantised_label_model(),
        (RANDOM.standard_normal((24, 16)) * BRIGHT).astype(np.float32),
        id="quantised-label",
    ),
    pytest.param(
        odd_models.quantised_sign_model(),
        np.array([[0.1, -0.1], [100, 100], [-3, 3]], np.float32),
        id="quantised-sign",
    ),
    pytest.param(odd_models.masked_model(), ROWS[:, :2], id="beside-a-mask"),
    pytest.param(odd_models.split_model(), WORDS, id="words"),
    pytest.param(odd_models.split_model(mean=True), WORDS, id="mean-of-words"),
    pytest.param(odd_models.centred_model(), ROWS.reshape(6, 6, 2), id="over-time"),
    pytest.param(odd_models.flattened_model(), ROWS.reshape(3, 6, 4), id="flattened"),
    pytest.param(odd_models.cut_model(2), ROWS[:, [0, 1, 2, 0]], id="cut"),
]


@pytest.mark.parametrize(("model", "rows"), neighbours)
async def test_neighbours_change_no_answer(
    model: bytes, rows: Array, write_model: WriteModel, serve: Serve
) -> None:
    """Each of many rows that come at once is answered as it is alone."""
    path = write_model(model)
    served = await serve(path)
    apart = np.split(rows, len(rows))

    replies = await asyncio.gather(*(served.ask(row) for row in apart))

    for row, reply in zip(apart, replies, strict=True):
        expected = reference(path, {"x": row})[0]
        answer = reply.answer["probabilities"] or reply.answer["predictions"]
        found = np.reshape(answer, expected.shape)  # a lone column comes flat
        np.testing.assert_allclose(found, expected, rtol=1e-5)


async def test_a_request_is_answered_as_a_whole_by_a_model_that_cuts(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Of 1,500 rows a slice that ends at 1,000 gives as many, and no fault."""
    path = write_model(odd_models.cut_model())
    served = await serve(path, with_batch(options, max_batch_size=2048))
    rows = np.arange(6000, dtype=np.float32).reshape(-1, 4)

    reply = await served.ask(rows)

    np.testing.assert_array_equal(reply.predictions, rows[:1000])


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


def test_sample_makes_up_for_drawn_rows(write_model: WriteModel, load: LoadModel) -> None:
    """Real rows in the metadata prove what drawn rows cannot."""
    model = load(write_model(lookup_model(), sample=[[100], [102]]))

    assert model.batching_reason is None
    assert model.curve.samples
