"""Random graphs, batched against apart: those of the tests, and more."""

from __future__ import annotations

from bench.soak.bad_input import run_tests
from bench.soak.scenario import Finding, Run


def run(run: Run) -> Finding:
    """Grow graphs, judge them, and run the rows of those that are said to keep them apart."""
    report = run_tests(
        run, ["tests/engine/graph/test_random_graphs.py"], RANDOM_GRAPHS=run.choose(2000, 100)
    )
    counts = report.counts
    return Finding(
        tried=f"{counts.total():,} graphs, grown at random out of the operators that are followed; "
        "at 2, 5 and 16 rows of several scales",
        found=f"{counts['independent']:,} said to keep rows apart, of which "
        f"{len(report.broken)} do not; "
        f"{counts['coupled']:,} coupled, {counts['unknown']:,} unknown",
        broken=report.broken,
    )
