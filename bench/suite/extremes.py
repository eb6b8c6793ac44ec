"""What locust is too slow or too patient for: wrk's ceilings, memory after much use, starts."""

from __future__ import annotations

from dataclasses import replace

from bench.harness import QUIET_SERVER, ServerError
from bench.load import Load, run_load
from bench.measurements.startup import start_seconds
from bench.request import json_request
from bench.sample import SAMPLE_FEATURES
from bench.scenarios import Servers
from bench.suite.drive import progress
from bench.suite.native import Stack, stack
from bench.suite.results import Ceiling, Memory, Results
from bench.waiting import wait_until

CONNECTIONS = 32
REPLICAS = (1, 2, 3)
HOUR_REQUESTS = 360_000
"""One replica's requests in an hour, at 100 a second."""
MOST_LOADS = 60
CHILD_SECONDS = 30.0
UNCACHED = json_request(1, SAMPLE_FEATURES, use_cache=False)
DIFFERENT = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)
ALONE = Servers("one replica", replicas=1, environment=dict(QUIET_SERVER))


def measure_starts(results: Results, *, quick: bool) -> None:
    """Start a server a few times; the first time compiles Python's bytecode and is not counted."""
    results.start_seconds = [start_seconds() for _ in range(3 if quick else 6)][1:]
    shown = " ".join(f"{seconds:.2f}" for seconds in results.start_seconds)
    progress(f"starts      {shown} s to the first prediction", done=True)


def measure_ceilings(results: Results, *, quick: bool) -> None:
    """Let wrk take what it gets behind Nginx from one replica, two and three; then use one much."""
    seconds = 2 if quick else 8
    with stack(ALONE) as running:
        fresh_mb = _memory_mb(running)
        for replicas in REPLICAS[: 1 if quick else None]:
            if replicas > 1:
                running.run("scale", str(replicas))
            _ceiling(results, running, replicas, seconds)
        if not quick:
            running.run("scale", "1")
            _use_much(results, running, fresh_mb)
        results.servers_cpu_seconds += running.cpu_seconds()


def _ceiling(results: Results, running: Stack, replicas: int, seconds: int) -> None:
    port = running.state.http_port
    request = replace(UNCACHED, path="/api/predict")
    run_load(port, Load(request, CONNECTIONS, seconds=1))  # warm
    found = run_load(port, Load(request, CONNECTIONS, seconds))
    ceiling = Ceiling(replicas, found.rps, found.p50_us / 1e3, found.p99_us / 1e3)
    results.ceilings.append(ceiling)
    progress(
        f"wrk         {found.rps:>7,.0f} requests/s · p50 {ceiling.p50_ms:.2f} "
        f"p99 {ceiling.p99_ms:.2f} ms · {replicas} behind Nginx",
        done=True,
    )


def _use_much(results: Results, running: Stack, fresh_mb: float) -> None:
    """Send an hour's requests, no two of which are equal, so that the cache fills as well."""
    port = running.replica_port
    sent = 0
    for _ in range(MOST_LOADS):
        load = Load(DIFFERENT, CONNECTIONS, seconds=5, first_number=sent)
        sent += run_load(port, load).requests
        progress(f"memory: {sent:,} of {HOUR_REQUESTS:,} requests")
        if sent >= HOUR_REQUESTS:
            break
    else:
        raise ServerError(f"only {sent:,} requests in {MOST_LOADS} loads")
    results.memory = Memory(sent, fresh_mb, _memory_mb(running))
    progress(f"memory      {results.memory.used_mb:.0f} MB after {sent:,} requests", done=True)


def _memory_mb(running: Stack) -> float:
    """Of the server alone: the child that read its model's graph ends some seconds later."""
    if not wait_until(lambda: len(running.processes()["replica"]) == 1, CHILD_SECONDS):
        raise ServerError(f"the replica has children after {CHILD_SECONDS:g} s")
    (replica,) = running.processes()["replica"]
    return float(replica.memory_info().rss / 1e6)
