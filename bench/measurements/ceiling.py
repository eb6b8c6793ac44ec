"""What a prediction costs beside echoes, which only read a body and answer as many bytes.

One echo is on Granian, by which the targets are measured; one on our own HTTP layer, the ceiling.
All stay up and are loaded by turns, one row of ten features a request; the server has its metrics,
request ids and Server-Timing on, and its access log keeps errors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import cores as core_division
from bench.cores import Cores
from bench.harness import SERVE_COMMAND, Server, measure, started
from bench.load import Load
from bench.offline import run_seconds
from bench.report import Report, Target, begin, number, parser
from bench.request import AnswerError, Request, json_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps, rss_mb, tail
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ECHO_COMMAND = (sys.executable, "-m", "bench.echo")
CROWD = 32
ECHO, BARE, OFF, L1 = "Granian echo", "echo here", "cache off", "L1 hit"
HEADER = (
    *("what", "connections", "RPS", "p50 µs", "p99 µs", "p99/p50"),
    *("CPU µs", "CPU × echo", "RPS × echo", "memory MB"),
)
BYPASS = json_request(1, SAMPLE_FEATURES, use_cache=False)
CACHED = json_request(1, SAMPLE_FEATURES, use_cache=True)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=12, seconds=1, model=SAMPLE_MODEL)
    report, arguments = begin("A prediction beside echoes", options)
    cores = core_division.divide()
    command = [*SERVE_COMMAND, str(arguments.model)]
    with started("server", command, cores=cores.server) as server:
        prove(server, cores)
        size = {"ANSWER_BYTES": str(len(send_ok(server.port, BYPASS).body))}
        granian = size | {"ECHO": "granian"}
        with (
            started("Granian", ECHO_COMMAND, environment=granian, cores=cores.server) as echo,
            started("echo", ECHO_COMMAND, environment=size, cores=cores.server) as bare,
        ):
            results = alternate(
                candidates(echo, bare, server, arguments.seconds),
                arguments.rounds,
                load_cores=cores.load,
            )
    with core_division.held(cores.server[:1]):
        pause = results.median(label(ECHO, 1), p50) / 1e6
        run_us = run_seconds(arguments.model, 1) * 1e6
        rested_us = run_seconds(arguments.model, 1, pause_seconds=pause) * 1e6
    describe(report, results, run_us, cores)
    report.note(
        f"One run of the model offline: {number(run_us)} µs in a tight loop, which the target "
        f"takes; {number(rested_us)} µs after a pause of {number(pause * 1e6)} µs."
    )
    report.raw = {"results": results.raw(), "run_us": run_us, "rested_run_us": rested_us}
    report.finish(arguments.json)


def prove(server: Server, cores: Cores) -> None:
    """Make sure that a bypass runs the model every time and a hit never does."""
    send_ok(server.port, CACHED)
    for request, cache, expected in ((BYPASS, "bypass", 1.0), (CACHED, "l1", 0.0)):
        send_ok(server.port, request, cache=cache)
        before = server.metrics()["ml_api_batch_rows_sum"]
        measured = measure(server, Load(request, CROWD, seconds=1), cores=cores.load)
        rows = server.metrics()["ml_api_batch_rows_sum"] - before
        # wrk does not count the requests in flight when it stops.
        if abs(rows - expected * measured.load.requests) > CROWD:
            raise AnswerError(f"{cache}: {measured.load.requests} requests ran {rows:.0f} rows")


def candidates(echo: Server, bare: Server, server: Server, seconds: int) -> list[Candidate]:
    """Return what is loaded in one round, in order."""
    kinds: Sequence[tuple[str, Server, Request]] = (
        (ECHO, echo, BYPASS),
        (BARE, bare, BYPASS),
        (OFF, server, BYPASS),
        (L1, server, CACHED),
    )
    return [
        Candidate(label(kind, connections), target, Load(request, connections, seconds))
        for connections in (CROWD, 1)
        for kind, target, request in kinds
    ]


def label(kind: str, connections: int) -> str:
    """Return the name of a candidate."""
    return f"{kind}, {connections}"


def describe(report: Report, results: Results, run_us: float, cores: Cores) -> None:
    """Put the tables into the report."""
    report.table(
        HEADER,
        [_row(results, kind, count) for count in (CROWD, 1) for kind in (ECHO, BARE, OFF, L1)],
    )
    report.note(
        "RPS, p50, p99 and their quotient: median over rounds; CPU: the quietest round; "
        "× echo: median of the ratios within a round; memory: the most after any round. "
        f"Closed loop, wrk, one thread, keep-alive; {cores.text}."
    )
    report.targets(_targets(results, run_us))


def _row(results: Results, kind: str, connections: int) -> tuple[object, ...]:
    name, base = label(kind, connections), label(ECHO, connections)
    medians = [number(results.median(name, value)) for value in (rps, p50, p99, tail)]
    ratios = [number(results.ratio(name, base, value)) for value in (cpu, rps)]
    # The echoes import all of the server for its settings: their memory would mislead.
    memory = "" if kind in (ECHO, BARE) else number(max(map(rss_mb, results.by_label[name])))
    return (kind, connections, *medians, number(results.least(name, cpu)), *ratios, memory)


def _targets(results: Results, run_us: float) -> list[Target]:
    off, hit, base = (label(kind, CROWD) for kind in (OFF, L1, ECHO))
    alone = results.median(label(OFF, 1), p50)
    limit = 1.5 * results.median(label(ECHO, 1), p50) + run_us
    return [
        Target("cache off: CPU × echo", results.ratio(off, base, cpu), 2.2),
        Target("L1 hit: CPU × echo", results.ratio(hit, base, cpu), 2.0),
        Target("cache off: p99/p50", results.median(off, tail), 3.0),
        Target("L1 hit: p99/p50", results.median(hit, tail), 3.0),
        Target("one connection, cache off: p50 µs (1.5 × echo + one run)", alone, limit),
    ]


if __name__ == "__main__":
    main()
