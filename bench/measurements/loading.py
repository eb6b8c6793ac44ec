"""What the clients of one model notice while another, of 100 MB, is loaded and warmed.

By turns: nothing is loaded, or the large model is loaded anew over and over, by the API. Cache off.
"""

from __future__ import annotations

import http.client
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import cores as core_division
from bench.compute_bound import write_model
from bench.harness import SERVE_COMMAND, Measurement, Server, measure, started
from bench.load import Load
from bench.report import Report, Target, begin, number, parser
from bench.request import HOST, json_request
from bench.rounds import Results, p50, p99, rps
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

WIDTH = 2048  # 117 MB of weights
CONNECTIONS = (1, 4)
LOAD_TIMEOUT_SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=3)
    report, arguments = begin("Loading beside others", options)
    cores = core_division.divide()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(SAMPLE_MODEL, folder / "wine.onnx")
        write_model(folder / "large.onnx", WIDTH)
        size = (folder / "large.onnx").stat().st_size
        with started("server", [*SERVE_COMMAND, str(folder)], cores=cores.server) as server:
            results, seconds = by_turns(server, arguments.rounds, arguments.seconds, cores.load)
    describe(report, results)
    report.note(
        f"The large model has {size / 1e6:.0f} MB and takes {number(seconds)} s to load. RPS, p50, "
        f"p99: median over rounds; targets: median of the ratios within a round. Closed loop, "
        f"wrk; {cores.text}."
    )
    report.raw = {"results": results.raw(), "load_seconds": seconds}
    report.finish(arguments.json)


def by_turns(
    server: Server, rounds: int, seconds: int, load_cores: Sequence[int]
) -> tuple[Results, float]:
    """Measure with and without a load under way; also the seconds that one takes."""
    request = json_request(1, SAMPLE_FEATURES, use_cache=False)
    request = type(request)("/predict?model=wine", request.body, request.content_type)
    found: dict[str, list[Measurement]] = {}
    took: list[float] = []
    for turn in range(rounds + 1):
        for connections in CONNECTIONS:
            load = Load(request, connections, seconds if turn else 1)
            quiet = measure(server, load, cores=load_cores)
            with loading(server.port, took):
                busy = measure(server, load, cores=load_cores)
            if turn:
                found.setdefault(label("quiet", connections), []).append(quiet)
                found.setdefault(label("loading", connections), []).append(busy)
    return Results(found), sorted(took)[len(took) // 2]


@contextmanager
def loading(port: int, took: list[float]) -> Iterator[None]:
    """Load the large model over and over, for a `with` block."""
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            begun = time.monotonic()
            connection = http.client.HTTPConnection(HOST, port, timeout=LOAD_TIMEOUT_SECONDS)
            connection.request("POST", "/v2/repository/models/large/load")
            status = connection.getresponse().status
            connection.close()
            if status != http.HTTPStatus.OK:
                raise RuntimeError(f"load answered {status}")
            took.append(time.monotonic() - begun)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def label(what: str, connections: int) -> str:
    """Return the name of a candidate."""
    return f"{what}, {connections}"


def describe(report: Report, results: Results) -> None:
    """Put the tables into the report."""
    report.table(
        ("what, connections", "RPS", "p50 µs", "p99 µs"),
        [
            (name, *(number(results.median(name, value)) for value in (rps, p50, p99)))
            for name in results.by_label
        ],
    )
    report.targets(
        [
            Target(
                f"p99 of others, {connections} connections: loading / quiet",
                results.ratio(label("loading", connections), label("quiet", connections), p99),
                2.0,
            )
            for connections in CONNECTIONS
        ]
    )


if __name__ == "__main__":
    main()
