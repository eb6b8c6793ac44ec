"""What tracing costs a request: off, for one request in a hundred, and for all.

Four servers with the same load by turns, two of them without tracing: what differs between these is
the machine's. A request without tracing, and without a limit for slow requests, asks twice whether
they are on; what that takes is timed alone. Spans go to a server that takes whatever it is sent.
"""

from __future__ import annotations

from math import inf
from timeit import repeat

from bench.harness import ECHO_COMMAND, started
from bench.load import Load
from bench.markdown import number
from bench.measurements.ceiling import BYPASS, CROWD
from bench.rounds import CPU, P50, RPS, Candidate, headers
from bench.run import Run

ROUNDS, SECONDS = 12, 1
OFF, OFF_TOO, SAMPLED, ALL = "off", "off, another", "one in a hundred", "all"
SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
NUM_CHECKS = 1_000_000
VALUES = (RPS, P50, CPU)


class Off:
    """What `app/ml_pipeline/web/middleware.py` looks at when a request has been answered."""

    def __init__(self) -> None:
        self.slow_seconds = inf
        self.trace = None


def measure(run: Run) -> None:
    """Measure and report."""
    nothing = {"ANSWER_BYTES": "0"}
    taker = run.opened.enter_context(
        started("taker", ECHO_COMMAND, environment=nothing, cores=run.cores.load)
    )
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{taker.port}"}
    settings = {OFF: {}, OFF_TOO: {}, SAMPLED: traced | SAMPLER, ALL: traced}
    load = Load(BYPASS, CROWD, run.options.seconds)
    results = run.by_turns(
        [
            Candidate(name, run.start(name, **environment), load)
            for name, environment in settings.items()
        ]
    )
    run.table(
        ("tracing", *headers(VALUES), "CPU × off"),
        [
            (name, *results.cells(name, VALUES), number(results.ratio(name, OFF, CPU)))
            for name in settings
        ],
    )
    run.explain(connections=CROWD)
    checks_us = checks_seconds() * 1e6
    share = checks_us / results.figure(OFF, CPU)
    run.note(f"Both questions of a request without tracing: {checks_us:.3f} µs, {share:.2%}.")
    # Less than any measurement here can see.
    run.judge({"part of a request that tracing takes when off": 100 * share})
    run.raw["checks_us"] = checks_us


def checks_seconds() -> float:
    """Time what a request asks of tracing that is off; the quickest of seven."""
    statement = "seconds > off.slow_seconds\noff.trace is not None"
    names = {"off": Off(), "seconds": 0.001}
    return min(repeat(statement, number=NUM_CHECKS, repeat=7, globals=names)) / NUM_CHECKS
