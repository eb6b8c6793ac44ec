"""What the clients of one model notice while another, of 100 MB, is loaded and warmed.

By turns: nothing is loaded, or the large model is loaded anew over and over, by the API. Cache off.
"""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench.compute_bound import write_model
from bench.harness import SERVE_COMMAND, Measurement, Server
from bench.harness import measure as measure_load
from bench.load import Load
from bench.markdown import number
from bench.request import Request, json_request, send_ok
from bench.rounds import P50, P99, RPS, Results, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ROUNDS, SECONDS = 5, 3
WIDTH = 2048  # 117 MB of weights
CONNECTIONS = (1, 4)
REQUEST = dataclasses.replace(
    json_request(1, SAMPLE_FEATURES, use_cache=False), path="/predict?model=wine"
)
RELOAD = Request("/v2/repository/models/large/load", b"", "application/json")
LOAD_TIMEOUT_SECONDS = 60.0


def measure(run: Run) -> None:
    """Measure and report."""
    folder = run.folder()
    shutil.copy(SAMPLE_MODEL, folder / "wine.onnx")
    large = folder / "large.onnx"
    write_model(large, WIDTH)
    server = run.start("server", (*SERVE_COMMAND, str(folder)))
    took: list[float] = []
    results = by_turns(run, server, took)
    values = (RPS, P50, P99)
    run.table(
        ("what, connections", *headers(values)),
        [(name, *results.cells(name, values)) for name in results.by_label],
    )
    size, seconds = large.stat().st_size / 1e6, number(median(took))
    run.explain()
    run.note(f"The large model has {size:.0f} MB and takes {seconds} s to load.")
    run.judge(
        {
            f"p99 of others, {count} connections: loading / quiet": results.ratio(
                f"loading, {count}", f"quiet, {count}", P99
            )
            for count in CONNECTIONS
        }
    )
    run.raw = {"results": results.raw(), "load_seconds": took}


def by_turns(run: Run, server: Server, took: list[float]) -> Results:
    """Measure with and without a load under way; adds the seconds of each to `took`."""
    found: dict[str, list[Measurement]] = {}
    for turn in range(run.options.rounds + 1):
        for count in CONNECTIONS:
            load = Load(REQUEST, count, run.options.seconds if turn else 1)
            quiet = measure_load(server, load, cores=run.cores.load)
            with loading(server.port, took):
                busy = measure_load(server, load, cores=run.cores.load)
            if turn:
                found.setdefault(f"quiet, {count}", []).append(quiet)
                found.setdefault(f"loading, {count}", []).append(busy)
    return Results(found)


@contextmanager
def loading(port: int, took: list[float]) -> Iterator[None]:
    """Load the large model over and over, for a `with` block."""
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            begun = time.monotonic()
            send_ok(port, RELOAD, timeout=LOAD_TIMEOUT_SECONDS)
            took.append(time.monotonic() - begun)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
