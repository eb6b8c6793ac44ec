"""Microbatching on a real event loop: what shares a run, who gets which answer, who is refused.

What goes together is decided by a plain queue, tested in test_batch_queue.py. Pools here run a
Python function and have no threads; `hold` keeps their lanes busy for as long as a test wants.
"""

import asyncio
from collections.abc import Callable, Hashable
from math import ceil
from time import monotonic
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.batch_queue import BatchOptions, RunResult
from app.engine.batch_run import BatchRecord
from app.engine.batcher import Batcher, BatcherStatistics
from app.engine.cost_curve import CostCurve, Sample
from app.engine.session_pool import SessionPool
from app.engine.tensor import Array, Tensors
from app.errors import DeadlineExceeded, NotReady, Overloaded, RunFailed
from tests.fakes import FakePool, losing_a_row, refusing, settled, turns

BAD = 13.0
IDLE = BatcherStatistics(0, 0, 0)
either_mode = pytest.mark.parametrize("inline", [True, False], ids=["inline", "pool"])


def line(fixed_seconds: float, row_seconds: float = 0.0) -> CostCurve:
    """A curve on which a run costs so much, whatever the fakes need."""
    sizes = (1, 1024)
    return CostCurve([Sample(size, fixed_seconds + row_seconds * size) for size in sizes])


def make_batcher(
    pool: FakePool,
    *,
    inline: bool = False,
    curve: CostCurve | None = None,
    batching: bool = True,
    max_batch_size: int = 8,
    max_queue_size: int = 1000,
    max_queue_delay_seconds: float = 0.0,
    inline_budget_seconds: float | None = None,
    on_batch: Callable[[BatchRecord], None] = lambda record: None,
) -> Batcher:
    if inline_budget_seconds is None:
        inline_budget_seconds = float("inf") if inline else 0.0
    return Batcher(
        cast(SessionPool, pool),
        curve or line(1e-3),
        BatchOptions(
            max_batch_size, max_queue_size, max_queue_delay_seconds, inline_budget_seconds
        ),
        batching=batching,
        on_batch=on_batch,
    )


def rows(*values: float) -> Tensors:
    """One input, float32 `[b, 1]`."""
    return {"x": np.array(values, np.float32).reshape(-1, 1)}


def ask(
    batcher: Batcher, *values: float, within: float = 60.0, group: Hashable = ()
) -> "asyncio.Task[RunResult]":
    """Ask for rows of these values, as a client's request does: on a task of its own."""
    deadline = monotonic() + within
    return asyncio.create_task(
        batcher.run(rows(*values), len(values), deadline=deadline, group=group)
    )


async def answers(*tasks: "asyncio.Task[RunResult]") -> list[list[float] | type[BaseException]]:
    """What each request got: its values, or the class of its error."""
    ends = await settled(*tasks)
    return [
        end.outputs[0][:, 0].tolist() if isinstance(end, RunResult) else type(end) for end in ends
    ]


async def queued(
    batcher: Batcher, pool: FakePool, *requests: float
) -> list["asyncio.Task[RunResult]"]:
    """Keep every lane busy with rows of 0, and let one request a value wait behind them."""
    pool.hold()
    for _ in pool.sessions:
        ask(batcher, 0.0)
        await turns()
    waiting = [ask(batcher, value) for value in requests]
    await turns()
    return waiting


# What shares a run


@either_mode
async def test_requests_of_one_turn_share_a_run(inline: bool) -> None:
    """Everything that arrives in one turn of the event loop makes one run."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline)

    got = await answers(ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4))

    assert got == [[2], [4, 6], [8]]
    assert pool.runs == [[1, 2, 3, 4]]


async def test_lone_request_after_a_lone_one_does_not_wait_for_the_turn() -> None:
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


async def test_failed_lone_run_is_told() -> None:
    """A request that is run at once and fails gets its error, and the next its answer."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool, inline=True)
    await answers(ask(batcher, 1))

    assert await answers(ask(batcher, BAD)) == [RunFailed]
    assert await answers(ask(batcher, 2)) == [[4]]


