"""The longest pause of the garbage collector while the server is under load.

The server runs with callbacks round every collection (`gc_probe`). Counted are those that begin
after it is ready and before it is told to stop; those of the start are told apart. The requests
differ from one another, so that the cache grows while it is watched.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from bench.harness import ServerError, stop
from bench.load import Load
from bench.markdown import number
from bench.request import json_request
from bench.rounds import P99, RPS, Candidate, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES

ROUNDS, SECONDS = 3, 5
PROBE_COMMAND = (sys.executable, "-m", "bench.gc_probe", "serve")
CONNECTIONS = 32
GENERATIONS = 3
REQUESTS = {
    "cache off": json_request(1, SAMPLE_FEATURES, use_cache=False, numbered=True),
    "cache filling": json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True),
    "100 rows": json_request(100, SAMPLE_FEATURES, use_cache=False, numbered=True),
}

Pause = tuple[int, float, float]


def measure(run: Run) -> None:
    """Measure and report."""
    written = run.folder() / "pauses.json"
    server = run.start("server", PROBE_COMMAND, GC_PAUSES=str(written))
    ready = time.monotonic()
    results = run.by_turns(
        [
            Candidate(name, server, Load(request, CONNECTIONS, run.options.seconds))
            for name, request in REQUESTS.items()
        ]
    )
    told_to_stop = time.monotonic()
    stop(server)
    if not written.exists():
        raise ServerError("the server ended without writing its collections down")
    pauses: list[Pause] = [tuple(entry) for entry in json.loads(written.read_text())]
    loaded = [pause for pause in pauses if ready <= pause[1] < told_to_stop]
    run.table(
        ("when", "collections", "longest ms", "together ms"),
        [
            row("start", [pause for pause in pauses if pause[1] < ready]),
            *(
                row(f"under load, generation {n}", [pause for pause in loaded if pause[0] == n])
                for n in range(GENERATIONS)
            ),
        ],
    )
    run.table(
        ("load", *headers((RPS, P99))),
        [(name, *results.cells(name, (RPS, P99))) for name in REQUESTS],
    )
    longest_ms = 1e3 * max((seconds for _, _, seconds in loaded), default=0.0)
    run.judge({"longest pause under load": longest_ms})
    run.raw |= {"pauses": pauses, "ready": ready, "told_to_stop": told_to_stop}


def row(when: str, pauses: Sequence[Pause]) -> tuple[str, ...]:
    """Return a row of the table."""
    seconds = [entry for _, _, entry in pauses]
    longest, together = max(seconds, default=0.0), sum(seconds)
    return (when, str(len(seconds)), number(1e3 * longest), number(1e3 * together))
