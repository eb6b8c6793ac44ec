"""How many times faster than the ordinary implementation, or than mosec (`--peer mosec`).

Both are loaded by turns in one run, by the same generator with the same requests, after it is
proven that they answer alike, that a bypass runs the model and that a hit does not. The ordinary
implementation (bench/reference) is the same API on FastAPI, pydantic, uvicorn and redis-py, in one
process. mosec (bench/peers) is the strongest peer; it has no cache.
Every server has its metrics on; its log keeps errors, or a line of JSON a request where a row says
so. A row is named by `--only`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from bench import cores as core_division
from bench.contestants import (
    BYPASS,
    FAR,
    LOGGING,
    MOSEC,
    MOSEC_JSON,
    MOSEC_SINGLE,
    ORDINARY,
    ORDINARY_LOGGING,
    OURS,
    Contestant,
    start,
)
from bench.load import Load
from bench.report import Report, Target, begin, number, parser
from bench.request import Request, json_request
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps
from bench.same_answers import (
    CROWD,
    numbered,
    prove_bypass,
    prove_equal,
    prove_hits,
    prove_log,
    various,
)
from bench.sample import SAMPLE_FEATURES

# More rows than are under way, so that no two of the server's own look-ups are joined.
CACHED_ROWS = 256
NUM_EQUAL = 200
HEADER = (
    *("what", "connections", "RPS", "peer's", "× peer", "p50 µs", "peer's", "× peer"),
    *("p99 µs", "peer's", "CPU µs", "peer's", "× peer"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a request to a server of ours and to another, by name.

    Attributes:
        least_rps: The ratio of requests a second that is wanted, or None.
        most_p50: The ratio of the middle latencies that is allowed, or None.
    """

    what: str
    request: Request
    ours: str
    peer: str
    connections: int = CROWD
    least_rps: float | None = None
    most_p50: float | None = None

    def label(self, name: str) -> str:
        """Name a candidate by its load and its server: two rows may share one."""
        size = len(self.request.body)
        return f"{name}: {self.request.path}, {size} bytes, {self.connections} connections"


def batch_request(num_requests: int) -> Request:
    """Return that many requests of a row each in one, without the cache."""
    rows = msgspec.json.decode(json_request(num_requests, SAMPLE_FEATURES, use_cache=False).body)
    members = [{"data": [row], "use_cache": False} for row in rows["data"]]
    body = msgspec.json.encode({"requests": members})
    return Request("/predict/batch", body, "application/json")


CACHED = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)
MANY = json_request(CROWD, SAMPLE_FEATURES, use_cache=False)
TABLE = json_request(1000, SAMPLE_FEATURES, use_cache=False)
ROWS: Mapping[str, Mapping[str, Row]] = {
    "ordinary": {
        "uncached": Row("one row, uncached", BYPASS, OURS, ORDINARY, least_rps=8.0),
        "logging": Row("the same, a log line a request", BYPASS, LOGGING, ORDINARY_LOGGING),
        "redis": Row("hit in Redis, none in memory", CACHED, FAR, ORDINARY, least_rps=8.0),
        "memory": Row("hit, the server as it comes", CACHED, OURS, ORDINARY),
        "rows": Row("32 rows in a request", MANY, OURS, ORDINARY),
        "batch": Row("`/predict/batch` of 32", batch_request(CROWD), OURS, ORDINARY),
        "table": Row("1,000 × 10", TABLE, OURS, ORDINARY),
    },
    "mosec": {
        "crowd": Row("one row", BYPASS, OURS, MOSEC, least_rps=1.1),
        "alone": Row("one row", BYPASS, OURS, MOSEC, 1, most_p50=0.2),
        "json": Row("one row, mosec's own JSON", BYPASS, OURS, MOSEC_JSON),
        "single": Row("one row, mosec not batching", BYPASS, OURS, MOSEC_SINGLE),
        "single-alone": Row("one row, mosec not batching", BYPASS, OURS, MOSEC_SINGLE, 1),
    },
}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=8, seconds=1)
    options.add_argument("--peer", choices=ROWS, default="ordinary", help="default: %(default)s")
    options.add_argument("--only", action="append", metavar="ROW", help="measure this row alone")
    report, arguments = begin("Beside others that do the same", options)
    rows = _chosen(options, arguments)
    cores = core_division.divide()
    with ExitStack() as opened:
        names = dict.fromkeys(name for row in rows for name in (row.ours, row.peer))
        contestants = start(opened, names, cores.server)
        prove(contestants, rows)
        found = candidates(contestants, rows, arguments.seconds)
        results = alternate(found, arguments.rounds, load_cores=cores.load)
    describe(report, results, rows)
    report.note(
        "RPS, p50, p99: median over rounds; CPU: the quietest round, all processes of a server; "
        "× peer: median of the ratios within a round. "
        f"Closed loop, wrk, one thread, keep-alive; {cores.text}."
    )
    report.raw = {"peer": arguments.peer, "results": results.raw()}
    report.finish(arguments.json)