@either_mode
async def test_lone_request_runs_without_a_timer(inline: bool) -> None:
    """A row that comes alone is answered after a few turns of the loop, without time passing."""
    batcher = make_batcher(FakePool(), inline=inline)

    task = ask(batcher, 1)
    await turns()

    assert task.done()


@either_mode
async def test_lone_request_is_not_copied(inline: bool) -> None:
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

    assert batcher.statistics() == BatcherStatistics(0, 0, 2)
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


# Callers who leave


@pytest.mark.parametrize("leaving", [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]])
@pytest.mark.parametrize("state", ["before its turn ends", "waiting for a lane", "running"])
async def test_cancelled_waiter_leaves_its_neighbours_alone(leaving: list[int], state: str) -> None:
    """Whoever of three is cancelled, and whenever: the others are answered, and so is the next."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=state == "before its turn ends")
    if state == "waiting for a lane":
        tasks = await queued(batcher, pool, 1, 2, 3)
    else:
        pool.hold()
        tasks = [ask(batcher, value) for value in (1, 2, 3)]
        await turns(1 if state == "before its turn ends" else 6)

    for index in leaving:
        tasks[index].cancel()
    await turns(1)
    pool.release()

    expected = [[2.0], [4.0], [6.0]]
    got = await answers(*tasks)
    assert got == [
        asyncio.CancelledError if index in leaving else expected[index] for index in range(3)
    ]
    assert await answers(ask(batcher, 7)) == [[14]]
    assert batcher.statistics() == IDLE


@either_mode
async def test_cancelled_rows_are_not_run(inline: bool) -> None:
    """Rows of a caller who has left before the run are not part of it."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline)
    tasks = [ask(batcher, value) for value in (1, 2, 3)]
    await turns(1)

    tasks[1].cancel()

    assert await answers(tasks[0], tasks[2]) == [[2], [6]]
    assert pool.runs == [[1, 3]]


async def test_cancelled_oversize_request_leaves_nothing_behind() -> None:
    """All parts of a split request go with its caller."""
    pool = FakePool()
    batcher = make_batcher(pool, max_batch_size=2)
    await queued(batcher, pool)
    task = ask(batcher, 1, 2, 3, 4, 5)
    await turns()

    task.cancel()
    await turns()
    pool.release()
    await turns()

    assert pool.runs == [[0]]
    assert batcher.statistics() == IDLE


async def test_cancelled_rows_make_room_in_the_queue() -> None:
    """Rows whose callers have left do not keep others out of a full queue."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_size=2)
    waiting = await queued(batcher, pool, 1, 2)
    for task in waiting:
        task.cancel()
    await turns()

    admitted = ask(batcher, 3)
    await turns()
    pool.release()

    assert await answers(admitted) == [[6]]


# Errors


@either_mode
@pytest.mark.parametrize("guilty", [0, 1, 2])
async def test_error_reaches_only_the_guilty_request(inline: bool, guilty: int) -> None:
    """If one request spoils a batch, it alone gets the error; the others get their answers."""
    batcher = make_batcher(FakePool(refusing(BAD)), inline=inline)
    values = [1.0, 2.0, 3.0]
    values[guilty] = BAD

    got = await answers(*(ask(batcher, value) for value in values))

    assert got == [RunFailed if value == BAD else [2 * value] for value in values]
    assert batcher.statistics() == IDLE


@either_mode
async def test_all_guilty_requests_get_an_error_each(inline: bool) -> None:
    """Each request of a batch that fails by itself too has its own error."""
    pool = FakePool(refusing(BAD, BAD + 1))
    batcher = make_batcher(pool, inline=inline)

    first, second = await settled(ask(batcher, BAD), ask(batcher, BAD + 1))

    assert [first.detail, second.detail] == ["row of 13", "row of 14"]


async def test_error_reaches_none_of_the_next_batch() -> None:
    """What waited while a batch failed is answered, and so is what comes later."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool)
    pool.hold()
    failing = [ask(batcher, BAD), ask(batcher, 1)]
    await turns()
    waiting = ask(batcher, 2)
    await turns()

    pool.release()

    assert await answers(*failing, waiting) == [RunFailed, [2], [4]]
    assert await answers(ask(batcher, 3)) == [[6]]


