"""Requests that weigh more than they look, one after the other, good ones beside them.

Which there are is `tests/bombs/table.py`, what must hold `tests/bombs/test_bombs.py`, whose short
form `ops/test` runs: each bomb once.
"""

from __future__ import annotations

from bench.soak.bad_input import run_tests
from bench.soak.scenario import Finding, Run


def run(run: Run) -> Finding:
    """Throw them all, again and again."""
    report = run_tests(run, ["tests/bombs"], BOMB_SECONDS=run.choose(600, 0))
    counts = report.counts
    return Finding(
        tried=f"{counts['bombs']:,} of {counts['kinds']} kinds, good requests beside them: "
        "compressed ones, lists, keys, tensors, MessagePack, batches, streams; up to 16 MB",
        found=f"each refused with 4xx, each good request answered; memory at most "
        f"{counts['grown_mb']} MB above that before; `/health` beside them within "
        f"{counts['p99_us'] / 1e3:.0f} ms at p99, {counts['slowest_us'] / 1e3:.0f} ms at most",
        broken=report.broken,
    )
