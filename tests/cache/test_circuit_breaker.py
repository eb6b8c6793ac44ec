"""Open after three failures in a row; probed with growing pauses until it closes again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ml_pipeline.cache.circuit_breaker import (
    FAILURES_TO_OPEN,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    CircuitBreaker,
)
from tests.fakes import turns


class Outage:
    """A service that is probed: it can be up or down; pauses pass when a test says so.

    Attributes:
        down: Why it cannot be reached; None if it can.
        num_probes: How often it was tried.
        states: The breaker's during each probe.
        pauses: Seconds that were waited before probes.
        changes: What the breaker told.
    """

    def __init__(self) -> None:
        self.down: str | None = None
        self.num_probes = 0
        self.states: list[str] = []
        self.pauses: list[float] = []
        self.changes: list[tuple[bool, str]] = []
        self._over = asyncio.Semaphore(0)
        self.breaker = CircuitBreaker(
            self._probe, lambda *change: self.changes.append(change), sleep=self._sleep
        )

    async def _probe(self) -> None:
        self.num_probes += 1
        self.states.append(self.breaker.state)
        await asyncio.sleep(0)
        if self.down is not None:
            raise ConnectionError(self.down)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._over.acquire()

    async def pass_pauses(self, count: int = 1) -> None:
        """Let so many pauses end, each with the probe after it."""
        for _ in range(count):
            self._over.release()
            await turns()

    def fail(self, times: int = FAILURES_TO_OPEN, reason: str = "slow") -> None:
        """Count failures of real use."""
        for _ in range(times):
            self.breaker.fail(reason)


@pytest.fixture
async def outage() -> AsyncIterator[Outage]:
    """A service that is up, and a breaker that was not started."""
    outage = Outage()
    yield outage
    await outage.breaker.aclose()


@pytest.fixture
async def started(outage: Outage) -> Outage:
    """A service that is up, and a breaker that knows it."""
    await outage.breaker.start()
    return outage


def shown(breaker: CircuitBreaker) -> tuple[bool, str, str]:
    return breaker.closed, breaker.state, breaker.reason


def test_is_open_before_the_start(outage: Outage) -> None:
    """Until it was probed nobody asks, and there is a reason."""
    assert shown(outage.breaker) == (False, "open", "not connected yet")


async def test_start_closes_where_the_probe_answers(outage: Outage) -> None:
    """A first probe that answers closes it, and that is told."""
    await outage.breaker.start()

    assert shown(outage.breaker) == (True, "closed", "")
    assert outage.changes == [(True, "")]


async def test_start_does_not_wait_for_a_service_that_is_down(outage: Outage) -> None:
    """After one probe that fails the start is over, and the reason is told."""
    outage.down = "refused"

    await outage.breaker.start()

    assert shown(outage.breaker) == (False, "open", "refused")
    assert outage.changes == [(False, "refused")]
    assert outage.num_probes == 1


async def test_service_that_comes_up_after_the_start_is_found(outage: Outage) -> None:
    """Probing goes on in the background until there is an answer."""
    outage.down = "refused"
    await outage.breaker.start()
    await turns()

    outage.down = None
    await outage.pass_pauses()

    assert shown(outage.breaker) == (True, "closed", "")
    assert outage.changes == [(False, "refused"), (True, "")]


async def test_state_is_half_open_during_a_probe(started: Outage) -> None:
    """While a probe is under way neither is known."""
    started.down = "refused"
    started.fail()
    await turns()

    await started.pass_pauses()

    assert started.states == ["half_open", "half_open"]
    assert started.breaker.state == "open"


@pytest.mark.parametrize(("times", "closed"), [(1, True), (2, True), (3, False), (4, False)])
async def test_three_failures_in_a_row_open(times: int, closed: bool, started: Outage) -> None:
    """One or two failures are no outage, three are."""
    started.fail(times)

    assert started.breaker.closed is closed


async def test_failure_that_opens_gives_the_reason(started: Outage) -> None:
    """The reason is that of the last failure, at once."""
    started.fail(2, "first")
    started.fail(1, "last")

    assert shown(started.breaker) == (False, "open", "last")
    assert started.changes[1:] == [(False, "last")]


async def test_success_begins_the_count_anew(started: Outage) -> None:
    """Failures with a success between them are not in a row."""
    started.fail(2)
    started.breaker.succeed()
    started.fail(2)

    assert started.breaker.closed


async def test_each_change_is_told_once(started: Outage) -> None:
    """However many fail, and however many probes, each opening and closing is told once."""
    started.down = "refused"
    started.fail(5)
    await turns()
    await started.pass_pauses(3)
    started.fail(5)
    started.down = None
    await started.pass_pauses()

    assert started.changes == [(True, ""), (False, "slow"), (True, "")]


async def test_failures_before_a_closing_do_not_count_after_it(started: Outage) -> None:
    """Those that were still under way when it opened do not open it again."""
    started.fail(5)
    await turns()
    await started.pass_pauses()

    started.fail(2)

    assert started.breaker.closed


async def test_nothing_is_probed_while_closed(started: Outage) -> None:
    """Use tells whether it works: there is no probe, and none is planned."""
    started.fail(2)
    await started.pass_pauses(3)

    assert started.num_probes == 1
    assert started.pauses == []


async def test_failures_while_open_start_no_second_probe(started: Outage) -> None:
    """There is one that probes, however many fail."""
    started.down = "refused"
    started.fail(20)
    await turns()

    assert len(started.pauses) == 1


async def test_pauses_double_up_to_the_longest(started: Outage) -> None:
    """Each pause is at most twice as long as the one before could be, and at least half of that."""
    started.down = "refused"
    started.fail()
    await turns()

    await started.pass_pauses(9)

    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert (FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS) == (0.1, 5.0)
    assert len(started.pauses) == len(bounds)
    for pause, bound in zip(started.pauses, bounds, strict=True):
        assert bound / 2 <= pause <= bound


async def test_replicas_do_not_come_back_as_one(outage: Outage) -> None:
    """Pauses of the same length are spread over half of it."""
    outage.down = "refused"
    await outage.breaker.start()
    await turns()

    await outage.pass_pauses(100)

    longest = outage.pauses[6:]
    assert min(longest) < 0.6 * LONGEST_PAUSE_SECONDS
    assert max(longest) > 0.9 * LONGEST_PAUSE_SECONDS


async def test_probe_that_answers_does_not_shorten_the_pauses(started: Outage) -> None:
    """A service that answers probes and fails in use is probed ever more rarely."""
    for _ in range(4):
        started.fail()
        await turns()
        await started.pass_pauses()

    assert started.breaker.closed
    for pause, bound in zip(started.pauses, [0.1, 0.2, 0.4, 0.8], strict=True):
        assert bound / 2 <= pause <= bound


async def test_success_of_real_use_shortens_the_pauses(started: Outage) -> None:
    """After a success the next outage begins with the shortest pause."""
    started.down = "refused"
    started.fail()
    await turns()
    await started.pass_pauses(5)
    started.down = None
    await started.pass_pauses()

    started.breaker.succeed()
    started.fail()
    await turns()

    assert started.pauses[-1] <= FIRST_PAUSE_SECONDS < started.pauses[-2]


async def test_reason_is_the_latest_probe_s(started: Outage) -> None:
    """While it is open the reason follows what the probes meet."""
    started.fail()
    await turns()

    started.down = "refused"
    await started.pass_pauses()

    assert started.breaker.reason == "refused"


async def test_wait_closed_ends_with_the_closing(outage: Outage) -> None:
    """All who wait go on when it closes, and not before."""
    outage.down = "refused"
    await outage.breaker.start()
    waiting = [asyncio.create_task(outage.breaker.wait_closed()) for _ in range(3)]
    await outage.pass_pauses()
    before = [task.done() for task in waiting]

    outage.down = None
    await outage.pass_pauses()

    assert before == [False] * 3
    assert [task.done() for task in waiting] == [True] * 3


async def test_wait_closed_waits_again_after_an_opening(started: Outage) -> None:
    """Closed it waits for nothing; opened it does."""
    await asyncio.wait_for(started.breaker.wait_closed(), 10)

    started.fail()
    waiting = asyncio.create_task(started.breaker.wait_closed())
    await turns()

    assert not waiting.done()
    waiting.cancel()


async def test_closed_for_good_it_probes_no_more(started: Outage) -> None:
    """After `aclose` nothing is tried, pauses or not, and nobody asks."""
    started.fail()
    await turns()

    await started.breaker.aclose()
    await started.pass_pauses(3)

    assert started.num_probes == 1
    assert (started.breaker.closed, started.breaker.state) == (False, "open")


async def test_close_may_be_repeated_and_failures_after_it_are_nothing(started: Outage) -> None:
    """A second `aclose` finds nothing to do; what fails after it starts nothing."""
    await started.breaker.aclose()
    await started.breaker.aclose()

    started.fail(5)
    await started.pass_pauses(3)

    assert started.num_probes == 1
    assert started.changes == [(True, "")]


async def test_a_while_without_an_outage_shortens_the_pauses(started: Outage) -> None:
    """An outage long after another begins with the shortest one, though nothing was asked."""
    started.down = "gone"
    started.breaker.trip("gone")
    await turns()
    await started.pass_pauses(5)
    started.down = None
    await started.pass_pauses()
    started.breaker.hold()

    started.breaker.trip("gone again")
    await turns()

    assert started.pauses[-1] <= FIRST_PAUSE_SECONDS < started.pauses[-2]


async def test_what_is_sure_opens_at_once(started: Outage) -> None:
    """Without three failures in a row, and once."""
    started.breaker.trip("gone")
    started.breaker.trip("gone again")

    assert (started.breaker.closed, started.breaker.reason) == (False, "gone")
    assert started.changes[-1] == (False, "gone")
