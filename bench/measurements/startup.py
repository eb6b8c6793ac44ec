"""From start to the first prediction, and memory after use.

Time: from the start of the process to the first 200 of POST /predict, asked every few
milliseconds. A first start is not counted: it compiles Python's bytecode, as an installation
does. So with a folder of 1,000 copies of the model. Memory: the process tree after 10,000
predictions of which no two are equal, so that the cache in the process fills as well.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from statistics import median

from bench.harness import (
    READY_TIMEOUT_SECONDS,
    SERVE_COMMAND,
    Server,
    ServerError,
    log_tail,
    measure,
    spawned,
    started,
)
from bench.load import Load
from bench.report import Report, Target, begin, number, parser
from bench.request import Request, json_request, send
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

POLL_SECONDS = 0.002
REQUESTS = 10_000
CONNECTIONS = 32
MOST_LOADS = 60
MANY, MANY_ROUNDS = 1000, 3
REQUEST = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, model=SAMPLE_MODEL)
    report, arguments = begin("Start and memory", options)
    command = [*SERVE_COMMAND, str(arguments.model)]
    starts = [start_seconds(command) for _ in range(arguments.rounds + 1)][1:]
    many = median(start_many(arguments.model) for _ in range(MANY_ROUNDS))
    with started("server", command) as server:
        fresh = server.rss_bytes()
        sent, used = use(server)
    describe(report, starts, many, (fresh, used), sent)
    report.raw = {
        "start_seconds": starts,
        "start_many_seconds": many,
        "fresh_bytes": fresh,
        "used_bytes": used,
        "sent": sent,
    }
    report.finish(arguments.json)


def start_many(model: Path) -> float:
    """Likewise with a folder of many copies of a model."""
    request = dataclasses.replace(REQUEST, path="/predict?model=m0")
    with tempfile.TemporaryDirectory() as name:
        for copy in range(MANY):
            shutil.copy(model, Path(name, f"m{copy}.onnx"))
        return start_seconds([*SERVE_COMMAND, name], request)


def start_seconds(command: Sequence[str], request: Request = REQUEST) -> float:
    """Start a server, return when it first predicted, and stop it."""
    start = time.perf_counter()
    with spawned("server", command) as server:
        while not _predicts(server, request):
            if time.perf_counter() - start > READY_TIMEOUT_SECONDS:
                raise ServerError(f"no prediction in time:\n{log_tail(server)}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - start


def use(server: Server) -> tuple[int, int]:
    """Send at least `REQUESTS` requests; return their number and the memory held then."""
    sent = rss_bytes = 0
    for _ in range(MOST_LOADS):
        measured = measure(server, Load(REQUEST, CONNECTIONS, seconds=1, first_number=sent))
        sent += measured.load.requests
        rss_bytes = measured.rss_bytes
        if sent >= REQUESTS:
            return sent, rss_bytes
    raise ServerError(f"only {sent} requests in {MOST_LOADS} s")


def describe(
    report: Report, starts: Sequence[float], many: float, memory: tuple[int, int], sent: int
) -> None:
    """Put the tables into the report."""
    fresh_mb, used_mb = (rss_bytes / 1e6 for rss_bytes in memory)
    report.table(
        ("what", "number"),
        [
            (f"start to first prediction, median of {len(starts)}, s", number(median(starts))),
            ("quickest, s", number(min(starts))),
            ("slowest, s", number(max(starts))),
            (f"{MANY:,} models, median of {MANY_ROUNDS}, s", number(many)),
            ("memory when ready, MB", number(fresh_mb)),
            (f"memory after {sent:,} different predictions, MB", number(used_mb)),
        ],
    )
    report.note("Memory is the resident set of the process tree; nothing is pinned to a core.")
    report.targets(
        [
            Target("start to first prediction, s", median(starts), 1.0),
            Target(f"start with {MANY:,} models, s", many, 5.0),
            Target(f"memory after {REQUESTS:,} or more predictions, MB", used_mb, 130.0),
        ]
    )


def _predicts(server: Server, request: Request) -> bool:
    if server.process.poll() is not None:
        raise ServerError(f"the server ended:\n{log_tail(server)}")
    try:
        return send(server.port, request).status == HTTPStatus.OK
    except OSError:
        return False


if __name__ == "__main__":
    main()
