"""Microbatching on a real event loop: what shares a run."""

import asyncio
from time import monotonic

import numpy as np
import pytest

from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.errors import RunFailed
from tests.engine.batching import BAD, answers, ask, either_mode, line, make_batcher, queued, rows
from tests.fakes import FakePool, refusing, turns


@either_mode
async def test_requests_of_one_turn_share_a_run(inline: bool) -> None:
    """Everything that arrives in one turn of the event loop makes one run."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline)

    got = await answers(ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4))

    assert got == [[2], [4, 6], [8]]
    assert pool.runs == [[1, 2, 3, 4]]


@either_mode
async def test_a_request_without_rows_shares_no_run(inline: bool) -> None:
    """What a model makes of none was tried with no neighbours."""
    pool = FakePool(num_sessions=3)
    batcher = make_batcher(pool, inline=inline)

    got = await answers(ask(batcher, 1), ask(batcher), ask(batcher, 2))

    assert got == [[2], [], [4]]
    assert pool.runs == [[1], [], [2]]


async def test_single_request_after_a_single_one_does_not_wait_for_the_turn() -> None:
    """While each turn brings one request, the next is run before anything else happens."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=True)
    await answers(ask(batcher, 1))

    reached = batcher.run(rows(2), 1, deadline=monotonic() + 60).send

    with pytest.raises(StopIteration) as ended:
        reached(None)
    assert ended.value.value.outputs[0].tolist() == [[4]]


async def test_company_ends_the_running_at_once() -> None:
    """The turn after one that brought company shares its run again, from the first request on."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=True)
    await answers(ask(batcher, 1))
    await answers(ask(batcher, 2), ask(batcher, 3), ask(batcher, 4))

    await answers(ask(batcher, 5), ask(batcher, 6))

    assert pool.runs == [[1], [2], [3, 4], [5, 6]]


async def test_failed_single_run_is_told() -> None:
    """A request that is run at once and fails gets its error, and the next its answer."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool, inline=True)
    await answers(ask(batcher, 1))

    assert await answers(ask(batcher, BAD)) == [RunFailed]
    assert await answers(ask(batcher, 2)) == [[4]]


@pytest.mark.parametrize(
    ("inline", "num_first", "runs"),
    [(True, 3, [[1, 2, 3, 9]]), (True, 2, [[1, 2], [9]]), (False, 3, [[1, 2, 3], [9]])],
    ids=["busy", "pair", "lane"],
)
async def test_a_busy_turn_shares_its_run_with_the_next(
    inline: bool, num_first: int, runs: list[list[float]]
) -> None:
    """Three that are run on the loop's thread wait for the turn after theirs, no others do."""
    pool = FakePool(num_sessions=2)
    batcher = make_batcher(pool, inline=inline)

    first = [ask(batcher, value) for value in (1, 2, 3)[:num_first]]
    await asyncio.sleep(0)  # they are queued, and the end of their turn is due
    got = await answers(*first, ask(batcher, 9))

    assert got == [*([2], [4], [6])[:num_first], [18]]
    assert pool.runs == runs


async def test_a_busy_turn_does_not_grow_beyond_what_is_run_inline() -> None:
    """Where twice as many would need a lane, those of this turn are run at its end."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(0.0, 1e-3), inline_budget_seconds=0.004)

    first = [ask(batcher, 1), ask(batcher, 2), ask(batcher, 3)]
    await asyncio.sleep(0)
    await answers(*first, ask(batcher, 4), ask(batcher, 5), ask(batcher, 6))

    assert pool.runs == [[1, 2, 3], [4, 5, 6]]


@either_mode
async def test_single_request_runs_without_a_timer(inline: bool) -> None:
    """A row that comes alone is answered after a few turns of the loop, without time passing."""
    batcher = make_batcher(FakePool(), inline=inline)

    task = ask(batcher, 1)
    await turns()

    assert task.done()


@either_mode
async def test_single_request_is_not_copied(inline: bool) -> None:
    """The arrays of a request that runs by itself reach the session as they are."""
    pool = FakePool()
    inputs = rows(1, 2)

    await make_batcher(pool, inline=inline).run(inputs, 2, deadline=monotonic() + 60)

    assert pool.session.runs[0]["x"] is inputs["x"]


async def test_what_waits_for_a_lane_is_the_next_batch() -> None:
    """Rows that arrive one by one while the lane is busy go together when it is free."""
    pool = FakePool()
    batcher = make_batcher(pool)
    waiting = await queued(batcher, pool, 1, 2, 3)

    pool.release()

    assert await answers(*waiting) == [[2], [4], [6]]
    assert pool.runs == [[0], [1, 2, 3]]


async def test_next_batch_holds_at_most_max_batch_size() -> None:
    """What is over max_batch_size rows waits for the run after."""
    pool = FakePool()
    batcher = make_batcher(pool, max_batch_size=3)
    waiting = await queued(batcher, pool, 1, 2, 3, 4, 5)

    pool.release()

    assert await answers(*waiting) == [[2], [4], [6], [8], [10]]
    assert pool.runs == [[0], [1, 2, 3], [4, 5]]


async def test_each_lane_takes_a_run() -> None:
    """While a second lane is idle, a row does not wait for the first."""
    pool = FakePool(num_sessions=2)
    batcher = make_batcher(pool)
    pool.hold()

    first = ask(batcher, 1)
    await turns()
    second = ask(batcher, 2)
    await turns()

    assert repr(batcher) == "<Batcher [0 requests, 0 rows waiting | 2 running]>"
    pool.release()
    assert await answers(first, second) == [[2], [4]]


async def test_lanes_may_finish_in_any_order() -> None:
    """Answers go by request, not by the order in which runs end."""
    pool = FakePool(num_sessions=2)
    batcher = make_batcher(pool, max_batch_size=2)
    pool.hold()
    tasks = [ask(batcher, value) for value in (1, 2, 3, 4)]
    await turns()

    pool.finish_in_reverse()

    assert await answers(*tasks) == [[2], [4], [6], [8]]


@pytest.mark.parametrize(("seconds", "inline"), [(100e-6, True), (300e-6, False)])
async def test_predicted_cost_chooses_the_thread(seconds: float, inline: bool) -> None:
    """A run predicted to be under the budget runs on the loop's thread, a longer one in a lane."""
    records: list[BatchRecord] = []
    batcher = make_batcher(
        FakePool(), curve=line(seconds), inline_budget_seconds=200e-6, on_batch=records.append
    )

    await answers(ask(batcher, 1))

    assert [record.inline for record in records] == [inline]


