"""One scenario in numbers."""

import msgspec
import pytest

from bench.scenarios import STANDARD, Ask, Closed, Open, Scenario
from bench.suite.outcome import knee_of, summarize
from bench.suite.record import MOST_FAULTS, Record
from tests.bench.made_up import step

OPEN = Scenario(
    name="made_up", text="", mix=((1.0, Ask(rows=4)),), arrivals=Open((100.0,)), servers=STANDARD
)
CLOSED = msgspec.structs.replace(OPEN, arrivals=Closed(clients=1))
WINDOW = (2.0, 12.0)


def filled(*requests: tuple[float, float, int, str]) -> Record:
    """Give a record of requests: due, latency, status, cache state."""
    record = Record()
    for due, latency, status, cache in requests:
        record.add(due, 0.001, latency, status=status, cache=cache)
    return record


def test_percentiles_are_those_of_the_latencies() -> None:
    """Of 1 to 101 ms the median is 51, and 1 % take 100 or longer."""
    record = filled(*[(3.0, ms / 1e3, 200, "") for ms in range(1, 102)])

    answered = summarize(OPEN, record, (100.0,), WINDOW, {}).answered

    assert answered is not None
    assert (answered.p50, answered.p95, answered.p99) == pytest.approx((51.0, 96.0, 100.0))
    assert answered.ms["100"] == pytest.approx(101.0)


def test_the_warm_up_counts_in_no_figure() -> None:
    """What was due before the window is in the statuses alone."""
    record = filled((1.9, 9.0, 200, "miss"), (2.0, 0.001, 200, "l1"), (12.0, 9.0, 200, "miss"))

    found = summarize(OPEN, record, (100.0,), WINDOW, {})

    assert found.requests == 1
    assert found.answered is not None
    assert found.answered.ms["100"] == pytest.approx(1.0)
    assert found.by_cache.keys() == {"l1"}
    assert found.statuses == {"200": 3}


def test_open_arrivals_count_by_when_they_were_due() -> None:
    """A request that is due in the window counts, however late its answer."""
    record = filled((11.9, 60.0, 200, ""))

    assert summarize(OPEN, record, (100.0,), WINDOW, {}).requests == 1


def test_closed_arrivals_count_by_when_they_were_answered() -> None:
    """A client's last request, answered after the end, adds nothing to the throughput."""
    record = filled((1.9, 0.2, 200, ""), (11.9, 0.2, 200, ""))

    found = summarize(CLOSED, record, (), WINDOW, {})

    assert found.requests == 1
    assert found.requests_per_second == pytest.approx(0.1)


def test_a_fault_of_the_warm_up_is_one() -> None:
    """Wrong answers count whenever they come; the first few are told, all are counted."""
    record = Record()
    for number in range(MOST_FAULTS + 3):
        record.add(0.1, 0.0, 0.1, status=500, cache="", fault=f"fault {number}")

    found = summarize(OPEN, record, (100.0,), WINDOW, {})

    assert found.num_faults == MOST_FAULTS + 3
    assert found.faults == [f"fault {number}" for number in range(MOST_FAULTS)]
    assert found.answered is None


def test_latencies_are_told_by_cache_state() -> None:
    """Hits and misses each have their own percentiles; refusals are in none."""
    record = filled(
        (3.0, 0.001, 200, "l1"), (3.0, 0.002, 200, "l1"), (3.0, 0.010, 200, "miss"),
        (3.0, 0.500, 503, "miss"),
    )  # fmt: skip

    found = summarize(OPEN, record, (100.0,), WINDOW, {})

    assert {state: times.requests for state, times in found.by_cache.items()} == {
        "l1": 2, "miss": 1
    }  # fmt: skip
    assert found.by_cache["miss"].p50 == pytest.approx(10.0)
    assert found.refused is not None
    assert found.refused.p50 == pytest.approx(500.0)


def test_rows_count_where_they_were_answered() -> None:
    """Rows a second are those of answers with 200."""
    record = filled(*[(3.0, 0.001, 200, "")] * 10, (3.0, 0.001, 503, ""))

    assert summarize(OPEN, record, (100.0,), WINDOW, {}).rows_per_second == pytest.approx(4.0)


def test_processor_time_is_shared_among_the_requests_of_the_window() -> None:
    """One second of CPU for four requests is 250,000 µs each."""
    record = filled((1.0, 0.001, 200, ""), *[(3.0, 0.001, 200, "")] * 4)

    found = summarize(OPEN, record, (100.0,), WINDOW, {"replica": 1.0})

    assert found.cpu_us == {"replica": pytest.approx(250_000)}


def test_each_rate_is_a_step() -> None:
    """Requests are told by the rate at which they were due; the first begins after the warm-up."""
    late = [(second + 0.5, 0.002, 200, "") for second in range(2, 6)]
    later = [(second + 0.5, 0.008, 200, "") for second in range(6, 12)]

    found = summarize(OPEN, filled((1.0, 0.5, 200, ""), *late, *later), (10.0, 20.0), WINDOW, {})

    assert [one.offered for one in found.steps] == [10.0, 20.0]
    assert [one.latencies.p50 for one in found.steps] == pytest.approx([2.0, 8.0])
    assert [one.answered for one in found.steps] == pytest.approx([1.0, 1.0])


def test_one_rate_has_no_steps() -> None:
    """A steady load is no ramp."""
    assert summarize(OPEN, filled((3.0, 0.1, 200, "")), (100.0,), WINDOW, {}).steps == []


def test_a_scenario_that_sent_nothing_has_numbers() -> None:
    """No request at all is an outcome too, and divides by nothing."""
    found = summarize(OPEN, Record(), (0.0,), WINDOW, {"replica": 1.0})

    assert (found.requests, found.requests_per_second, found.late_p99_ms) == (0, 0.0, 0.0)


def test_the_knee_is_the_highest_rate_that_was_kept_up_with() -> None:
    """A rate counts if nearly all of it is answered meanwhile, and quickly."""
    ramp = [step(100, 100, 1.0), step(200, 199, 4.0), step(300, 299, 9.0), step(400, 350, 4.0)]

    assert knee_of(ramp) == 200


def test_there_may_be_no_knee() -> None:
    """Servers that do not keep up with the lowest rate have none."""
    assert knee_of([step(100, 50, 1.0)]) == 0
