"""One scenario in numbers: what its record says, and what the servers spent meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from bench.scenarios import Open, Scenario
from bench.suite.record import Array, Record

QUANTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100)
"""Percentiles that are kept, for tables and charts."""


class Latencies(msgspec.Struct):
    """How long some of the requests took, from when they were due, ms; percentiles as text.

    Attributes:
        requests: Their number.
        ms: By percentile, `QUANTILES`.
    """

    requests: int
    ms: dict[str, float]

    @property
    def p50(self) -> float:
        """Return the median, ms."""
        return self.ms["50"]

    @property
    def p95(self) -> float:
        """Return what 5 % took longer than, ms."""
        return self.ms["95"]

    @property
    def p99(self) -> float:
        """Return what 1 % took longer than, ms."""
        return self.ms["99"]


class Step(msgspec.Struct):
    """One rate of open arrivals: offered and answered requests a second, and how long they took."""

    offered: float
    answered: float
    latencies: Latencies


class Outcome(msgspec.Struct):
    """What came of a scenario.

    Attributes:
        name: Of the scenario.
        requests: Sent, without the warm-up.
        seconds: That were measured.
        answered: Latencies of those with status 200.
        accepted: Of those and of what was let in but not answered in time, with 504.
        refused: Of those with 503.
        by_cache: Of those with 200, by cache state.
        statuses: Requests by status, the warm-up too.
        num_faults: Wrong ones, the warm-up too.
        faults: The first of them, in words.
        late_p99_ms: How late the generator itself was, 99th percentile.
        rows_per_second: Rows answered.
        steps: Of arrivals with several rates.
        cpu_us: CPU time a request by kind of process; `generator` is the suite itself.
    """

    name: str
    requests: int
    seconds: float
    answered: Latencies | None
    accepted: Latencies | None
    refused: Latencies | None
    by_cache: dict[str, Latencies]
    statuses: dict[str, int]
    num_faults: int
    faults: list[str]
    late_p99_ms: float
    rows_per_second: float
    steps: list[Step]
    cpu_us: dict[str, float]

    @property
    def requests_per_second(self) -> float:
        """Return the requests a second that were answered with 200."""
        return self.answered.requests / self.seconds if self.answered else 0.0


def summarize(
    scenario: Scenario,
    record: Record,
    rates: tuple[float, ...],
    window: tuple[float, float],
    spent: Mapping[str, float],
) -> Outcome:
    """Return the numbers of a scenario.

    Args:
        scenario: Which.
        record: Of all its requests.
        rates: Of its arrivals, requests a second.
        window: First and last second that count.
        spent: CPU seconds in the window by kind of process.
    """
    begin, end = window
    due, latency = record.due, record.latency
    # Open arrivals count by when they were due; of closed ones, those answered in the window.
    moment = due if isinstance(scenario.arrivals, Open) else due + latency
    measured = (moment >= begin) & (moment < end)
    good = measured & record.having(status=200)
    number = int(measured.sum())
    states = {state for _, state in record.counts() if state}
    rows = sum(share * ask.rows for share, ask in scenario.mix)
    return Outcome(
        name=scenario.name,
        requests=number,
        seconds=end - begin,
        answered=latencies(latency[good]),
        accepted=latencies(latency[good | (measured & record.having(status=504))]),
        refused=latencies(latency[measured & record.having(status=503)]),
        by_cache={
            state: found
            for state in sorted(states)
            if (found := latencies(latency[good & record.having(cache=state)]))
        },
        statuses=_statuses(record),
        num_faults=record.num_faults,
        faults=record.faults,
        late_p99_ms=float(np.percentile(record.late[measured], 99)) * 1e3 if number else 0.0,
        rows_per_second=rows * int(good.sum()) / (end - begin),
        steps=_steps(record, rates, end, begin),
        cpu_us={kind: seconds / max(number, 1) * 1e6 for kind, seconds in spent.items()},
    )


def latencies(seconds: Array) -> Latencies | None:
    """Return percentiles of latencies, or None where there are none."""
    if not len(seconds):
        return None
    values = np.percentile(seconds * 1e3, QUANTILES)
    named = {f"{q:g}": float(value) for q, value in zip(QUANTILES, values, strict=True)}
    return Latencies(len(seconds), named)


def knee_of(steps: Sequence[Step], *, most_ms: float = 5.0, least_share: float = 0.98) -> float:
    """Return the highest offered rate, requests/s, that was kept up with; 0 for none.

    Args:
        steps: Of a ramp.
        most_ms: What the 95th percentile may be.
        least_share: Share of what was offered that must be answered meanwhile.
    """
    kept = [
        step.offered
        for step in steps
        if step.answered >= least_share * step.offered and step.latencies.p95 <= most_ms
    ]
    return max(kept, default=0.0)


def _statuses(record: Record) -> dict[str, int]:
    found: dict[str, int] = {}
    for (status, _), number in record.counts().items():
        found[str(status)] = found.get(str(status), 0) + number
    return found


def _steps(record: Record, rates: tuple[float, ...], end: float, warm_up: float) -> list[Step]:
    if len(rates) < 2:
        return []
    due, latency = record.due, record.latency
    good = record.having(status=200)
    share = end / len(rates)
    steps: list[Step] = []
    for number, rate in enumerate(rates):
        first, last = max(number * share, warm_up), (number + 1) * share
        answered = good & (due + latency >= first) & (due + latency < last)
        found = latencies(latency[good & (due >= first) & (due < last)])
        if found:
            steps.append(Step(rate, float(answered.sum()) / (last - first), found))
    return steps