@either_mode
async def test_failed_batch_is_tried_again_one_by_one(inline: bool) -> None:
    """After a failure each request runs once more, by itself, and no more than once."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool, inline=inline)

    await answers(ask(batcher, 1), ask(batcher, BAD), ask(batcher, 2))

    assert pool.runs == [[1, BAD, 2], [1], [BAD], [2]]


@pytest.mark.parametrize("leaving", [0, 1, 2])
async def test_cancelled_waiter_of_a_failing_batch_harms_nobody(leaving: int) -> None:
    """Cancelled and failed in one batch: those who stayed get what is theirs."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool)
    pool.hold()
    tasks = [ask(batcher, value) for value in (1, BAD, 2)]
    await turns()

    tasks[leaving].cancel()
    pool.release()

    expected: list[list[float] | type[BaseException]] = [[2.0], RunFailed, [4.0]]
    expected[leaving] = asyncio.CancelledError
    assert await answers(*tasks) == expected
    assert batcher.statistics() == IDLE


async def test_failed_run_of_a_caller_who_left_holds_up_nobody() -> None:
    """A lone request that is cancelled while it runs, and fails, leaves the next batch alone."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool)
    pool.hold()
    gone = ask(batcher, BAD)
    await turns()
    waiting = ask(batcher, 1)
    await turns()

    gone.cancel()
    await turns()
    pool.release()

    assert await answers(waiting) == [[2]]
    assert batcher.statistics() == IDLE


@either_mode
async def test_guilty_part_fails_an_oversize_request_alone(inline: bool) -> None:
    """One error for the whole split request; its neighbours are answered."""
    batcher = make_batcher(FakePool(refusing(BAD)), inline=inline, max_batch_size=2)

    got = await answers(ask(batcher, 1), ask(batcher, 2, 3, BAD, 4, 5), ask(batcher, 6))

    assert got == [[2], RunFailed, [12]]


@either_mode
@pytest.mark.parametrize("num_requests", [1, 3])
async def test_wrong_number_of_rows_is_an_error(inline: bool, num_requests: int) -> None:
    """Outputs that do not count as many rows as the batch reach nobody."""
    batcher = make_batcher(FakePool(losing_a_row), inline=inline)

    ends = await settled(*(ask(batcher, 1, 2) for _ in range(num_requests)))

    assert [type(end) for end in ends] == [RunFailed] * num_requests
    assert ends[0].detail == "outputs: expected 2 rows, found shape (1, 1)"


@either_mode
async def test_wrong_number_of_rows_in_a_second_output_is_an_error(inline: bool) -> None:
    """Every output is counted, not only the first."""
    pool = FakePool(lambda inputs: [inputs["x"], inputs["x"][:1]])
    batcher = make_batcher(pool, inline=inline)

    assert await answers(ask(batcher, 1, 2)) == [RunFailed]


@either_mode
async def test_unforeseen_exception_leaves_nobody_waiting(inline: bool) -> None:
    """An exception that is none of ours ends the requests of its run, and only those."""

    def broken(inputs: Tensors) -> list[Array]:
        if (inputs["x"] == BAD).any():
            raise ValueError("a ZipMap of ragged rows")
        return [inputs["x"] * 2]

    batcher = make_batcher(FakePool(broken), inline=inline)

    (guilty,) = await settled(ask(batcher, BAD))

    assert isinstance(guilty, Exception)
    assert await answers(ask(batcher, 1)) == [[2]]


# Who is refused


async def test_full_queue_refuses_before_any_work() -> None:
    """Beyond max_queue_size rows a request is refused at once, and told when to come back."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_size=3)
    waiting = await queued(batcher, pool, 1, 2)
    before = batcher.statistics()

    with pytest.raises(Overloaded, match=r"expected at most 3 rows waiting, found 2") as caught:
        await batcher.run(rows(3, 4), 2, deadline=monotonic() + 60)

    assert caught.value.retry_after_seconds is not None
    assert caught.value.retry_after_seconds >= 1
    assert batcher.statistics() == before
    pool.release()
    assert await answers(*waiting) == [[2], [4]]


