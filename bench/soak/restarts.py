"""Redis and Prometheus are killed over and over while clients are answered.

Redis is killed right after each of its first starts too, until supervisord waits seconds before
the next one: an outage that `/health` has to tell, and that has to end by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from bench.harness import QUIET_SERVER
from bench.request import get
from bench.soak.checked_load import Load, behind_nginx
from bench.soak.kills import answers
from bench.soak.scenario import Finding, Run, at_most
from bench.suite.native import Stack
from bench.waiting import wait_until

SECONDS_BETWEEN = 3.0
FAILED_STARTS = 4
MOST_P99_SECONDS = 0.25
MOST_P99_SECONDS_QUICK = 1.0
"""On a machine that others use at the same time."""
RECOVERY_SECONDS = 30.0
UP = "/api/v1/query?query=sum(up%7Bjob%3D%22api%22%7D)"
CONNECTED = b'ml_api_redis_state{state="closed"} 1.0'


def run(run: Run) -> Finding:
    """Kill for a while, then look whether everything is as before."""
    settings = {**QUIET_SERVER, "CACHE_POLICY": "always", "CACHE_MAX_MB": "1"}
    with behind_nginx(run, 2, settings) as (servers, load):
        load.wait_for_answers(200)
        broken, outage = _outage(servers)
        killed = _kill(run, servers, load, run.choose(45.0, 0.0))
        broken += _back(servers)
        load.wait_for_answers(200)
    p99, most = load.p99_seconds(), run.choose(MOST_P99_SECONDS, MOST_P99_SECONDS_QUICK)
    return Finding(
        tried=f"Redis killed {FAILED_STARTS + killed} times, Prometheus {1 + killed}, "
        f"{load.num_clients} clients behind Nginx and 2 replicas",
        found=f"{load.counts}; p99 {p99 * 1e3:.0f} ms; `/health` degraded for {outage:.1f} s of "
        "the longest outage, then healthy; metrics back",
        broken=[*load.faults, *broken, *at_most("p99", p99, most, " s")],
    )


def _outage(servers: Stack) -> tuple[list[str], float]:
    """Kill Redis at each start, as often as supervisord waits for longer; what broke, seconds."""
    _kill_one(servers, "prometheus")
    for _ in range(FAILED_STARTS):
        _kill_one(servers, "redis")
    started = time.monotonic()
    broken = []
    if not wait_until(lambda: "degraded" in _states(servers), 10.0):
        broken.append(f"/health without Redis: expected degraded, found {_states(servers)}")
    broken += _back(servers)
    return broken, time.monotonic() - started


def _kill(run: Run, servers: Stack, load: Load, seconds: float) -> int:
    """Kill both every few seconds; how often."""
    killed, finish = 0, time.monotonic() + seconds
    while time.monotonic() < finish:
        for service in ("redis", "prometheus"):
            _kill_one(servers, service)
        killed += 1
        run.progress(f"{finish - time.monotonic():.0f} s left · {load.counts}")
        time.sleep(SECONDS_BETWEEN)
    return killed


def _kill_one(servers: Stack, service: str) -> None:
    """Kill a service as soon as it runs."""
    if wait_until(lambda: servers.process_of(service) is not None, RECOVERY_SECONDS):
        process = servers.process_of(service)
        if process is not None:
            process.kill()
            process.wait()


def _back(servers: Stack) -> list[str]:
    """Wait until all is well again; what is not."""
    prometheus = servers.state.prometheus_port
    replicas = servers.state.replicas.values()
    scraped = b'"%d"]' % len(replicas)
    wanted: dict[str, Callable[[], bool]] = {
        "/health": lambda: set(_states(servers)) == {"healthy"},
        "redis_connected": lambda: all(
            CONNECTED in get(port, "/metrics").body for port in replicas
        ),
        "Prometheus": lambda: (
            answers(prometheus, "/-/ready") and scraped in get(prometheus, UP).body
        ),
    }
    return [
        f"{name}: expected to be well again in {RECOVERY_SECONDS:.0f} s, found it is not"
        for name, is_well in wanted.items()
        if not wait_until(is_well, RECOVERY_SECONDS)
    ]


def _states(servers: Stack) -> list[str]:
    """What `/health` of each replica says."""
    found = [get(port, "/health").body for port in servers.state.replicas.values()]
    return [str(msgspec.json.decode(body)["status"]) for body in found]
