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
from bench.soak.checked_load import Load, behind_nginx
from bench.soak.scenario import Finding, Run, at_most
from bench.suite.native import Stack
from bench.waiting import wait_until

NUM_REPLICAS = 3
SECONDS_BETWEEN = 1.0
RECOVERY_SECONDS = 30.0


def run(run: Run) -> Finding:
    """Kill for a while, then wait until all replicas are back."""
    seconds = run.choose(60.0, 8.0)
    with behind_nginx(run, NUM_REPLICAS, may_be_told=True) as (servers, load):
        killed = _kill(run, servers, load, seconds)
        back = wait_until(lambda: len(_ready(servers)) == NUM_REPLICAS, RECOVERY_SECONDS)
        load.wait_for_answers(100)
    broken = [*load.faults, *at_most("503", load.num_told, killed * load.num_clients)]
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


def answers(port: int, path: str = "/health/ready") -> bool:
    """Tell whether a server says 200."""
    try:
        return get(port, path).status == 200
    except OSError:
        return False