async def test_queue_may_be_filled_to_the_last_row() -> None:
    """Exactly max_queue_size rows may wait."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_size=3)
    waiting = await queued(batcher, pool, 1, 2, 3)

    pool.release()

    assert await answers(*waiting) == [[2], [4], [6]]


@either_mode
async def test_request_larger_than_the_queue_is_served_by_an_idle_model(inline: bool) -> None:
    """The bound is on what waits: with nobody before it, a large request is let in."""
    batcher = make_batcher(FakePool(), inline=inline, max_queue_size=2)

    assert await answers(ask(batcher, 1, 2, 3, 4)) == [[2, 4, 6, 8]]


async def test_retry_after_is_the_predicted_wait() -> None:
    """Refused callers are told the seconds in which the queue will be through, rounded up."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(7.2), max_queue_size=1)
    await queued(batcher, pool, 1)

    with pytest.raises(Overloaded) as caught:
        await batcher.run(rows(2), 1, deadline=monotonic() + 60)

    assert caught.value.retry_after_seconds == ceil(batcher.predicted_wait_seconds())
    pool.release()


async def test_wait_beyond_the_deadline_is_refused_at_once() -> None:
    """A request that cannot be answered in time is refused before it waits."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(5.0))
    await queued(batcher, pool, 1)
    before = batcher.statistics()

    with pytest.raises(Overloaded, match="deadline: expected an answer in") as caught:
        await batcher.run(rows(2), 1, deadline=monotonic() + 1)

    assert caught.value.retry_after_seconds is not None
    assert caught.value.retry_after_seconds >= 5
    assert batcher.statistics() == before
    pool.release()


async def test_wait_within_the_deadline_is_admitted() -> None:
    """A request that can wait for those before it is let in."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(5.0))
    await queued(batcher, pool, 1)

    task = ask(batcher, 2, within=60)
    await turns()
    pool.release()

    assert await answers(task) == [[4]]


async def test_nothing_waiting_is_no_wait() -> None:
    """The predicted wait of an idle batcher is 0."""
    assert make_batcher(FakePool()).predicted_wait_seconds() == 0.0


async def test_predicted_wait_is_shared_by_the_lanes() -> None:
    """Four runs to come and two under way, of 4 s each, are through in 12 s on two lanes."""
    pool = FakePool(num_sessions=2)
    batcher = make_batcher(pool, curve=line(4.0), max_batch_size=1)

    await queued(batcher, pool, 1, 2, 3, 4)

    assert batcher.predicted_wait_seconds() == pytest.approx(12.0)
    pool.release()


async def test_predicted_wait_counts_batches() -> None:
    """Rows that will share a run cost one run."""
    pools = FakePool(), FakePool()
    batchers = [
        make_batcher(pool, curve=line(4.0), max_batch_size=size)
        for pool, size in zip(pools, (2, 64), strict=True)
    ]

    for batcher, pool in zip(batchers, pools, strict=True):
        await queued(batcher, pool, *range(20))

    assert batchers[0].predicted_wait_seconds() > 4 * batchers[1].predicted_wait_seconds()
    for pool in pools:
        pool.release()


async def test_predicted_wait_is_no_shorter_than_a_run() -> None:
    """However many lanes there are, what waits still needs one whole run."""
    pool = FakePool(num_sessions=4)
    batcher = make_batcher(pool, curve=line(5.0))

    await queued(batcher, pool, 1)

    assert batcher.predicted_wait_seconds() >= 5.0
    pool.release()


async def test_deadline_ends_the_wait_while_lanes_are_busy() -> None:
    """A deadline that passes in the queue is told then, not when a lane is free; nothing runs."""
    pool = FakePool()
    batcher = make_batcher(pool)
    await queued(batcher, pool)
    late = ask(batcher, 1, within=0.01)

    got = await answers(late)

    assert got == [DeadlineExceeded]
    assert not pool.idle
    pool.release()
    await turns()
    assert pool.runs == [[0]]


