"""Microbatching of a model whose graph does not tell whether its rows stay apart."""

from typing import Any

import numpy as np

from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.batching.proof import FIRST_ROWS, Proof
from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.errors import RunRefused
from tests.engine.batching import IDLE, answers, ask, either_mode, line, make_batcher, queued
from tests.fakes import FakePool, turns

HUGE = 100.0
REASON = "output y0: rows run together differ from rows run apart"


def minding(inputs: Tensors) -> list[Array]:
    """Twice the row, and three times beside a huge one."""
    return [inputs["x"] * (3 if np.max(inputs["x"]) >= HUGE else 2)]


@either_mode
async def test_rows_that_stay_apart_are_batched_and_checked(inline: bool) -> None:
    """After a shared run its requests are run again, each alone, while nobody waits."""
    pool, proof = FakePool(), Proof()
    batcher = make_batcher(pool, inline=inline, proof=proof)

    assert await answers(ask(batcher, 1), ask(batcher, 2, 3)) == [[2], [4, 6]]
    await turns()

    assert pool.runs == [[1, 2, 3], [2, 3], [1]]
    assert proof.num_passed == 3


@either_mode
async def test_single_runs_are_not_checked(inline: bool) -> None:
    """They are what shared ones are held against."""
    pool, proof = FakePool(), Proof()
    batcher = make_batcher(pool, inline=inline, proof=proof)

    for value in (1, 2, 3):
        assert await answers(ask(batcher, value)) == [[2 * value]]
    await turns()

    assert pool.runs == [[1], [2], [3]]


@either_mode
async def test_a_check_is_no_run_of_anybody(inline: bool) -> None:
    """It is neither counted nor measured."""
    records: list[BatchRecord] = []
    batcher = make_batcher(FakePool(), inline=inline, proof=Proof(), on_batch=records.append)

    await answers(ask(batcher, 1), ask(batcher, 2))
    await turns()

    assert [record.num_rows for record in records] == [2]


@either_mode
async def test_a_difference_ends_batching(inline: bool) -> None:
    """From then on each request is run alone, and the reason is told once."""
    reasons: list[str] = []
    batcher = make_batcher(
        pool := FakePool(minding), inline=inline, proof=Proof(), on_disproved=reasons.append
    )
    await answers(ask(batcher, HUGE), ask(batcher, 1))
    await turns()

    got = await answers(ask(batcher, HUGE), ask(batcher, 1), ask(batcher, 2))

    assert got == [[3 * HUGE], [2], [4]]
    assert pool.runs == [[HUGE, 1], [1], [HUGE], [1], [2]]
    assert reasons == [REASON]


async def test_rows_that_wait_are_run_alone_after_a_disproof() -> None:
    """What was queued to be shared is not."""
    pool = FakePool(minding, num_sessions=2)
    batcher = make_batcher(pool, proof=Proof())
    waiting = await queued(batcher, pool, HUGE, 1, 2)

    batcher.stop_batching()
    pool.release()

    assert await answers(*waiting) == [[3 * HUGE], [2], [4]]


async def test_a_shared_run_that_is_under_way_is_made_again_alone() -> None:
    """Its answers are not handed out once rows were found not to stay apart."""
    pool = FakePool(minding)
    batcher = make_batcher(pool, proof=Proof())
    pool.hold()
    asked = [ask(batcher, HUGE), ask(batcher, 1)]
    await turns()

    batcher.stop_batching()
    pool.release()

    assert await answers(*asked) == [[3 * HUGE], [2]]
    assert pool.runs == [[HUGE, 1], [HUGE], [1]]


async def test_nothing_is_checked_while_rows_wait() -> None:
    """A lane that is free takes what waits; the check comes after."""
    pool, proof = FakePool(), Proof()
    batcher = make_batcher(pool, proof=proof, max_batch_size=2)
    waiting = await queued(batcher, pool, 1, 2, 3, 4)

    pool.release()
    await answers(*waiting)
    await turns()

    assert pool.runs == [[0], [1, 2], [3, 4], [3], [4]]


