"""The longest pause of the garbage collector while the server is under load.

The server runs with callbacks round every collection (`gc_probe`). Counted are those that begin
after it is ready and before it is told to stop; those of the start are told apart. The requests
differ from one another, so that the cache grows while it is watched.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import cores as core_division
from bench.harness import ServerError, started
from bench.load import Load
from bench.report import Report, Target, begin, number, parser
from bench.request import json_request
from bench.rounds import Candidate, alternate, p99, rps
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

PROBE_COMMAND = (sys.executable, "-m", "bench.gc_probe", "serve")
CONNECTIONS = 32
GENERATIONS = 3
REQUESTS = {
    "cache off": json_request(1, SAMPLE_FEATURES, use_cache=False, numbered=True),
    "cache filling": json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True),
    "100 rows": json_request(100, SAMPLE_FEATURES, use_cache=False, numbered=True),
}

Pause = tuple[int, float, float]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=3, seconds=5, model=SAMPLE_MODEL)
    report, arguments = begin("Pauses of the garbage collector", options)
    cores = core_division.divide()
    with tempfile.TemporaryDirectory(prefix="bench-gc-") as folder:
        written = Path(folder) / "pauses.json"
        command = [*PROBE_COMMAND, str(arguments.model)]
        environment = {"GC_PAUSES": str(written)}
        with started("server", command, environment=environment, cores=cores.server) as server:
            ready = time.monotonic()
            candidates = [
                Candidate(name, server, Load(request, CONNECTIONS, arguments.seconds))
                for name, request in REQUESTS.items()
            ]
            results = alternate(candidates, arguments.rounds, load_cores=cores.load)
            told_to_stop = time.monotonic()
        if not written.exists():
            raise ServerError("the server ended without writing its collections down")
        pauses: list[Pause] = [tuple(entry) for entry in json.loads(written.read_text())]
    describe(report, pauses, ready, told_to_stop)
    rows = [
        (name, *(number(results.median(name, value)) for value in (rps, p99))) for name in REQUESTS
    ]
    report.table(("load", "RPS", "p99 µs"), rows)
    report.raw = {"pauses": pauses, "ready": ready, "told_to_stop": told_to_stop}
    report.finish(arguments.json)


def describe(report: Report, pauses: Sequence[Pause], ready: float, told_to_stop: float) -> None:
    """Put the tables into the report."""
    loaded = [pause for pause in pauses if ready <= pause[1] < told_to_stop]
    rows = [
        ("start", *_row([pause for pause in pauses if pause[1] < ready])),
        *(
            (
                f"under load, generation {generation}",
                *_row([p for p in loaded if p[0] == generation]),
            )
            for generation in range(GENERATIONS)
        ),
    ]
    report.table(("when", "collections", "longest ms", "together ms"), rows)
    longest_ms = 1e3 * max((seconds for _, _, seconds in loaded), default=0.0)
    report.targets([Target("longest pause under load, ms", longest_ms, 20.0)])


def _row(pauses: Sequence[Pause]) -> tuple[str, str, str]:
    seconds = [entry for _, _, entry in pauses]
    return (
        str(len(seconds)),
        number(1e3 * max(seconds, default=0.0)),
        number(1e3 * sum(seconds)),
    )


if __name__ == "__main__":
    main()
