"""Replicas are killed one after the other while clients are answered by Nginx and by the others.

A replica is killed only while another one is ready, so that each request has somebody who can
answer it; a moment at which nobody is ready is never made. A request that a replica was killed
with is not given to another one: it might be the reason. It is told so by a 503.
"""

from __future__ import annotations

import random
import time

import psutil

from bench.request import get
from bench.sample import SAMPLE_MODEL
from bench.scenarios import Servers
from bench.soak.checked_load import Load, Questions, drawn_rows
from bench.soak.scenario import Finding, Run
from bench.suite.native import Stack, stack

NUM_REPLICAS = 3
SECONDS_BETWEEN = 1.0
RECOVERY_SECONDS = 30.0
SAMPLE_ROW = (13.0, 2.5, 20.0, 2.0, 1.8, 0.4, 4.7, 0.9, 2.6, 560.0)
ENVIRONMENT = {"ACCESS_LOG": "errors", "LOG_LEVEL": "warning"}


def run(run: Run) -> Finding:
    """Kill for a while, then wait until all replicas are back."""
    seconds = run.choose(60.0, 8.0)
    questions = Questions(
        [SAMPLE_MODEL], drawn_rows(run.choose(20_000, 3000), SAMPLE_ROW), path="/api/predict"
    )
    with (
        stack(Servers("soak", NUM_REPLICAS, environment=ENVIRONMENT)) as servers,
        Load(servers.state.http_port, questions, may_be_told=True) as load,
    ):
        killed = _kill(run, servers, load, seconds)
        back = _wait_for_all(servers)
        load.wait_for_answers(100)
    broken = list(load.faults)
    if load.num_told > killed * load.num_clients:
        broken.append(f"503: expected one a client and kill at most, found {load.num_told}")
    if not back:
        broken.append(f"replicas: expected {NUM_REPLICAS} ready again, found fewer")
    return Finding(
        tried=f"{killed} kills of one of {NUM_REPLICAS} replicas at random in {seconds:.0f} s, "
        f"{load.num_clients} clients behind Nginx",
        found=f"{load.counts}; {load.num_told} told to come again; "
        f"p99 {load.p99_seconds() * 1e3:.0f} ms; "
        + ("all replicas back by themselves" if back else "not all replicas came back"),
        broken=broken,
    )


def _kill(run: Run, servers: Stack, load: Load, seconds: float) -> int:
    """Kill one of those that are ready each second, as long as another one is; how many."""
    source, killed, last = random.Random(8), 0, 0.0
    finish = time.monotonic() + seconds
    while (now := time.monotonic()) < finish:
        if now - last >= SECONDS_BETWEEN and len(ready := _ready(servers)) > 1:
            source.choice(ready).kill()
            killed, last = killed + 1, now
        run.progress(f"{finish - now:.0f} s left · {killed} kills · {load.counts}")
        time.sleep(0.05)
    return killed


def _ready(servers: Stack) -> list[psutil.Process]:
    """Give the processes of the replicas that answer just now."""
    return [
        process
        for name, port in servers.state.replicas.items()
        if (process := servers.process_of(name)) is not None and answers(port)
    ]


def _wait_for_all(servers: Stack) -> bool:
    limit = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < limit:
        if len(_ready(servers)) == NUM_REPLICAS:
            return True
        time.sleep(0.1)
    return False


def answers(port: int, path: str = "/health/ready") -> bool:
    """Tell whether a server says 200."""
    try:
        return get(port, path).status == 200
    except OSError:
        return False