@pytest.mark.parametrize(("num_rows", "inline"), [(1, True), (8, False)])
async def test_rows_count_in_the_predicted_cost(num_rows: int, inline: bool) -> None:
    """The same model runs few rows on the loop's thread and many in a lane."""
    records: list[BatchRecord] = []
    batcher = make_batcher(
        FakePool(), curve=line(50e-6, 50e-6), inline_budget_seconds=200e-6, on_batch=records.append
    )

    await answers(ask(batcher, *range(num_rows)))

    assert [record.inline for record in records] == [inline]


@either_mode
async def test_groups_do_not_share_a_run(inline: bool) -> None:
    """Requests whose rows are of different sizes are never joined."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline)

    got = await answers(
        ask(batcher, 1, group="a"), ask(batcher, 2, group="b"), ask(batcher, 3, group="a")
    )

    assert got == [[2], [4], [6]]
    assert sorted(pool.runs) == [[1, 3], [2]]


@either_mode
async def test_rows_of_different_sizes_are_answered(inline: bool) -> None:
    """With the sizes as groups, requests of any width are answered side by side."""
    batcher = make_batcher(FakePool(), inline=inline)
    tables = [np.ones((2, width), np.float32) for width in (1, 3, 1, 2)]

    got = await asyncio.gather(
        *(
            batcher.run({"x": table}, 2, deadline=monotonic() + 60, group=table.shape[1:])
            for table in tables
        )
    )

    assert [result.outputs[0].shape for result in got] == [(2, 1), (2, 3), (2, 1), (2, 2)]


@either_mode
@pytest.mark.parametrize("how", ["batching=False", "max_batch_size=1"])
async def test_without_batching_each_request_runs_alone(inline: bool, how: str) -> None:
    """Batching is off for models that were not proven safe, and with a largest batch of 1."""
    pool = FakePool()
    batcher = make_batcher(
        pool,
        inline=inline,
        batching=how != "batching=False",
        max_batch_size=1 if how == "max_batch_size=1" else 8,
    )

    got = await answers(ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4))

    assert got == [[2], [4, 6], [8]]
    assert pool.runs == [[1], [2, 3], [4]]


async def test_without_batching_rows_are_neither_split_nor_counted() -> None:
    """A model that is run unbatched may get more rows than max_batch_size, and give back fewer."""
    pool = FakePool(lambda inputs: [inputs["x"].sum(axis=0, keepdims=True)])
    batcher = make_batcher(pool, inline=True, batching=False, max_batch_size=2)

    assert await answers(ask(batcher, 1, 2, 3)) == [[6]]


async def test_in_lanes_requests_run_alone_where_batching_does_not_pay() -> None:
    """If rows cost as much together as apart, the first does not wait for the last."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(1e-9, 1e-3))

    assert await answers(ask(batcher, 1), ask(batcher, 2)) == [[2], [4]]
    assert pool.runs == [[1], [2]]


@either_mode
async def test_oversize_request_is_split_and_joined(inline: bool) -> None:
    """Rows over max_batch_size go in several runs and come back as one answer, in order."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline, max_batch_size=4)

    got = await answers(ask(batcher, *range(10)))

    assert got == [[2 * value for value in range(10)]]
    assert pool.runs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_parts_of_an_oversize_request_are_joined_in_order_of_rows() -> None:
    """The order of the rows does not depend on which part is run first."""
    pool = FakePool(num_sessions=3)
    batcher = make_batcher(pool, max_batch_size=2)
    pool.hold()
    task = ask(batcher, 1, 2, 3, 4, 5)
    await turns()

    pool.finish_in_reverse()

    assert await answers(task) == [[2, 4, 6, 8, 10]]


async def test_oversize_request_of_several_inputs_keeps_them_together() -> None:
    """Each input of a model is split and joined at the same rows."""
    pool = FakePool(lambda inputs: [inputs["x"] + inputs["y"], inputs["x"] * inputs["y"]])
    batcher = make_batcher(pool, max_batch_size=2)
    inputs = {**rows(1, 2, 3), "y": rows(10, 20, 30)["x"]}

    result = await batcher.run(inputs, 3, deadline=monotonic() + 60)

    assert [output[:, 0].tolist() for output in result.outputs] == [[11, 22, 33], [10, 40, 90]]
