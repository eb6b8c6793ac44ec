"""Runs that take far longer than was predicted: who waits for them, and who must not."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import cast

import pytest

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.batching.batcher import Batcher
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.errors import DeadlineExceeded
from tests.bad_models import write_models
from tests.engine.batching import IDLE, ask, line, make_batcher
from tests.fakes import FakePool

LONG, ENDLESS = 1e6, 1e9
"""Turns of the loop in the model: a second or so, and half an hour."""

Open = Callable[..., tuple[Batcher, SessionPool]]


@pytest.fixture
def overdue(tmp_path: Path) -> Iterator[Open]:
    """A batcher on the model whose values say how long it takes; it expects microseconds."""
    pools: list[SessionPool] = []

    def open_one(*, num_sessions: int = 1) -> tuple[Batcher, SessionPool]:
        pool = SessionPool(
            write_models(tmp_path)["turns"],
            num_sessions=num_sessions,
            providers=["CPUExecutionProvider"],
            shared=False,
        )
        pools.append(pool)
        batcher = make_batcher(cast(FakePool, pool), curve=line(1e-5), inline_budget_seconds=0.0)
        return batcher, pool

    yield open_one
    for pool in pools:
        pool.close()


async def answers(*tasks: "asyncio.Task[RunResult]") -> list[float | type[BaseException]]:
    """What each request got in the end: its value, or the class of its error."""
    async with asyncio.timeout(30.0):
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        type(end) if isinstance(end, BaseException) else float(end.outputs[0][0, 0]) for end in ends
    ]


async def test_a_deadline_that_passes_during_a_run(overdue: Open) -> None:
    """Its client is told then, and the lane is free for the next soon after."""
    batcher, pool = overdue()

    started = monotonic()
    assert await answers(ask(batcher, ENDLESS, within=0.1)) == [DeadlineExceeded]
    assert monotonic() - started < 5.0
    assert await answers(ask(batcher, 7.0)) == [7.0]

    assert repr(batcher) == IDLE
    assert pool.idle
    await batcher.aclose()


async def test_a_run_that_ends_when_nobody_waits_any_more_is_not_counted() -> None:
    """Though it came to its end before it could be ended: else it would be a matter of chance."""
    pool, records = FakePool(), list[BatchRecord]()
    batcher = make_batcher(pool, on_batch=records.append)
    pool.hold()
    assert await answers(ask(batcher, 7.0, within=0.01)) == [DeadlineExceeded]

    pool.finish_one()

    assert pool.session.runs
    assert records == []
    assert repr(batcher) == IDLE
    await batcher.aclose()


async def test_a_run_goes_on_for_who_still_waits(overdue: Open) -> None:
    """One request of a batch whose time is over does not end the run of the other."""
    batcher, _ = overdue()

    tasks = [ask(batcher, LONG, within=0.05), ask(batcher, LONG)]

    assert await answers(*tasks) == [DeadlineExceeded, LONG]
    await batcher.aclose()


async def test_a_shared_run_that_is_overdue_is_taken_apart(overdue: Open) -> None:
    """The others of a batch in a lane do not wait for the one that takes so long."""
    batcher, _ = overdue(num_sessions=2)

    long, short = ask(batcher, ENDLESS, within=3.0), ask(batcher, 5.0)

    assert await answers(short) == [5.0]
    assert not long.done()
    assert await answers(long) == [DeadlineExceeded]
    await batcher.aclose()