def _chosen(options: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[Row]:
    rows = ROWS[arguments.peer]
    if unknown := set(arguments.only or ()) - rows.keys():
        options.error(f"--only: no row {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    return [row for name, row in rows.items() if name in (arguments.only or rows)]


def prove(contestants: Mapping[str, Contestant], rows: Sequence[Row]) -> None:
    """Make sure that each pair of `rows` does the same work, and that it is the work meant."""
    for row in rows:
        ours, peer = contestants[row.ours], contestants[row.peer]
        prove_equal(ours, peer, [row.request, *various(ours, NUM_EQUAL)])
        for contestant in (ours, peer):
            if row.request is CACHED:
                prove_hits(contestant, list(numbered(CACHED, CACHED_ROWS)))
            elif row.request is BYPASS:
                prove_bypass(contestant, BYPASS)
            if contestant.server.name in (LOGGING, ORDINARY_LOGGING):
                prove_log(contestant, BYPASS)


def candidates(
    contestants: Mapping[str, Contestant], rows: Sequence[Row], seconds: int
) -> list[Candidate]:
    """Return what is loaded in one round, in order; what two rows share is loaded once."""
    found = {}
    for row in rows:
        for name in (row.ours, row.peer):
            cycle = CACHED_ROWS if row.request.numbered else 0
            load = Load(row.request, row.connections, seconds, cycle=cycle)
            label = row.label(name)
            found[label] = Candidate(label, contestants[name].server, load)
    return list(found.values())


def describe(report: Report, results: Results, rows: Sequence[Row]) -> None:
    """Put the tables into the report."""
    report.table(HEADER, [_cells(results, row) for row in rows])
    targets = []
    for row in rows:
        ours, peer = row.label(row.ours), row.label(row.peer)
        if row.least_rps is not None:
            ratio = results.ratio(ours, peer, rps)
            targets.append(Target(f"{row.what}: RPS × {row.peer}", ratio, row.least_rps, True))
        if row.most_p50 is not None:
            ratio = results.ratio(ours, peer, p50)
            what = f"{row.what}, {row.connections} connection: p50 × {row.peer}"
            targets.append(Target(what, ratio, row.most_p50))
    if targets:
        report.targets(targets)


def _cells(results: Results, row: Row) -> tuple[object, ...]:
    ours, peer = row.label(row.ours), row.label(row.peer)
    cells: list[object] = [row.what, row.connections]
    for value, with_ratio in ((rps, True), (p50, True), (p99, False), (cpu, True)):
        over_rounds = results.least if value is cpu else results.median
        cells += [number(over_rounds(label, value)) for label in (ours, peer)]
        if with_ratio:
            cells.append(number(results.ratio(ours, peer, value)))
    return tuple(cells)


if __name__ == "__main__":
    main()