async def test_expired_neighbour_leaves_the_others_waiting() -> None:
    """Who has more time is still run after another's deadline."""
    pool = FakePool()
    batcher = make_batcher(pool)
    (patient,) = await queued(batcher, pool, 1)

    assert await answers(ask(batcher, 2, within=0.01)) == [DeadlineExceeded]
    assert batcher.statistics().num_requests_waiting == 1
    pool.release()
    assert await answers(patient) == [[2]]
    assert pool.runs == [[0], [1]]


async def test_each_deadline_is_kept() -> None:
    """After the first deadline the next one is watched, in whatever order they came."""
    pool = FakePool()
    batcher = make_batcher(pool)
    await queued(batcher, pool)
    later, earlier = ask(batcher, 1, within=0.03), ask(batcher, 2, within=0.01)

    assert await answers(earlier) == [DeadlineExceeded]
    assert await answers(later) == [DeadlineExceeded]
    pool.release()


@either_mode
async def test_deadline_that_has_passed_on_arrival_is_not_run(inline: bool) -> None:
    """Rows that are too late when they come do not reach the session."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline)

    assert await answers(ask(batcher, 1, within=-1.0)) == [DeadlineExceeded]
    assert pool.runs == []


async def test_expired_rows_make_room_in_the_queue() -> None:
    """What is past its deadline does not keep others out."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_size=1)
    await queued(batcher, pool)
    await answers(ask(batcher, 1, within=0.01))

    admitted = ask(batcher, 2)
    await turns()
    pool.release()

    assert await answers(admitted) == [[4]]


# max_queue_delay


@either_mode
async def test_full_batch_does_not_wait_for_the_delay(inline: bool) -> None:
    """With max_batch_size rows there is nothing to wait for."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline, max_batch_size=3, max_queue_delay_seconds=60)

    tasks = [ask(batcher, value) for value in (1, 2, 3)]
    await turns()

    assert await answers(*tasks) == [[2], [4], [6]]
    assert pool.runs == [[1, 2, 3]]


@either_mode
async def test_request_that_fills_a_batch_does_not_wait_for_the_delay(inline: bool) -> None:
    """One request of max_batch_size rows needs no company."""
    batcher = make_batcher(FakePool(), inline=inline, max_batch_size=3, max_queue_delay_seconds=60)

    assert await answers(ask(batcher, 1, 2, 3)) == [[2, 4, 6]]


@either_mode
async def test_rows_that_fill_the_batch_end_the_delay(inline: bool) -> None:
    """The row that makes the batch full starts the run, for those too who came turns before."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=inline, max_batch_size=2, max_queue_delay_seconds=60)
    first = ask(batcher, 1)
    await turns()
    assert not first.done()

    second = ask(batcher, 2)

    assert await answers(first, second) == [[2], [4]]


async def test_partial_batch_goes_after_the_delay_of_its_first_row() -> None:
    """A partial batch runs once its first row has waited the delay: not before, and not later.

    The loop runs timers in the order in which they are due, so no stopwatch is needed. A batcher
    that starts the delay anew with the second row, at 20 ms, would run last.
    """
    loop, order = asyncio.get_running_loop(), list[str]()
    batcher = make_batcher(
        FakePool(),
        inline=True,
        max_queue_delay_seconds=0.03,
        on_batch=lambda record: order.append("run"),
    )

    loop.call_later(0.02, order.append, "before")
    first = ask(batcher, 1)
    await turns(1)
    loop.call_later(0.04, order.append, "after")
    await asyncio.sleep(0.02)
    second = ask(batcher, 2)
    await answers(first, second)
    await asyncio.sleep(0.03)

    assert order.index("before") < order.index("run") < order.index("after")


async def test_rows_within_the_delay_share_a_run() -> None:
    """Rows of several turns go together when there is a delay."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_delay_seconds=0.02)
    first = ask(batcher, 1)
    await turns()

    second = ask(batcher, 2)

    assert await answers(first, second) == [[2], [4]]
    assert pool.runs == [[1, 2]]


async def test_each_batch_has_its_own_delay() -> None:
    """After a run the next row waits its delay again."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_delay_seconds=0.01)
    await answers(ask(batcher, 1))

    second = ask(batcher, 2)
    await turns()

    assert not second.done()
    assert await answers(second) == [[4]]
    assert pool.runs == [[1], [2]]


