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
from dataclasses import dataclass

import msgspec

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
from bench.markdown import number
from bench.request import AnswerError, Request, json_request
from bench.rounds import CPU, P50, P99, RPS, Candidate, Results, Value
from bench.run import Run
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

ROUNDS, SECONDS = 8, 1
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
        judged: The ratio that has a target, or None.
    """

    what: str
    request: Request
    ours: str
    peer: str
    connections: int = CROWD
    judged: Value | None = None

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
        "uncached": Row("one row, uncached", BYPASS, OURS, ORDINARY, judged=RPS),
        "logging": Row("the same, a log line a request", BYPASS, LOGGING, ORDINARY_LOGGING),
        "redis": Row("hit in Redis, none in memory", CACHED, FAR, ORDINARY, judged=RPS),
        "memory": Row("hit, the server as it comes", CACHED, OURS, ORDINARY),
        "rows": Row("32 rows in a request", MANY, OURS, ORDINARY),
        "batch": Row("`/predict/batch` of 32", batch_request(CROWD), OURS, ORDINARY),
        "table": Row("1,000 × 10", TABLE, OURS, ORDINARY),
    },
    "mosec": {
        "crowd": Row("one row", BYPASS, OURS, MOSEC, judged=RPS),
        "alone": Row("one row", BYPASS, OURS, MOSEC, 1, judged=P50),
        "json": Row("one row, mosec's own JSON", BYPASS, OURS, MOSEC_JSON),
        "single": Row("one row, mosec not batching", BYPASS, OURS, MOSEC_SINGLE),
        "single-alone": Row("one row, mosec not batching", BYPASS, OURS, MOSEC_SINGLE, 1),
    },
}


def add_options(options: argparse.ArgumentParser) -> None:
    """Add what is chosen of the comparisons."""
    options.add_argument("--peer", choices=ROWS, default="ordinary", help="default: %(default)s")
    options.add_argument("--only", action="append", metavar="ROW", help="measure this row alone")


def measure(run: Run) -> None:
    """Measure and report."""
    run.report = f"compare_{run.options.peer}"
    rows = _chosen(ROWS[run.options.peer], run.options.only)
    names = dict.fromkeys(name for row in rows for name in (row.ours, row.peer))
    contestants = start(run.opened, names, run.cores.server)
    prove(contestants, rows)
    results = run.by_turns(candidates(contestants, rows, run.options.seconds))
    run.table(HEADER, [_cells(results, row) for row in rows])
    run.explain()
    run.judge(
        {
            _target(row): results.ratio(row.label(row.ours), row.label(row.peer), row.judged)
            for row in rows
            if row.judged is not None
        }
    )


def _chosen(rows: Mapping[str, Row], only: Sequence[str] | None) -> list[Row]:
    """Return the rows that were named, or all.

    Raises:
        AnswerError: There is no row of a name.
    """
    if unknown := set(only or ()) - rows.keys():
        raise AnswerError(
            f"--only: expected some of {', '.join(rows)}, found {', '.join(sorted(unknown))}"
        )
    return [row for name, row in rows.items() if name in (only or rows)]


def _target(row: Row) -> str:
    if row.judged is P50:
        return f"{row.what}, {row.connections} connection: p50 × {row.peer}"
    return f"{row.what}: RPS × {row.peer}"


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


def _cells(results: Results, row: Row) -> tuple[object, ...]:
    ours, peer = row.label(row.ours), row.label(row.peer)
    cells: list[object] = [row.what, row.connections]
    for value in (RPS, P50, P99, CPU):
        cells += [number(results.figure(label, value)) for label in (ours, peer)]
        if value is not P99:
            cells.append(number(results.ratio(ours, peer, value)))
    return tuple(cells)
