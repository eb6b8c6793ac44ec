"""What a prediction costs beside echoes, which only read a body and answer as many bytes.

One echo is on Granian, by which the targets are measured; one on our own HTTP layer, the ceiling.
All stay up and are loaded by turns, one row of ten features a request; the server has its metrics,
request ids and Server-Timing on, and its access log keeps errors.
"""

from __future__ import annotations

from bench import cores
from bench.harness import ECHO_COMMAND, Server
from bench.harness import measure as measure_load
from bench.load import Load
from bench.markdown import number
from bench.offline import run_seconds
from bench.request import AnswerError, Request, json_request, send_ok
from bench.rounds import CPU, MEMORY, P50, P99, RPS, TAIL, Candidate, Results, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

ROUNDS, SECONDS = 12, 1
CROWD = 32
ECHO, BARE, OFF, L1 = "Granian echo", "echo here", "cache off", "L1 hit"
VALUES = (RPS, P50, P99, TAIL, CPU)
BYPASS = json_request(1, SAMPLE_FEATURES, use_cache=False)
CACHED = json_request(1, SAMPLE_FEATURES, use_cache=True)


def measure(run: Run) -> None:
    """Measure and report."""
    server = run.start("server")
    prove(server, run.cores.load)
    size = str(len(send_ok(server.port, BYPASS).body))
    granian = run.start("Granian", ECHO_COMMAND, ANSWER_BYTES=size, ECHO="granian")
    bare = run.start("echo", ECHO_COMMAND, ANSWER_BYTES=size)
    kinds: dict[str, tuple[Server, Request]] = {
        ECHO: (granian, BYPASS),
        BARE: (bare, BYPASS),
        OFF: (server, BYPASS),
        L1: (server, CACHED),
    }
    results = run.by_turns(
        [
            Candidate(f"{kind}, {count}", target, Load(request, count, run.options.seconds))
            for count in (CROWD, 1)
            for kind, (target, request) in kinds.items()
        ]
    )
    run.table(
        ("what", "connections", *headers(VALUES), "CPU × echo", "RPS × echo", "memory MB"),
        [row(results, kind, count) for count in (CROWD, 1) for kind in kinds],
    )
    run.explain()
    echo_us = results.figure(f"{ECHO}, 1", P50)
    with cores.held(run.cores.server[:1]):
        run_us = run_seconds(SAMPLE_MODEL, 1) * 1e6
        rested_us = run_seconds(SAMPLE_MODEL, 1, pause_seconds=echo_us / 1e6) * 1e6
    run.note(
        f"One run of the model offline: {number(run_us)} µs in a tight loop, which the target "
        f"takes; {number(rested_us)} µs after a pause of {number(echo_us)} µs."
    )
    run.judge(judged(results, run_us))


def judged(results: Results, run_us: float) -> dict[str, float]:
    """Return what has a target."""
    off, hit, base = (f"{kind}, {CROWD}" for kind in (OFF, L1, ECHO))
    allowed_us = 1.5 * results.figure(f"{ECHO}, 1", P50) + run_us
    return {
        "cache off: CPU × echo": results.ratio(off, base, CPU),
        "L1 hit: CPU × echo": results.ratio(hit, base, CPU),
        "cache off: p99/p50": results.figure(off, TAIL),
        "L1 hit: p99/p50": results.figure(hit, TAIL),
        "one connection, cache off: p50 ÷ (1.5 × echo + one run)": results.figure(f"{OFF}, 1", P50)
        / allowed_us,
    }


def prove(server: Server, load_cores: list[int]) -> None:
    """Make sure that a bypass runs the model every time and a hit never does."""
    send_ok(server.port, CACHED)
    for request, cache, expected in ((BYPASS, "bypass", 1.0), (CACHED, "l1", 0.0)):
        send_ok(server.port, request, cache=cache)
        before = server.metrics()["ml_api_batch_rows_sum"]
        measured = measure_load(server, Load(request, CROWD, seconds=1), cores=load_cores)
        rows = server.metrics()["ml_api_batch_rows_sum"] - before
        # wrk does not count the requests in flight when it stops.
        if abs(rows - expected * measured.load.requests) > CROWD:
            raise AnswerError(f"{cache}: {measured.load.requests} requests ran {rows:.0f} rows")


def row(results: Results, kind: str, count: int) -> tuple[object, ...]:
    """Return a row of the table."""
    name, base = f"{kind}, {count}", f"{ECHO}, {count}"
    ratios = [number(results.ratio(name, base, value)) for value in (CPU, RPS)]
    # The echoes import all of the server for its settings: their memory would mislead.
    memory = "" if kind in (ECHO, BARE) else number(results.figure(name, MEMORY))
    return (kind, count, *results.cells(name, VALUES), *ratios, memory)