async def test_row_that_has_waited_its_delay_takes_the_first_free_lane() -> None:
    """A row that comes later does not start the delay of the first one anew."""
    pool = FakePool()
    batcher = make_batcher(pool, max_batch_size=3, max_queue_delay_seconds=0.03)
    pool.hold()
    busy = [ask(batcher, 0) for _ in range(3)]
    await turns()
    first = ask(batcher, 1)
    await asyncio.sleep(0.04)
    second = ask(batcher, 2)
    await turns()

    pool.release()
    await turns()

    assert first.done()
    await answers(*busy, first, second)


async def test_failed_batch_is_tried_again_without_a_delay() -> None:
    """Rows that go back to the queue do not wait for company, nor for the delay of a later row."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool, max_batch_size=2, max_queue_delay_seconds=60)
    pool.hold()
    failing = [ask(batcher, 1), ask(batcher, BAD)]
    await turns()
    later = ask(batcher, 2)
    await turns()

    pool.release()

    assert await answers(*failing) == [[2], RunFailed]
    later.cancel()


async def test_deadline_within_the_delay_is_kept() -> None:
    """A row whose deadline comes before the end of the delay is answered or refused by then."""
    batcher = make_batcher(FakePool(), max_queue_delay_seconds=60)

    task = ask(batcher, 1, within=0.01)

    assert await answers(task) in ([DeadlineExceeded], [[2]])


# End of life


async def test_closed_batcher_refuses() -> None:
    """After aclose nothing is taken in, and the caller may try again in a second."""
    pool = FakePool()
    batcher = make_batcher(pool)

    await batcher.aclose()

    with pytest.raises(NotReady) as caught:
        await batcher.run(rows(1), 1, deadline=monotonic() + 60)
    assert caught.value.retry_after_seconds == 1
    assert pool.runs == []


async def test_close_waits_for_what_is_here_and_refuses_the_rest() -> None:
    """While it closes, running and waiting rows are answered, and new ones are refused."""
    pool = FakePool()
    batcher = make_batcher(pool, max_batch_size=2)
    waiting = await queued(batcher, pool, 1, 2, 3)
    closing = asyncio.create_task(batcher.aclose())
    await turns()

    refused = await answers(ask(batcher, 4))
    closed_early = closing.done()
    pool.release()

    assert refused == [NotReady]
    assert not closed_early
    assert await answers(*waiting) == [[2], [4], [6]]
    assert await settled(closing) == [None]
    assert batcher.statistics() == IDLE


async def test_close_waits_for_the_last_run() -> None:
    """With nothing waiting, a run in a lane is waited for."""
    pool = FakePool()
    batcher = make_batcher(pool)
    pool.hold()
    task = ask(batcher, 1)
    await turns()

    closing = asyncio.create_task(batcher.aclose())
    await turns()
    closed_early = closing.done()
    pool.release()

    assert not closed_early
    assert await settled(closing) == [None]
    assert await answers(task) == [[2]]


@either_mode
async def test_close_waits_for_rows_of_this_turn(inline: bool) -> None:
    """Rows that came in the turn of the close are answered."""
    batcher = make_batcher(FakePool(), inline=inline)
    task = ask(batcher, 1)
    await turns(1)

    closing = asyncio.create_task(batcher.aclose())

    assert await settled(closing) == [None]
    assert await answers(task) == [[2]]


async def test_close_ends_when_all_who_waited_have_left() -> None:
    """Cancelled rows do not keep a batcher open."""
    pool = FakePool()
    batcher = make_batcher(pool)
    waiting = await queued(batcher, pool, 1, 2)
    closing = asyncio.create_task(batcher.aclose())
    await turns()

    for task in waiting:
        task.cancel()
    pool.release()

    assert await settled(closing) == [None]


async def test_close_ends_when_a_failed_batch_has_been_tried_again() -> None:
    """Rows that go back to the queue are waited for too."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool)
    pool.hold()
    tasks = [ask(batcher, 1), ask(batcher, BAD)]
    await turns()
    closing = asyncio.create_task(batcher.aclose())
    await turns()

    pool.release()

    assert await settled(closing) == [None]
    assert await answers(*tasks) == [[2], RunFailed]


