"""What Prometheus has counted, held against what was sent."""

from collections import Counter

import pytest

from bench.suite.counters import differences

SENT = Counter({(200, "l1"): 7, (200, "miss"): 3, (503, ""): 2})
COUNTED = Counter({"status 200": 10, "status 503": 2, "cache l1": 7, "cache miss": 3})


def test_equal_counts_have_no_differences() -> None:
    """Statuses are summed over cache states; series that stand at zero are no difference."""
    counted = COUNTED + Counter()
    counted["status 500"] = counted["cache redis"] = 0

    assert differences(counted, SENT) == {}


@pytest.mark.parametrize("name", COUNTED)
def test_a_request_that_was_not_counted_is_found(name: str) -> None:
    """One less in Prometheus is told by its name, with both numbers."""
    counted = COUNTED - Counter({name: 1})

    assert differences(counted, SENT) == {name: (COUNTED[name] - 1, COUNTED[name])}


@pytest.mark.parametrize("name", [*COUNTED, "status 500", "cache redis"])
def test_a_count_too_much_is_found(name: str) -> None:
    """One more in Prometheus is told too, also of a state that no client saw."""
    counted = COUNTED + Counter({name: 1})

    assert differences(counted, SENT) == {name: (COUNTED[name] + 1, COUNTED[name])}


def test_a_request_without_an_answer_is_a_difference() -> None:
    """What no server answered has the status 0 at the clients, and no series in Prometheus."""
    sent = SENT + Counter({(0, ""): 1})

    assert differences(COUNTED, sent) == {"status 0": (0, 1)}
