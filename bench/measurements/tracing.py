"""What tracing costs a request: off, for one request in a hundred, and for all.

Four servers with the same load by turns, two of them without tracing: what differs between these is
the machine's. A request without tracing, and without a limit for slow requests, asks twice whether
they are on; what that takes is timed alone. Spans go to a server that takes whatever it is sent.
"""

from __future__ import annotations

from contextlib import ExitStack
from math import inf
from timeit import repeat

from bench import cores as core_division
from bench.harness import SERVE_COMMAND, started
from bench.load import Load
from bench.measurements.ceiling import BYPASS, CROWD, ECHO_COMMAND
from bench.report import Target, begin, number, parser
from bench.rounds import Candidate, Results, alternate, cpu, p50, rps
from bench.sample import SAMPLE_MODEL

OFF, OFF_TOO, SAMPLED, ALL = "off", "off, another", "one in a hundred", "all"
SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
NUM_CHECKS = 1_000_000
MOST_PERCENT = 1.0
"""Of the CPU of a request, that what is off may take: less than any measurement here can see."""
HEADER = ("tracing", "RPS", "p50 µs", "CPU µs", "CPU × off")


class Off:
    """What `app/ml_pipeline/web/middleware.py` looks at when a request has been answered."""

    def __init__(self) -> None:
        self.slow_seconds = inf
        self.trace = None


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=12, seconds=1, model=SAMPLE_MODEL)
    report, arguments = begin("A prediction with tracing and without", options)
    cores = core_division.divide()
    command = [*SERVE_COMMAND, str(arguments.model)]
    with ExitStack() as running:
        taker = running.enter_context(
            started("taker", ECHO_COMMAND, environment={"ANSWER_BYTES": "0"}, cores=cores.load)
        )
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{taker.port}"}
        settings = {OFF: {}, OFF_TOO: {}, SAMPLED: traced | SAMPLER, ALL: traced}
        load = Load(BYPASS, CROWD, arguments.seconds)
        candidates = []
        for name, environment in settings.items():
            server = started(name, command, environment=environment, cores=cores.server)
            candidates.append(Candidate(name, running.enter_context(server), load))
        results = alternate(candidates, arguments.rounds, load_cores=cores.load)
    report.table(HEADER, [row(results, name) for name in settings])
    report.note(
        f"RPS and p50: median over rounds; CPU: the quietest round; × off: median of the ratios "
        f"within a round. {CROWD} connections, cache off; {cores.text}."
    )
    checks_us = checks_seconds() * 1e6
    share = checks_us / results.least(OFF, cpu)
    report.note(f"Both questions of a request without tracing: {checks_us:.3f} µs, {share:.2%}.")
    report.targets(
        [Target("% of a request that tracing takes when off", 100 * share, MOST_PERCENT)]
    )
    report.raw = {"results": results.raw(), "checks_us": checks_us}
    report.finish(arguments.json)


def row(results: Results, name: str) -> tuple[object, ...]:
    """Return a row of the table."""
    medians = [number(results.median(name, value)) for value in (rps, p50)]
    return (name, *medians, number(results.least(name, cpu)), number(results.ratio(name, OFF, cpu)))


def checks_seconds() -> float:
    """Time what a request asks of tracing that is off; the quickest of seven."""
    statement = "seconds > off.slow_seconds\noff.trace is not None"
    names = {"off": Off(), "seconds": 0.001}
    return min(repeat(statement, number=NUM_CHECKS, repeat=7, globals=names)) / NUM_CHECKS


if __name__ == "__main__":
    main()
