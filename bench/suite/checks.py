"""Where the figure of each target of `ops/bench` is, by its `what` in `targets.toml`.

A check gives None where the run has not measured it.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.suite.outcome import Latencies, Outcome
from bench.suite.results import Results
from bench.targets import Verdict, judge

Check = Callable[[Results], float | None]


def _of(name: str, value: Callable[[Outcome], float]) -> Check:
    def check(results: Results) -> float | None:
        return value(results.outcomes[name]) if _answered(results, name) else None

    return check


def _latency(name: str, percentile: str) -> Check:
    def check(results: Results) -> float | None:
        found = _answered(results, name)
        return found.ms[percentile] if found else None

    return check


def _answered(results: Results, name: str) -> Latencies | None:
    outcome = results.outcomes.get(name)
    return outcome.answered if outcome else None


def _above_floor(name: str, state: str) -> Check:
    """Median of those in a cache state, less the generator's own floor in the same run, ms."""

    def check(results: Results) -> float | None:
        floor, outcome = _answered(results, "floor"), results.outcomes.get(name)
        if floor is None or outcome is None or state not in outcome.by_cache:
            return None
        return outcome.by_cache[state].p50 - floor.p50

    return check


def _nginx(results: Results) -> float | None:
    """What Nginx adds to the median, as a multiple of what it takes to answer by itself."""
    names = ("uncached", "past_nginx", "floor")
    behind, past, floor = (_answered(results, name) for name in names)
    if behind is None or past is None or floor is None:
        return None
    return (behind.p50 - past.p50) / floor.p50


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


def _overload(kind: str, percentile: str) -> Check:
    """Latency of those that an overload has `accepted` or `refused`, ms."""

    def check(results: Results) -> float | None:
        found: Latencies | None = getattr(results.outcomes.get("overload"), kind, None)
        return found.ms[percentile] if found else None

    return check


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
    "3 × capacity: p99 of what is accepted": _overload("accepted", "99"),
    "3 × capacity: p50 of a refusal": _overload("refused", "50"),
    "requests answered wrongly or not at all": _faults,
    "requests that Prometheus counts otherwise": _miscounted,
}


def verdicts_on(results: Results) -> list[Verdict]:
    """Judge everything that a run has measured."""
    return judge("suite", {what: check(results) for what, check in CHECKS.items()})
