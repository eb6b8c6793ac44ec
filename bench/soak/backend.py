"""ONNX's own backend suite: the tests of `tests/backend`, with every case of it."""

from __future__ import annotations

from bench.soak.bad_input import run_tests
from bench.soak.scenario import Finding, Run


def run(run: Run) -> Finding:
    """Serve its models, and ask each with free first sizes by a crowd."""
    step = run.choose(1, 40)
    report = run_tests(run, ["tests/backend/test_backend_suite.py"], BACKEND_STEP=step)
    counts = report.counts
    verdicts = {name: counts[name] for name in ("independent", "coupled", "unknown")}
    return Finding(
        tried=f"{counts['models served']:,} models of ONNX's backend suite with their recorded "
        f"inputs, in bytes and in JSON; {sum(verdicts.values()):,} with first sizes freed, each by "
        "a crowd of 8",
        found=f"{counts['wrong']} of {counts['answers']:,} answers of crowds wrong; "
        + ", ".join(f"{number:,} models {name}" for name, number in verdicts.items())
        + f"; {counts['models of unknown types']:,} refused for types that it has no form for",
        broken=report.broken,
    )