async def test_close_waits_for_a_failed_batch_though_all_behind_it_have_left() -> None:
    """Rows that are to be tried again are here still, even if nobody else is."""
    pool = FakePool(refusing(BAD))
    batcher = make_batcher(pool)
    pool.hold()
    tasks = [ask(batcher, 1), ask(batcher, BAD)]
    await turns()
    behind = ask(batcher, 2)
    await turns()
    closing = asyncio.create_task(batcher.aclose())
    await turns()
    behind.cancel()
    await turns()

    pool.finish_one()
    await turns()
    closed_early = closing.done()
    pool.release()

    assert not closed_early
    assert await answers(*tasks) == [[2], RunFailed]
    assert await settled(closing) == [None]


async def test_close_may_be_repeated() -> None:
    """A second close finds nothing to do."""
    batcher = make_batcher(FakePool())

    await batcher.aclose()
    await batcher.aclose()

    assert batcher.statistics() == IDLE


async def test_two_may_close_at_once() -> None:
    """Each of two who wait for the end is told of it."""
    pool = FakePool()
    batcher = make_batcher(pool)
    await queued(batcher, pool, 1)
    closing = [asyncio.create_task(batcher.aclose()) for _ in range(2)]
    await turns()

    pool.release()

    assert await settled(*closing) == [None, None]


# What can be seen


@either_mode
async def test_observer_gets_one_record_a_run(inline: bool) -> None:
    """A record counts the requests and rows of its run, and says where and how long it ran."""
    records: list[BatchRecord] = []
    batcher = make_batcher(FakePool(), inline=inline, on_batch=records.append)

    tasks = [ask(batcher, 1), ask(batcher, 2, 3)]
    results = await settled(*tasks)

    seconds = results[0].run_seconds
    assert records == [BatchRecord(num_requests=2, num_rows=3, run_seconds=seconds, inline=inline)]
    assert seconds > 0


@either_mode
async def test_failed_runs_are_not_recorded(inline: bool) -> None:
    """Only finished runs are told; of a spoiled batch, those of its innocent requests."""
    records: list[BatchRecord] = []
    batcher = make_batcher(FakePool(refusing(BAD)), inline=inline, on_batch=records.append)

    await answers(ask(batcher, 1), ask(batcher, BAD))

    assert [(record.num_requests, record.num_rows) for record in records] == [(1, 1)]


@either_mode
async def test_requests_of_a_batch_share_its_run_seconds(inline: bool) -> None:
    """Every request is told the time of the run it was in, and its own time in the queue."""
    batcher = make_batcher(FakePool(), inline=inline)

    first, second = await settled(ask(batcher, 1), ask(batcher, 2))

    assert first.run_seconds == second.run_seconds > 0
    assert min(first.queue_seconds, second.queue_seconds) >= 0


async def test_queue_seconds_last_until_the_run_begins() -> None:
    """Time behind a busy lane is time in the queue."""
    pool = FakePool()
    batcher = make_batcher(pool)
    (task,) = await queued(batcher, pool, 1)
    await asyncio.sleep(0.02)

    pool.release()
    (result,) = await settled(task)

    assert result.queue_seconds >= 0.019


async def test_split_request_waits_for_its_last_part_and_runs_them_all() -> None:
    """Its time in the queue is that of the part that waited longest, its run that of all runs."""
    pool = FakePool()
    records: list[BatchRecord] = []
    batcher = make_batcher(pool, max_batch_size=2, on_batch=records.append)
    pool.hold()
    task = ask(batcher, 1, 2, 3, 4)
    await asyncio.sleep(0.02)

    pool.release()
    (result,) = await settled(task)

    assert result.queue_seconds >= 0.019
    assert result.run_seconds == sum(record.run_seconds for record in records)
    assert len(records) == 2


