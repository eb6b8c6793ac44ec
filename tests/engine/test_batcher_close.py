"""Microbatching on a real event loop: the end of its life."""

import asyncio
import weakref
from time import monotonic

import pytest

from ml_pipeline.errors import NotReady, RunFailed
from tests.engine.batching import BAD, IDLE, answers, ask, either_mode, make_batcher, queued, rows
from tests.fakes import FakePool, refusing, settled, turns


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
    assert repr(batcher) == IDLE


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

    assert repr(batcher) == IDLE


async def test_two_may_close_at_once() -> None:
    """Each of two who wait for the end is told of it."""
    pool = FakePool()
    batcher = make_batcher(pool)
    await queued(batcher, pool, 1)
    closing = [asyncio.create_task(batcher.aclose()) for _ in range(2)]
    await turns()

    pool.release()

    assert await settled(*closing) == [None, None]


@either_mode
async def test_a_batcher_is_freed_with_its_last_reference(inline: bool) -> None:
    """Without the garbage collector, which seldom looks; and with it the memory of its model."""
    batcher = make_batcher(FakePool(), inline=inline)
    await answers(ask(batcher, 1), ask(batcher, 2))
    await answers(ask(batcher, 3))
    await turns()
    left = weakref.ref(batcher)

    del batcher

    assert left() is None
