"""From start to the first prediction, and memory after use.

Time: from the start of the process to the first 200 of POST /predict, asked every few
milliseconds. A first start is not counted: it compiles Python's bytecode, as an installation
does. So with a folder of 1,000 copies of the model. Memory: the process tree after 10,000
predictions of which no two are equal, so that the cache in the process fills as well.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from http import HTTPStatus
from statistics import median

from bench.harness import (
    READY_TIMEOUT_SECONDS,
    SERVE_COMMAND,
    Server,
    ServerError,
    log_tail,
    spawned,
)
from bench.harness import (
    measure as measure_load,
)
from bench.load import Load
from bench.markdown import number
from bench.request import Request, json_request, send
from bench.run import Run
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ROUNDS, SECONDS = 5, 1
POLL_SECONDS = 0.002
REQUESTS = 10_000
CONNECTIONS = 32
MOST_LOADS = 60
MANY, MANY_ROUNDS = 1000, 3
REQUEST = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)


def measure(run: Run) -> None:
    """Measure and report."""
    starts = [start_seconds() for _ in range(run.options.rounds + 1)][1:]
    many = start_many(run, min(MANY_ROUNDS, run.options.rounds))
    server = run.start("server")
    fresh_mb = server.rss_bytes() / 1e6
    sent, used_mb = use(server, run.options.seconds)
    run.table(
        ("what", "number"),
        [
            (f"start to first prediction, median of {len(starts)}, s", number(median(starts))),
            ("quickest, s", number(min(starts))),
            ("slowest, s", number(max(starts))),
            (f"{MANY:,} models, median of {len(many)}, s", number(median(many))),
            ("memory when ready, MB", number(fresh_mb)),
            (f"memory after {sent:,} different predictions, MB", number(used_mb)),
        ],
    )
    run.note("Memory is the resident set of the process tree.")
    run.judge(
        {
            "start to first prediction": median(starts),
            f"start with {MANY:,} models": median(many),
            f"memory after {REQUESTS:,} or more predictions": used_mb,
        }
    )
    run.raw = {"start_seconds": starts, "start_many_seconds": many, "used_mb": used_mb}


def start_many(run: Run, times: int) -> list[float]:
    """Start as often with a folder of many copies of a model."""
    folder = run.folder()
    for copy in range(MANY):
        shutil.copy(SAMPLE_MODEL, folder / f"m{copy}.onnx")
    request = dataclasses.replace(REQUEST, path="/predict?model=m0")
    return [start_seconds((*SERVE_COMMAND, str(folder)), request) for _ in range(times)]


def start_seconds(command: Sequence[str] = SERVE_COMMAND, request: Request = REQUEST) -> float:
    """Start a server, return when it first predicted, and stop it."""
    start = time.perf_counter()
    with spawned("server", command) as server:
        while not _predicts(server, request):
            if time.perf_counter() - start > READY_TIMEOUT_SECONDS:
                raise ServerError(f"no prediction in time:\n{log_tail(server)}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - start


def use(server: Server, seconds: int) -> tuple[int, float]:
    """Send at least `REQUESTS` requests; return their number and the MB held then."""
    sent = 0
    for _ in range(MOST_LOADS):
        load = Load(REQUEST, CONNECTIONS, seconds, first_number=sent)
        measured = measure_load(server, load)
        sent += measured.load.requests
        if sent >= REQUESTS:
            return sent, measured.rss_bytes / 1e6
    raise ServerError(f"only {sent} requests in {MOST_LOADS} loads")


def _predicts(server: Server, request: Request) -> bool:
    if server.process.poll() is not None:
        raise ServerError(f"the server ended:\n{log_tail(server)}")
    try:
        return send(server.port, request).status == HTTPStatus.OK
    except OSError:
        return False
