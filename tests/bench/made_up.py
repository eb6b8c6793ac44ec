"""Results that no run has brought, for what is made of results."""

import msgspec
import numpy as np

from bench.suite.outcome import Latencies, Outcome, Step, latencies


def times(*milliseconds: float) -> Latencies:
    """Give the percentiles of some latencies."""
    found = latencies(np.array(milliseconds) / 1e3)
    assert found is not None
    return found


def outcome(name: str, p50_ms: float = 1.0, **changes: object) -> Outcome:
    """Give an outcome in which every request took as long, and nothing was wrong."""
    plain = Outcome(
        name=name,
        requests=1000,
        seconds=2.0,
        answered=times(*[p50_ms] * 1000),
        accepted=times(*[p50_ms] * 1000),
        refused=None,
        by_cache={},
        statuses={"200": 1500},
        num_faults=0,
        faults=[],
        late_p99_ms=0.1,
        rows_per_second=500.0,
        steps=[],
        cpu_us={"replica": 100.0, "nginx": 50.0, "generator": 200.0},
    )
    return msgspec.structs.replace(plain, **changes)


def step(offered: float, answered: float, p95_ms: float) -> Step:
    """Give a step of a ramp."""
    return Step(offered, answered, times(p95_ms))
