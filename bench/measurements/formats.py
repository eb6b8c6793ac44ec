"""MessagePack against JSON: what 1,000 rows of ten features cost the server.

The same rows by turns, cache off. The model's own run is in both numbers, and told apart.
"""

from __future__ import annotations

from bench.load import Load
from bench.markdown import number
from bench.offline import run_seconds
from bench.request import json_request, msgpack_request, send_ok
from bench.rounds import CPU, Candidate, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ROUNDS, SECONDS = 5, 3
ROWS = 1000
CONNECTIONS = 4
REQUESTS = {
    "MessagePack": msgpack_request(ROWS, SAMPLE_FEATURES, use_cache=False),
    "JSON": json_request(ROWS, SAMPLE_FEATURES, use_cache=False),
}


def measure(run: Run) -> None:
    """Measure and report."""
    server = run.start("server")
    sizes = {
        name: (len(request.body), len(send_ok(server.port, request, cache="bypass").body))
        for name, request in REQUESTS.items()
    }
    results = run.by_turns(
        [
            Candidate(name, server, Load(request, CONNECTIONS, run.options.seconds))
            for name, request in REQUESTS.items()
        ]
    )
    run.table(
        ("format", "request B", "answer B", *headers()),
        [
            (name, f"{sent:,}", f"{answered:,}", *results.cells(name))
            for name, (sent, answered) in sizes.items()
        ],
    )
    run.explain(connections=CONNECTIONS)
    run_us = run_seconds(SAMPLE_MODEL, ROWS) * 1e6
    run.note(f"One run of {ROWS:,} rows offline: {number(run_us)} µs.")
    ratio = results.ratio("MessagePack", "JSON", CPU)
    run.judge({"CPU of the server: MessagePack / JSON": ratio})
