"""When those who are refused are told to come again."""

from collections import Counter

import pytest

from ml_pipeline.engine.batching.retry_after import (
    HORIZON_SECONDS,
    MAX_SLOTS,
    SLOT_SECONDS,
    SLOT_WORK_SECONDS,
    SLOTS_PER_SECOND,
    Appointments,
)

WORK = SLOT_WORK_SECONDS / 4
"""Of which four fill a slot."""


def told(appointments: Appointments, count: int, *, now: float = 5.0) -> list[int]:
    """Refuse so many requests at one time."""
    return [appointments.book(now, 1, WORK) for _ in range(count)]


def test_the_first_is_told_the_earliest_time() -> None:
    """Where nobody else was told anything, there is room as soon as what waits is through."""
    assert Appointments().book(5.0, 3, WORK) == 3


def test_those_of_one_moment_are_spread() -> None:
    """No time is told to more than can be run in it."""
    assert Counter(told(Appointments(), 12)) == {1: 4, 2: 4, 3: 4}


def test_those_of_another_moment_have_times_of_their_own() -> None:
    """A second after one moment may be full, and one after another free."""
    appointments = Appointments()
    told(appointments, 12)

    assert told(appointments, 4, now=5.5) == [1] * 4


def test_time_that_passes_makes_no_room_for_others() -> None:
    """Whoever was told two seconds a second ago comes in one."""
    appointments = Appointments()
    told(appointments, 8)

    assert Counter(told(appointments, 4, now=6.0)) == {2: 4}


def test_long_work_takes_the_times_behind_it() -> None:
    """What fills a whole second leaves room after it, and not in it."""
    appointments = Appointments()
    appointments.book(5.0, 1, (SLOTS_PER_SECOND - 0.5) * SLOT_WORK_SECONDS)

    last = 6.0 - SLOT_SECONDS / 2
    assert [appointments.book(now, 1, WORK) for now in (5.01, 5.5, 6.01)] == [2, 2, 1]
    assert appointments.book(last, 1, WORK) == 1


@pytest.mark.parametrize("count", [1000, 20_000])
def test_beyond_the_horizon_nobody_is_sent(count: int) -> None:
    """However many are refused, and nothing grows with them."""
    appointments = Appointments()

    latest = max(told(appointments, count))

    assert latest == HORIZON_SECONDS + 1
    assert len(appointments) <= MAX_SLOTS + 1


def test_times_that_have_passed_are_forgotten() -> None:
    """A server that refuses for a day remembers the last minutes."""
    appointments = Appointments()
    for tenth in range(20_000):
        appointments.book(tenth / 10, 1, SLOT_WORK_SECONDS)

    assert len(appointments) <= MAX_SLOTS + 1
