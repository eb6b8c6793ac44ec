"""When those who are refused are told to come again."""

from collections import Counter

import pytest

from app.engine.appointments import HORIZON_SECONDS, MAX_SLOTS, Appointments


def told(
    appointments: Appointments, count: int, *, now: float = 5.0, work: float = 0.01
) -> list[int]:
    """Refuse so many requests at one time."""
    return [appointments.book(now, 1, work) for _ in range(count)]


def test_the_first_is_told_the_earliest_time() -> None:
    """Where nobody else was told anything, there is room as soon as what waits is through."""
    assert Appointments().book(5.0, 3, 0.01) == 3


def test_those_of_one_moment_are_spread() -> None:
    """No time is told to more than can be run in it: 7 of 10 ms each in a tenth of a second."""
    assert Counter(told(Appointments(), 21)) == {1: 7, 2: 7, 3: 7}


def test_those_of_another_moment_have_times_of_their_own() -> None:
    """A second after one moment may be full, and one after another free."""
    appointments = Appointments()
    told(appointments, 21)

    assert told(appointments, 7, now=5.5) == [1] * 7


def test_a_time_that_passes_makes_no_room_for_later_ones() -> None:
    """Whoever was told two seconds a second ago comes in one."""
    appointments = Appointments()
    told(appointments, 14)

    assert Counter(told(appointments, 7, now=6.0)) == {2: 7}


def test_work_of_seconds_takes_the_times_behind_it() -> None:
    """What runs for 0.7 s fills a whole second."""
    appointments = Appointments()
    appointments.book(5.0, 1, 0.7)

    assert [appointments.book(now, 1, 0.01) for now in (5.05, 5.55, 5.95, 6.0)] == [2, 2, 2, 1]


@pytest.mark.parametrize("count", [1000, 100_000])
def test_beyond_the_horizon_nobody_is_sent(count: int) -> None:
    """However many are refused, and nothing grows with them."""
    appointments = Appointments()

    latest = max(told(appointments, count))

    assert latest == HORIZON_SECONDS + 1
    assert len(appointments) <= MAX_SLOTS + 1


def test_times_that_have_passed_are_forgotten() -> None:
    """A server that refuses for a day remembers the last half a minute."""
    appointments = Appointments()
    for tenth in range(20_000):
        appointments.book(tenth / 10, 1, 0.1)

    assert len(appointments) <= MAX_SLOTS + 1
