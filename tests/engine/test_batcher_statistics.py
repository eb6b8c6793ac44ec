"""Microbatching on a real event loop: what can be seen of it, and any partition of any rows."""

import asyncio
from time import monotonic

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.signature.tensor import Array
from ml_pipeline.errors import RunFailed
from tests.engine.batching import (
    BAD,
    IDLE,
    answers,
    ask,
    either_mode,
    line,
    make_batcher,
    queued,
)
from tests.fakes import FakePool, refusing, settled, turns


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
    assert result.run_seconds == round(sum(record.run_seconds for record in records), 7)
    assert len(records) == 2


async def test_repr_shows_what_waits_and_runs() -> None:
    """It counts waiting requests, their rows, and runs in lanes; idle again, all are 0."""
    pool = FakePool()
    batcher = make_batcher(pool)
    tasks = await queued(batcher, pool, 1)
    tasks.append(ask(batcher, 2, 3))
    await turns()

    assert batcher.num_rows_waiting == 3
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
        assert repr(batcher) == IDLE

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
        assert repr(batcher) == IDLE

    asyncio.run(serve())
