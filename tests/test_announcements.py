"""Which of two announcements is the later one, by numbers and by ages."""

from time import monotonic

import pytest

from ml_pipeline.replicas.announcements import Known, Reloaded, Span

HOUR = 3600.0


def news(generation: int, replica: str = "other") -> Reloaded:
    return Reloaded(replica, generation, {})


def known(generation: int = 0, age_seconds: float = HOUR, replica: str = "other") -> Known:
    """What a replica knows that began to load just now."""
    found = Known("own")
    if generation:
        found.take(news(generation, replica), monotonic() - age_seconds, True)
    return found


def ago(latest: float, earliest: float | None = None) -> Span:
    """So many seconds ago."""
    now = monotonic()
    return Span(now - (latest if earliest is None else earliest), now - latest)


@pytest.mark.parametrize(
    ("before", "found", "told", "later"),
    [
        (known(), 7, ago(HOUR), False),  # made before it loaded
        (known(), 7, ago(0.0, 1.0), True),  # perhaps made since: followed
        (known(4), 5, ago(2 * HOUR), True),  # numbers tell, whatever the clocks do
        (known(4), 1, ago(60.0), True),  # numbers have begun anew
        (known(4), 4, ago(60.0), True),
        (known(4), 1, ago(2 * HOUR), False),  # said again, or put back by who knew no better
        (known(4), 1, ago(HOUR - 1.0, HOUR + 1.0), False),  # nobody can tell
        (known(4, 60.0, "own"), 5, ago(HOUR), False),  # put back over its own word
        (known(4, 60.0, "own"), 5, ago(30.0), True),
    ],
)
def test_the_later_one_is_told(before: Known, found: int, told: Span, later: bool) -> None:
    """Of what is known and what is found."""
    assert before.is_older(news(found), told) is later


def test_before_its_first_announcement_nothing_is_followed() -> None:
    """Nor has it a number."""
    assert (known().generation, known().to_follow) == (0, None)


def test_what_is_only_known_is_not_followed() -> None:
    """An announcement from before the start is kept for others."""
    found = known()
    found.take(news(3), 0.0, False)

    assert (found.generation, found.to_follow) == (3, None)
    assert found.is_same(news(3))
    assert not found.is_same(news(3, "third"))
