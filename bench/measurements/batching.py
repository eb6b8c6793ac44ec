"""What microbatching brings where it should: a model of about 1 ms a row.

Two servers on the same model, one with the default MAX_BATCH_SIZE and one with 1, are loaded by
turns; after each turn a plain loop runs the batch size that the first one had just formed, with
as many sessions and no server round it. Every request carries a row of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Measurement, Server
from bench.harness import measure as measure_load
from bench.load import Load
from bench.markdown import number
from bench.offline import rows_per_second, run_seconds
from bench.request import json_request, send_ok
from bench.rounds import P50, RPS, Candidate, Results, headers
from bench.run import Run

ROUNDS, SECONDS = 5, 4
CROWD = 64
BATCHED, SINGLE = "batched", "one at a time"
REQUEST = json_request(1, FEATURES, use_cache=False, numbered=True)


def measure(run: Run) -> None:
    """Measure a crowd, then one connection on each server, and report."""
    model = run.folder() / "compute_bound.onnx"
    write_model(model)
    # A core is left to the event loop and the generator: the loop offline has none to feed.
    sessions = max(1, len(os.sched_getaffinity(0)) - 1)
    command = (*SERVE_COMMAND, str(model))
    servers = [
        run.start(BATCHED, command, SESSIONS=str(sessions)),
        run.start(SINGLE, command, SESSIONS=str(sessions), MAX_BATCH_SIZE="1"),
    ]
    for server in servers:
        send_ok(server.port, REQUEST)
        measure_load(server, Load(REQUEST, CROWD, seconds=1), cores=run.cores.load)
    crowd, offline, batches = measure_crowd(run, servers, model, sessions)
    # Many short turns: the target is five per cent, and a quiet turn has to be found.
    run.options.rounds *= run.options.seconds
    one = Load(REQUEST, 1, seconds=1)
    alone = run.by_turns([Candidate(server.name, server, one) for server in servers])
    run.raw |= {"crowd": crowd.raw(), "offline": offline, "batches": batches}
    batch = number(median(batches))
    run.table(
        ("what, connections", "mean batch", *headers()),
        [
            (f"{BATCHED}, {CROWD}", batch, *crowd.cells(BATCHED)),
            (f"{SINGLE}, {CROWD}", "1", *crowd.cells(SINGLE)),
            ("offline loop", batch, number(median(offline)), "", "", ""),
            *((f"{name}, 1", "1", *alone.cells(name)) for name in (BATCHED, SINGLE)),
        ],
    )
    run.explain()
    run.note(f"{sessions} sessions; one row offline {run_seconds(model, 1) * 1e3:.2f} ms.")
    run.judge(judged(crowd, offline, alone))


def judged(crowd: Results, offline: list[float], alone: Results) -> dict[str, float]:
    """Return what has a target."""
    loads = zip(crowd.by_label[BATCHED], offline, strict=True)
    # Noise only ever adds, and more in an ordinary round than the target allows.
    quietest = [min(map(P50.of, alone.by_label[name])) for name in (BATCHED, SINGLE)]
    return {
        f"throughput, {CROWD} connections: batched / one at a time": crowd.ratio(
            BATCHED, SINGLE, RPS
        ),
        "p50, 1 connection, quietest round: batched / one at a time": quietest[0] / quietest[1],
        "throughput: batched / offline loop of the same batch": median(
            found.load.rps / loop for found, loop in loads
        ),
    }


def measure_crowd(
    run: Run, servers: list[Server], model: Path, sessions: int
) -> tuple[Results, list[float], list[float]]:
    """Return the loads of a crowd; rows/s of the offline loop and the mean batch in each round."""
    batched, single = servers
    found: dict[str, list[Measurement]] = {BATCHED: [], SINGLE: []}
    offline, batches = [], []
    load = Load(REQUEST, CROWD, run.options.seconds)
    for _ in range(run.options.rounds):
        before = batched.metrics()
        found[BATCHED].append(measure_load(batched, load, cores=run.cores.load))
        after = batched.metrics()
        rows, runs = (
            after[name] - before[name]
            for name in ("ml_api_batch_rows_sum", "ml_api_batch_rows_count")
        )
        batches.append(rows / runs)
        seconds = float(run.options.seconds)
        offline.append(rows_per_second(model, rows / runs, sessions=sessions, seconds=seconds))
        found[SINGLE].append(measure_load(single, load, cores=run.cores.load))
    return Results(found), offline, batches
