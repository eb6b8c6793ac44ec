"""Equal requests that come together share one computation, and nobody pays for the leader."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Any

import pytest

from ml_pipeline.errors import DeadlineExceeded, RunFailed
from ml_pipeline.pipeline.single_flight import SingleFlight
from tests.fakes import FakeComputation, settled, turns

KEY, OTHER = b"k" * 32, b"o" * 32
ANSWER = b"answer"


@pytest.fixture
def flights() -> SingleFlight[bytes]:
    """Flights for which a passed deadline is the leader's own affair."""
    return SingleFlight((DeadlineExceeded,))


async def callers(
    flights: SingleFlight[bytes],
    compute: Callable[[], Awaitable[bytes]],
    count: int,
    key: bytes = KEY,
    deadline: float = inf,
) -> "list[asyncio.Task[tuple[bytes, bool]]]":
    """So many equal requests, under way; the first one leads."""
    tasks = [asyncio.create_task(flights.run(key, deadline, compute)) for _ in range(count)]
    await turns()
    return tasks


async def test_lone_caller_computes(flights: SingleFlight[bytes]) -> None:
    """A request that comes alone gets what it computes, and did not share."""
    compute = FakeComputation(ANSWER)
    compute.finish()

    assert await flights.run(KEY, inf, compute) == (ANSWER, False)
    assert len(flights) == 0


@pytest.mark.parametrize("count", [2, 10])
async def test_equal_callers_compute_once(flights: SingleFlight[bytes], count: int) -> None:
    """However many come, one computes, and the others are told that they shared."""
    compute = FakeComputation(ANSWER)
    tasks = await callers(flights, compute, count)

    in_flight = len(flights)
    compute.finish()
    ends = await settled(*tasks)

    assert ends == [(ANSWER, False)] + [(ANSWER, True)] * (count - 1)
    assert compute.num_runs == 1
    assert (in_flight, len(flights)) == (1, 0)


async def test_different_keys_fly_apart(flights: SingleFlight[bytes]) -> None:
    """Requests with different keys share nothing."""
    one, other = FakeComputation(b"1"), FakeComputation(b"2")
    tasks = await callers(flights, one, 2) + await callers(flights, other, 2, OTHER)

    in_flight = len(flights)
    other.finish()
    one.finish()
    ends = await settled(*tasks)

    assert ends == [(b"1", False), (b"1", True), (b"2", False), (b"2", True)]
    assert (in_flight, len(flights)) == (2, 0)


async def test_answer_is_not_kept(flights: SingleFlight[bytes]) -> None:
    """Who comes after the landing computes anew: keeping answers is the cache's work."""
    compute = FakeComputation(b"1", b"2")
    compute.finish()

    await flights.run(KEY, inf, compute)

    assert await flights.run(KEY, inf, compute) == (b"2", False)


async def test_empty_answer_is_shared(flights: SingleFlight[bytes]) -> None:
    """No bytes are an answer: it is not computed again for each who waits."""
    compute = FakeComputation(b"")
    tasks = await callers(flights, compute, 3)

    compute.finish()

    assert await settled(*tasks) == [(b"", False), (b"", True), (b"", True)]
    assert compute.num_runs == 1


async def test_cancelled_leader_is_replaced(flights: SingleFlight[bytes]) -> None:
    """If the leader's client hangs up, one of those who wait computes, and all get the answer."""
    compute = FakeComputation(ANSWER)
    leader, *waiters = await callers(flights, compute, 4)

    leader.cancel()
    await turns()
    runs = compute.num_runs
    compute.finish()
    ends = await settled(leader, *waiters)

    assert isinstance(ends[0], asyncio.CancelledError)
    assert [value for value, _ in ends[1:]] == [ANSWER] * 3
    assert sorted(shared for _, shared in ends[1:]) == [False, True, True]
    assert (runs, compute.num_runs) == (2, 2)
    assert len(flights) == 0


async def test_cancelled_leaders_are_replaced_one_after_the_other(
    flights: SingleFlight[bytes],
) -> None:
    """Whoever leads may leave, up to the last who waits."""
    compute = FakeComputation(ANSWER)
    first, second, third = await callers(flights, compute, 3)

    first.cancel()
    await turns()
    second.cancel()
    await turns()
    compute.finish()

    assert (await settled(third)) == [(ANSWER, False)]
    assert compute.num_runs == 3
    assert len(flights) == 0


async def test_personal_error_stays_with_its_leader(flights: SingleFlight[bytes]) -> None:
    """A leader whose deadline passed gets that error; the others get the answer."""
    compute = FakeComputation(DeadlineExceeded("too late"), ANSWER)
    tasks = await callers(flights, compute, 4)

    compute.finish()
    ends = await settled(*tasks)

    assert isinstance(ends[0], DeadlineExceeded)
    assert [value for value, _ in ends[1:]] == [ANSWER] * 3
    assert compute.num_runs == 2
    assert len(flights) == 0


async def test_personal_error_of_each_leader_stays_with_it(flights: SingleFlight[bytes]) -> None:
    """If every leader in turn is too late, each gets its own error and none waits for ever."""
    compute = FakeComputation(*(DeadlineExceeded(f"{number}") for number in range(3)))
    tasks = await callers(flights, compute, 3)

    compute.finish()
    ends = await settled(*tasks)

    assert sorted(end.detail for end in ends) == ["0", "1", "2"]
    assert len(flights) == 0


async def test_common_error_reaches_all(flights: SingleFlight[bytes]) -> None:
    """An error that would meet everyone is given to everyone, without a second try."""
    compute = FakeComputation(RunFailed("no"), ANSWER)
    tasks = await callers(flights, compute, 3)

    compute.finish()
    ends = await settled(*tasks)

    assert [type(end) for end in ends] == [RunFailed] * 3
    assert compute.num_runs == 1
    assert len(flights) == 0