async def test_statistics_and_repr_show_what_waits_and_runs() -> None:
    """Both count waiting requests, their rows, and runs in lanes; idle again, all are 0."""
    pool = FakePool()
    batcher = make_batcher(pool)
    tasks = await queued(batcher, pool, 1)
    tasks.append(ask(batcher, 2, 3))
    await turns()

    assert batcher.statistics() == BatcherStatistics(
        num_requests_waiting=2, num_rows_waiting=3, num_running=1
    )
    assert repr(batcher) == "<Batcher [2 requests, 3 rows waiting | 1 running]>"
    pool.release()
    await answers(*tasks)
    assert repr(batcher) == "<Batcher [0 requests, 0 rows waiting | 0 running]>"


@either_mode
async def test_runs_keep_the_cost_curve_up_to_date(inline: bool) -> None:
    """Runs quicker than predicted lower the prediction."""
    curve = line(10.0)
    batcher = make_batcher(FakePool(), inline=inline, curve=curve)

    await answers(ask(batcher, 1))

    assert curve.predict(1) < 10.0


# Any partition


partitions = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=7), min_size=1, max_size=12
)


@settings(max_examples=100, deadline=None)
@given(
    requests=partitions,
    inline=st.booleans(),
    max_batch_size=st.integers(1, 6),
    num_sessions=st.integers(1, 3),
    turns_between=st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_each_request_gets_exactly_its_own_rows(
    requests: list[list[float]],
    inline: bool,
    max_batch_size: int,
    num_sessions: int,
    turns_between: list[int],
) -> None:
    """However rows are cut into requests and batches, each answer is that of its own rows."""

    async def serve() -> None:
        pool = FakePool(
            lambda inputs: [inputs["x"][:, :1] * 2 + inputs["x"][:, 1:], inputs["x"][:, 1]],
            num_sessions=num_sessions,
        )
        batcher = make_batcher(pool, inline=inline, max_batch_size=max_batch_size)
        tables: list[Array] = []
        tasks: list[asyncio.Task[RunResult]] = []
        first_id = 0
        for values, pause in zip(requests, turns_between, strict=False):
            ids = range(first_id, first_id + len(values))
            first_id += len(values)
            table = np.array(list(zip(values, ids, strict=True)), np.float32)
            run = batcher.run({"x": table}, len(table), deadline=monotonic() + 60)
            tables.append(table)
            tasks.append(asyncio.create_task(run))
            await turns(pause)

        results = await settled(*tasks)

        for table, result in zip(tables, results, strict=True):
            assert result.outputs[0][:, 0].tolist() == (table[:, 0] * 2 + table[:, 1]).tolist()
            assert result.outputs[1].tolist() == table[:, 1].tolist()
        largest = max_batch_size if max_batch_size > 1 else max(map(len, requests))
        assert max(map(len, pool.runs)) <= largest
        assert sum(map(len, pool.runs)) == first_id
        assert batcher.statistics() == IDLE

    asyncio.run(serve())


@settings(max_examples=60, deadline=None)
@given(
    fates=st.lists(st.sampled_from(["stay", "leave", "fail"]), min_size=1, max_size=8),
    held=st.booleans(),
    max_batch_size=st.integers(1, 5),
)
def test_nobody_pays_for_a_neighbour(fates: list[str], held: bool, max_batch_size: int) -> None:
    """In any mix of callers who stay, leave and fail, each gets what it would get alone."""

    async def serve() -> None:
        pool = FakePool(refusing(BAD))
        batcher = make_batcher(pool, max_batch_size=max_batch_size)
        if held:
            pool.hold()
        tasks = [
            ask(batcher, BAD if fate == "fail" else 20.0 + index)
            for index, fate in enumerate(fates)
        ]
        await turns(2)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "leave" and not task.done():
                task.cancel()
                await turns(1)
        left = [task.cancelled() or bool(task.cancelling()) for task in tasks]
        pool.release()

        got = await answers(*tasks)

        alone = {"fail": RunFailed, "leave": asyncio.CancelledError}
        for index, (fate, gone) in enumerate(zip(fates, left, strict=True)):
            value: list[float] | type[BaseException] = [2 * (20.0 + index)]
            assert got[index] == (alone[fate] if fate == "fail" or gone else value)
        assert batcher.statistics() == IDLE

    asyncio.run(serve())
