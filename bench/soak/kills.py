"""Processes of a whole stack are killed under load: Nginx, three replicas, Redis and Prometheus."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from http import HTTPStatus

from bench.request import get
from bench.sample import SAMPLE_MODEL
from bench.scenarios import Servers
from bench.soak.crowd import Crowd, Questions
from bench.soak.scenario import Finding, Run
from bench.suite.native import Stack, stack

REPLICAS = 3
RESTART_SECONDS = 2.5
RECOVERY_SECONDS = 30.0
MOST_P99_MS = 500.0
"""Loose: three starts of Python share two cores with what is measured."""


def kill_replicas(run: Run) -> Finding:
    """Kill one of the replicas each second, whichever, while another one is ready."""
    seconds = run.choose(60, 6)
    dice = random.Random(8)
    num_kills = 0
    with (
        stack(Servers("three", replicas=REPLICAS)) as running,
        Crowd(running.state.http_port, Questions(SAMPLE_MODEL, "/api/predict")) as crowd,
    ):
        begun = time.monotonic()
        for second in range(seconds):
            time.sleep(max(0.0, begun + second - time.monotonic()))
            ready = [name for name in running.state.replicas if is_ready(running, name)]
            if len(ready) > 1:
                kill(running, dice.choice(ready))
                num_kills += 1
            run.progress(f"{seconds - second} s left · {num_kills} kills")
        broken = await_recovery(running)
    if num_kills < seconds / 2:
        broken.append(f"kills: expected one a second, found {num_kills} in {seconds} s")
    return _finding(f"{num_kills} kills in {seconds} s, 3 replicas, 16 clients", crowd, broken)


def restart_services(run: Run) -> Finding:
    """Kill Redis and Prometheus, by turns."""
    num_kills = run.choose(24, 2)
    with (
        stack(Servers("two", replicas=2, environment={"CACHE_MAX_MB": "0"})) as running,
        Crowd(running.state.http_port, Questions(SAMPLE_MODEL, "/api/predict")) as crowd,
    ):
        for number in range(num_kills):
            kill(running, ("redis", "prometheus")[number % 2])
            run.progress(f"{number + 1} of {num_kills} kills")
            time.sleep(RESTART_SECONDS)
        broken = await_recovery(running)
    tried = f"{num_kills} kills of Redis or Prometheus, 2 replicas, 16 clients"
    return _finding(tried, crowd, broken)


def _finding(tried: str, crowd: Crowd, broken: list[str]) -> Finding:
    broken += crowd.faults
    if crowd.p99_ms > MOST_P99_MS:
        broken.append(f"p99: expected at most {MOST_P99_MS} ms, found {crowd.p99_ms:.0f}")
    total = len(crowd.seconds) + crowd.num_faults
    found = f"{crowd.num_faults} of {total:,} requests lost or wrong, p99 {crowd.p99_ms:.0f} ms"
    return Finding(tried, found, broken)


def kill(running: Stack, service: str) -> None:
    """End a service's process at once."""
    if pid := running.services()[service]["pid"]:
        os.kill(pid, signal.SIGKILL)


def is_ready(running: Stack, replica: str) -> bool:
    """Ask a replica itself."""
    return _answers(running.state.replicas[replica], "/health/ready")


def await_recovery(running: Stack) -> list[str]:
    """Wait until everything answers as if nothing had been; returns what does not."""
    checks = {
        name: partial(_answers, port, "/health", b'"status":"healthy"')
        for name, port in running.state.replicas.items()
    }
    checks["prometheus"] = partial(_answers, running.state.prometheus_port, "/-/ready")
    limit = time.monotonic() + RECOVERY_SECONDS
    broken = []
    for name, holds in checks.items():
        while not holds():
            if time.monotonic() > limit:
                broken.append(f"{name}: expected to be healthy again, found it is not")
                break
            time.sleep(0.05)
    return broken


def _answers(port: int, path: str, words: bytes = b"") -> bool:
    try:
        answer = get(port, path)
    except OSError:
        return False
    return answer.status == HTTPStatus.OK and words in answer.body