async def test_one_run_is_checked_at_a_time() -> None:
    """However many lanes are idle."""
    pool = FakePool(num_sessions=4)
    batcher = make_batcher(pool, inline=True, proof=Proof())
    pool.hold()

    for _ in range(3):
        await answers(ask(batcher, 1), ask(batcher, 2))

    assert pool.statistics().num_busy == 1
    pool.release()


class EndedPool(FakePool):
    """Ends a run before it begins where it was told to."""

    def __init__(self) -> None:
        super().__init__()
        run = self.session.run

        def run_unless_ended(inputs: Tensors, options: Any = None) -> list[Array]:
            if options is not None and options.terminate:
                raise RunRefused("ended")
            return run(inputs, options)

        self.session.run = run_unless_ended  # type: ignore[method-assign]


async def test_who_waits_for_a_lane_ends_the_check_in_it() -> None:
    """It proves nothing then, and the next shared run is checked instead."""
    pool, proof = EndedPool(), Proof()
    batcher = make_batcher(pool, proof=proof)
    shared = [ask(batcher, 1), ask(batcher, 2)]
    await turns(2)
    pool.hold()
    await answers(*shared)
    waiting = ask(batcher, 3)
    await turns()

    pool.release()

    assert await answers(waiting) == [[6]]
    assert pool.runs == [[1, 2], [3]]
    assert proof.num_passed == 0
    await answers(ask(batcher, 1), ask(batcher, 2))
    await turns()
    assert proof.num_passed == 2


async def test_closing_waits_for_a_check() -> None:
    """Its lane is not to be gone when it ends."""
    pool = FakePool()
    batcher = make_batcher(pool, inline=True, proof=Proof())
    pool.hold()
    await answers(ask(batcher, 1), ask(batcher, 2))

    closing = batcher.aclose()
    pool.finish_one()
    await closing

    assert pool.idle
    assert repr(batcher) == IDLE


@either_mode
async def test_large_requests_are_not_split(inline: bool) -> None:
    """A single run is answered as the model gives it, however many rows it has."""
    pool = FakePool(minding)
    batcher = make_batcher(pool, inline=inline, proof=Proof(), max_batch_size=2)

    assert await answers(ask(batcher, 1, 2, HUGE), ask(batcher, 4)) == [[3, 6, 3 * HUGE], [8]]
    assert sorted(pool.runs) == [[1, 2, HUGE], [4]]


async def test_a_large_request_is_predicted_by_all_of_its_rows() -> None:
    """It is no short run because `max_batch_size` of its rows would be."""
    records: list[BatchRecord] = []
    batcher = make_batcher(
        FakePool(),
        curve=line(0.0, 1e-3),
        inline_budget_seconds=0.009,
        proof=Proof(),
        on_batch=records.append,
    )

    await answers(ask(batcher, *range(8)))
    await answers(ask(batcher, *range(16)))

    assert [record.inline for record in records] == [True, False]


@either_mode
async def test_accepted_models_are_batched_unchecked(inline: bool) -> None:
    """Their owner has said that it does not matter."""
    pool = FakePool(minding)
    batcher = make_batcher(pool, inline=inline, proof=Proof(accepted=True))

    for _ in range(3):
        assert await answers(ask(batcher, HUGE), ask(batcher, 1)) == [[3 * HUGE], [3]]
    await turns()

    assert pool.runs == [[HUGE, 1]] * 3


async def test_trust_is_gained_by_service() -> None:
    """After so many rows the proof says so."""
    pool, proof = FakePool(), Proof()
    batcher = make_batcher(pool, proof=proof)

    for _ in range(FIRST_ROWS // 2):
        assert not proof.trusted
        await answers(ask(batcher, 1), ask(batcher, 2))
        await turns()

    assert proof.trusted
    num_runs = len(pool.runs)
    await answers(ask(batcher, 1), ask(batcher, 2))
    await turns()
    assert len(pool.runs) == num_runs + 1
