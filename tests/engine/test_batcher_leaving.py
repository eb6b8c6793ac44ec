"""Microbatching on a real event loop: callers who leave."""

import asyncio

import pytest

from tests.engine.batching import IDLE, answers, ask, either_mode, line, make_batcher, queued
from tests.fakes import FakePool, turns


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
    assert repr(batcher) == IDLE


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
    assert repr(batcher) == IDLE


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


async def test_cancelled_rows_make_room_before_a_deadline() -> None:
    """Rows whose callers have left are no wait for those who come after them."""
    pool = FakePool()
    batcher = make_batcher(pool, curve=line(5.0), max_batch_size=1)
    waiting = await queued(batcher, pool, 1, 2, 3)
    for task in waiting:
        task.cancel()
    await turns()

    admitted = ask(batcher, 4, within=20.0)  # 5 s for what runs and 5 for itself; 25 with those
    await turns()
    pool.release()

    assert await answers(admitted) == [[8]]