async def test_error_is_not_kept(flights: SingleFlight[bytes]) -> None:
    """Who comes after a failure tries anew."""
    compute = FakeComputation(RunFailed("no"), ANSWER)
    compute.finish()
    with pytest.raises(RunFailed):
        await flights.run(KEY, inf, compute)

    assert await flights.run(KEY, inf, compute) == (ANSWER, False)


async def test_error_of_a_plain_function_is_no_different(flights: SingleFlight[bytes]) -> None:
    """A computation that raises before it waits for anything leaves nothing in flight."""

    def refuse() -> Any:
        raise RunFailed("no")

    with pytest.raises(RunFailed):
        await flights.run(KEY, inf, refuse)
    assert len(flights) == 0


@pytest.mark.parametrize("leaving", [[1], [2], [3], [1, 2, 3]])
@pytest.mark.parametrize("outcome", [ANSWER, RunFailed("no")], ids=["answer", "error"])
async def test_cancelled_waiter_harms_nobody(
    flights: SingleFlight[bytes], leaving: list[int], outcome: bytes | Exception
) -> None:
    """Whoever of those who wait leaves, the leader and the others end as they would have."""
    compute = FakeComputation(outcome)
    tasks = await callers(flights, compute, 4)

    for index in leaving:
        tasks[index].cancel()
    await turns()
    compute.finish()
    ends = await settled(*tasks)

    for index, end in enumerate(ends):
        if index in leaving:
            assert isinstance(end, asyncio.CancelledError)
        else:
            assert end == ((ANSWER, index > 0) if outcome == ANSWER else outcome)
    assert compute.num_runs == 1
    assert len(flights) == 0


async def test_all_may_leave(flights: SingleFlight[bytes]) -> None:
    """If leader and waiters are all cancelled, nothing is computed for nobody."""
    compute = FakeComputation(ANSWER)
    tasks = await callers(flights, compute, 3)

    for task in tasks:
        task.cancel()
    ends = await settled(*tasks)

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert compute.num_runs == 1
    assert len(flights) == 0


async def test_leader_and_a_waiter_may_leave_together(flights: SingleFlight[bytes]) -> None:
    """The one who would have led next may leave in the same moment."""
    compute = FakeComputation(ANSWER)
    tasks = await callers(flights, compute, 4)

    tasks[0].cancel()
    tasks[1].cancel()
    await turns()
    compute.finish()
    ends = await settled(*tasks[2:])

    assert [value for value, _ in ends] == [ANSWER] * 2
    assert compute.num_runs == 2
    assert len(flights) == 0


async def test_promoted_waiter_may_leave_before_it_leads(flights: SingleFlight[bytes]) -> None:
    """A waiter that is woken to lead, and cancelled in that moment, takes nobody with it."""
    compute = FakeComputation(DeadlineExceeded("too late"), ANSWER)
    tasks = await callers(flights, compute, 4)

    tasks[0].add_done_callback(lambda _: tasks[1].cancel())
    compute.finish()
    ends = await settled(*tasks[2:])

    assert [value for value, _ in ends] == [ANSWER] * 2
    assert len(flights) == 0


async def test_without_personal_errors_only_the_cancelled_are_replaced() -> None:
    """By default every error is common, and a cancelled leader is still replaced."""
    flights: SingleFlight[bytes] = SingleFlight()
    compute = FakeComputation(ANSWER, DeadlineExceeded("too late"))
    leader, *waiters = await callers(flights, compute, 3)

    leader.cancel()
    await turns()
    compute.finish()
    ends = await settled(*waiters)

    assert [type(end) for end in ends] == [DeadlineExceeded] * 2
    assert len(flights) == 0


async def test_who_waits_keeps_its_own_deadline(flights: SingleFlight[bytes]) -> None:
    """It is told in time; the computation goes on, for its leader and for who has more time."""
    compute = FakeComputation(ANSWER)
    patient = await callers(flights, compute, 2)
    [hurried] = await callers(flights, compute, 1, deadline=monotonic() + 0.05)

    started = monotonic()
    [end] = await settled(hurried)
    seconds, in_flight = monotonic() - started, len(flights)
    compute.finish()

    assert isinstance(end, DeadlineExceeded)
    assert seconds < 1.0
    assert in_flight == 1
    assert await settled(*patient) == [(ANSWER, False), (ANSWER, True)]
    assert compute.num_runs == 1


async def test_a_leader_with_less_time_fails_nobody_with_more(
    flights: SingleFlight[bytes],
) -> None:
    """Who has more time than a leader that was too late computes anew."""
    compute = FakeComputation(DeadlineExceeded("too late"), ANSWER)
    [leader] = await callers(flights, compute, 1, deadline=monotonic() + 0.05)
    [patient] = await callers(flights, compute, 1)

    compute.finish()
    ends = await settled(leader, patient)

    assert isinstance(ends[0], DeadlineExceeded)
    assert ends[1] == (ANSWER, False)


async def test_who_is_answered_in_time_is_not_told_later(flights: SingleFlight[bytes]) -> None:
    """A timer that was set for a deadline ends with the wait."""
    compute = FakeComputation(ANSWER)
    [leader] = await callers(flights, compute, 1)
    [hurried] = await callers(flights, compute, 1, deadline=monotonic() + 0.05)

    compute.finish()
    ends = await settled(leader, hurried)
    await asyncio.sleep(0.1)

    assert ends == [(ANSWER, False), (ANSWER, True)]
