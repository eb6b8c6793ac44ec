"""MessagePack against JSON: what 1,000 rows of ten features cost the server.

The same rows by turns, cache off. The model's own run is in both numbers, and told apart.
"""

from __future__ import annotations

from bench import cores as core_division
from bench.harness import SERVE_COMMAND, started
from bench.load import Load
from bench.offline import run_seconds
from bench.report import Report, Target, begin, number, parser
from bench.request import json_request, msgpack_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ROWS = 1000
CONNECTIONS = 4
REQUESTS = {
    "MessagePack": msgpack_request(ROWS, SAMPLE_FEATURES, use_cache=False),
    "JSON": json_request(ROWS, SAMPLE_FEATURES, use_cache=False),
}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=3, model=SAMPLE_MODEL)
    report, arguments = begin(f"Formats, {ROWS:,} rows of {SAMPLE_FEATURES}", options)
    cores = core_division.divide()
    command = [*SERVE_COMMAND, str(arguments.model)]
    with started("server", command, cores=cores.server) as server:
        sizes = {
            name: (len(request.body), len(send_ok(server.port, request, cache="bypass").body))
            for name, request in REQUESTS.items()
        }
        candidates = [
            Candidate(name, server, Load(request, CONNECTIONS, arguments.seconds))
            for name, request in REQUESTS.items()
        ]
        results = alternate(candidates, arguments.rounds, load_cores=cores.load)
    run_us = run_seconds(arguments.model, ROWS) * 1e6
    describe(report, results, sizes)
    report.note(
        "RPS, p50, p99: median over rounds; CPU: the quietest round; targets: median of the "
        f"ratios within a round. Closed loop, wrk, {CONNECTIONS} connections; {cores.text}. "
        f"One run of {ROWS:,} rows offline: {number(run_us)} µs."
    )
    report.raw = {"results": results.raw(), "run_us": run_us}
    report.finish(arguments.json)


def describe(report: Report, results: Results, sizes: dict[str, tuple[int, int]]) -> None:
    """Put the tables into the report."""
    report.table(
        ("format", "request B", "answer B", "RPS", "p50 µs", "p99 µs", "CPU µs"),
        [
            (
                *(name, f"{sent:,}", f"{answered:,}"),
                *(number(results.median(name, value)) for value in (rps, p50, p99)),
                number(results.least(name, cpu)),
            )
            for name, (sent, answered) in sizes.items()
        ],
    )
    ratio = results.ratio("MessagePack", "JSON", cpu)
    report.targets([Target("CPU of the server: MessagePack / JSON", ratio, 1 / 5)])


if __name__ == "__main__":
    main()
