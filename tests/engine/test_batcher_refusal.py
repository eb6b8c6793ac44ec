"""Microbatching on a real event loop: who is refused, and when."""

import asyncio
from math import ceil
from time import monotonic

import pytest

from ml_pipeline.errors import DeadlineExceeded, Overloaded, RunFailed
from tests.engine.batching import (
    BAD,
    IDLE,
    answers,
    ask,
    either_mode,
    line,
    make_batcher,
    queued,
    rows,
)
from tests.fakes import FakePool, refusing, turns


async def test_full_queue_refuses_before_any_work() -> None:
    """Beyond max_queue_size rows a request is refused at once, and told when to come back."""
    pool = FakePool()
    batcher = make_batcher(pool, max_queue_size=3)
    waiting = await queued(batcher, pool, 1, 2)
    before = repr(batcher)

    with pytest.raises(Overloaded, match=r"expected at most 3 rows waiting, found 2") as caught:
        await batcher.run(rows(3, 4), 2, deadline=monotonic() + 60)

    assert caught.value.retry_after_seconds is not None
    assert caught.value.retry_after_seconds >= 1
    assert repr(batcher) == before
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
    before = repr(batcher)

    with pytest.raises(Overloaded, match="deadline: expected an answer in") as caught:
        await batcher.run(rows(2), 1, deadline=monotonic() + 1)

    assert caught.value.retry_after_seconds is not None
    assert caught.value.retry_after_seconds >= 5
    assert repr(batcher) == before
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
    assert "[1 requests" in repr(batcher)
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
    """A row whose deadline comes before the end of the delay is refused by then."""
    batcher = make_batcher(FakePool(), max_queue_delay_seconds=60)

    task = ask(batcher, 1, within=0.01)

    assert await answers(task) == [DeadlineExceeded]
    assert repr(batcher) == IDLE
