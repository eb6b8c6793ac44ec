"""Microbatching on a real event loop: who gets which error."""

import asyncio

import pytest

from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.errors import RunFailed
from tests.engine.batching import BAD, IDLE, answers, ask, either_mode, make_batcher
from tests.fakes import FakePool, losing_a_row, refusing, settled, turns


@either_mode
@pytest.mark.parametrize("guilty", [0, 1, 2])
async def test_error_reaches_only_the_guilty_request(inline: bool, guilty: int) -> None:
    """If one request spoils a batch, it alone gets the error; the others get their answers."""
    batcher = make_batcher(FakePool(refusing(BAD)), inline=inline)
    values = [1.0, 2.0, 3.0]
    values[guilty] = BAD

    got = await answers(*(ask(batcher, value) for value in values))

    assert got == [RunFailed if value == BAD else [2 * value] for value in values]
    assert repr(batcher) == IDLE


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
    assert repr(batcher) == IDLE


async def test_failed_run_of_a_caller_who_left_holds_up_nobody() -> None:
    """A single request that is cancelled while it runs, and fails, leaves the next batch alone."""
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
    assert repr(batcher) == IDLE


@either_mode
async def test_guilty_part_fails_an_oversize_request_alone(inline: bool) -> None:
    """One error for the whole split request; its neighbours are answered."""
    batcher = make_batcher(FakePool(refusing(BAD)), inline=inline, max_batch_size=2)

    got = await answers(ask(batcher, 1), ask(batcher, 2, 3, BAD, 4, 5), ask(batcher, 6))

    assert got == [[2], RunFailed, [12]]


@either_mode
async def test_a_single_run_is_answered_as_it_comes(inline: bool) -> None:
    """Outputs that do not count as many rows as the request are its answer all the same."""
    batcher = make_batcher(FakePool(losing_a_row), inline=inline)

    assert await answers(ask(batcher, 1, 2)) == [[4]]
    assert await answers(ask(batcher, 3)) == [[]]


@either_mode
async def test_a_shared_run_that_loses_rows_ends_batching(inline: bool) -> None:
    """Nobody can tell whose rows they are: each request is run alone, then and from then on."""
    reasons: list[str] = []
    pool = FakePool(losing_a_row)
    batcher = make_batcher(pool, inline=inline, on_disproved=reasons.append)

    assert await answers(*(ask(batcher, value, value) for value in (1, 2))) == [[2], [4]]
    assert await answers(*(ask(batcher, value, value) for value in (3, 4))) == [[6], [8]]
    assert pool.runs == [[1, 1, 2, 2], [1, 1], [2, 2], [3, 3], [4, 4]]
    assert reasons == ["output y0: expected 4 rows, found shape (3, 1)"]


@either_mode
async def test_a_second_output_that_loses_rows_ends_batching(inline: bool) -> None:
    """Every output is counted, not only the first."""
    reasons: list[str] = []
    pool = FakePool(lambda inputs: [inputs["x"], inputs["x"][:1]])
    batcher = make_batcher(pool, inline=inline, on_disproved=reasons.append)

    assert await answers(ask(batcher, 1), ask(batcher, 2)) == [[1], [2]]
    assert reasons == ["output y1: expected 2 rows, found shape (1, 1)"]


@either_mode
async def test_a_split_request_whose_parts_lose_rows_is_run_whole(inline: bool) -> None:
    """What cannot be joined is not: the request is answered by a run of its own."""
    reasons: list[str] = []
    pool = FakePool(losing_a_row)
    batcher = make_batcher(pool, inline=inline, max_batch_size=2, on_disproved=reasons.append)

    assert await answers(ask(batcher, 1, 2, 3, 4)) == [[4, 6, 8]]
    assert reasons == ["output y0: expected 2 rows, found shape (1, 1)"]


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
