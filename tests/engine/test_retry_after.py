"""When those who are refused are told to come again."""

from collections import Counter

import pytest

from ml_pipeline.engine.batching.retry_after import (
    HORIZON_SECONDS,
    MAX_SLOTS,
    SLOT_SECONDS,
    SLOT_WORK_SECONDS,
    SLOTS_PER_SECOND,
    RetrySchedule,
)

WORK = SLOT_WORK_SECONDS / 4
"""Of which four fill a slot."""


def told(retries: RetrySchedule, count: int, *, now: float = 5.0) -> list[int]:
    """Refuse so many requests at one time."""
    return [retries.reserve(now, 1, WORK) for _ in range(count)]


def test_the_first_is_told_the_earliest_time() -> None:
    """Where nobody else was told anything, there is room as soon as what waits is through."""
    assert RetrySchedule().reserve(5.0, 3, WORK) == 3


def test_those_of_one_moment_are_spread() -> None:
    """No time is told to more than can be run in it."""
    assert Counter(told(RetrySchedule(), 12)) == {1: 4, 2: 4, 3: 4}


def test_those_of_another_moment_have_times_of_their_own() -> None:
    """A second after one moment may be full, and one after another free."""
    retries = RetrySchedule()
    told(retries, 12)

    assert told(retries, 4, now=5.5) == [1] * 4


def test_time_that_passes_makes_no_room_for_others() -> None:
    """Whoever was told two seconds a second ago comes in one."""
    retries = RetrySchedule()
    told(retries, 8)

    assert Counter(told(retries, 4, now=6.0)) == {2: 4}


def test_long_work_takes_the_times_behind_it() -> None:
    """What fills a whole second leaves room after it, and not in it."""
    retries = RetrySchedule()
    retries.reserve(5.0, 1, (SLOTS_PER_SECOND - 0.5) * SLOT_WORK_SECONDS)

    last = 6.0 - SLOT_SECONDS / 2
    assert [retries.reserve(now, 1, WORK) for now in (5.01, 5.5, 6.01)] == [2, 2, 1]
    assert retries.reserve(last, 1, WORK) == 1


@pytest.mark.parametrize("count", [1000, 20_000])
def test_beyond_the_horizon_nobody_is_sent(count: int) -> None:
    """However many are refused, and nothing grows with them."""
    retries = RetrySchedule()

    latest = max(told(retries, count))

    assert latest == HORIZON_SECONDS + 1
    assert len(retries) <= MAX_SLOTS + 1


def test_times_that_have_passed_are_forgotten() -> None:
    """A server that refuses for a day remembers the last minutes."""
    retries = RetrySchedule()
    for tenth in range(20_000):
        retries.reserve(tenth / 10, 1, SLOT_WORK_SECONDS)

    assert len(retries) <= MAX_SLOTS + 1
