"""What each row of the README's table of targets measures: its `what`, and where the figure is.

A check gives None where the run has not measured it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.suite.outcome import Latencies, Outcome
from bench.suite.results import Results
from bench.targets import Check


def _of(name: str, value: Callable[[Outcome], float]) -> Check:
    def check(results: Results) -> float | None:
        outcome = results.outcomes.get(name)
        return None if outcome is None or outcome.answered is None else value(outcome)

    return check


def _latency(name: str, percentile: str) -> Check:
    return _of(name, lambda outcome: _answered(outcome).ms[percentile])


def _answered(outcome: Outcome) -> Latencies:
    assert outcome.answered is not None  # _of has asked
    return outcome.answered


def _above_floor(name: str, state: str) -> Check:
    """Median of those in a cache state, less the generator's own floor in the same run, ms."""

    def check(results: Results) -> float | None:
        floor, outcome = results.outcomes.get("floor"), results.outcomes.get(name)
        if floor is None or outcome is None or state not in outcome.by_cache:
            return None
        return outcome.by_cache[state].p50 - _answered(floor).p50

    return check


def _nginx(results: Results) -> float | None:
    """What Nginx adds to the median, as a multiple of what it takes to answer by itself."""
    found = [results.outcomes.get(name) for name in ("uncached", "past_nginx", "floor")]
    if None in found:
        return None
    behind, past, floor = (_answered(outcome).p50 for outcome in found if outcome is not None)
    return (behind - past) / floor


def _ceiling(results: Results) -> float | None:
    return results.ceilings[0].requests_per_second if results.ceilings else None


def _faults(results: Results) -> float | None:
    if not results.outcomes:
        return None
    return float(sum(outcome.num_faults for outcome in results.outcomes.values()))


def _miscounted(results: Results) -> float | None:
    if not results.counted:
        return None
    return float(sum(abs(ours - theirs) for ours, theirs in results.miscounts.values()))


def _refused(results: Results) -> float | None:
    outcome = results.outcomes.get("overload")
    return outcome.refused.p50 if outcome and outcome.refused else None


CHECKS: dict[str, Check] = {
    "start to first prediction": lambda results: (
        median(results.start_seconds) if results.start_seconds else None
    ),
    "no cache: p50": _latency("uncached", "50"),
    "no cache: p95": _latency("uncached", "95"),
    "no cache: p99": _latency("uncached", "99"),
    "hit in memory: p50 above the floor": _above_floor("hit_memory", "l1"),
    "hit in Redis: p50 above the floor": _above_floor("hit_redis", "redis"),
    "what Nginx adds to p50": _nginx,
    "a day's mix: p99": _latency("mixed_day", "99"),
    "sustained, by locust": _of("sustained", lambda outcome: outcome.requests_per_second),
    "sustained, by wrk, one replica": _ceiling,
    "batches of 32": _of("batch", lambda outcome: outcome.rows_per_second),
    "blocks of 1,000 as MessagePack": _of("block", lambda outcome: outcome.rows_per_second),
    "CPU of the replicas a request": _of("sustained", lambda outcome: outcome.cpu_us["replica"]),
    "memory of a replica after an hour's requests": lambda results: (
        results.memory.used_mb if results.memory else None
    ),
    "3 × capacity: p99 of what is accepted": _latency("overload", "99"),
    "3 × capacity: p50 of a refusal": _refused,
    "requests answered wrongly or not at all": _faults,
    "requests that Prometheus counts otherwise": _miscounted,
}
