"""Redis that is gone, slow or cut off for a while: it costs hits, and nothing else."""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from math import inf

import pytest

from tests.faults.conftest import Serve
from tests.faults.load import ReplicaLoad
from tests.faults.replica import events, health, metric, state_of
from tests.redis_server import RedisServer
from tests.server import Server, free_port, wait_until

ALL_STATES = {"redis", "miss", "coalesced"}
FAULT_SECONDS = 2.0
P99_SECONDS = 0.1

UNREACHABLE_SECONDS, SILENT_SECONDS = 1.0, 2.0
"""Longest delays of a start by a Redis that refuses connections, or takes them and is silent."""

NUM_PAIRS = 10
"""Starts with and without a Redis that are compared, at most."""


def test_killed_and_started_again(serve: Serve) -> None:
    """A Redis that crashes and comes back empty is found again; no request notices."""
    with RedisServer() as redis, ReplicaLoad(server := serve(redis.url)) as load:
        load.wait_for("redis")
        redis.kill()
        wait_until(lambda: not health(server)["redis_connected"])
        reason = state_of(server, "redis")[1]
        load.go_on(1.0)
        redis.start()
        load.wait_for("redis")

    assert load.faults == []
    assert load.states == ALL_STATES
    assert reason


def sleep(redis: RedisServer) -> None:
    with closing(redis.client()) as client:
        client.execute_command("DEBUG", "SLEEP", FAULT_SECONDS)


def stop(redis: RedisServer) -> None:
    redis.freeze()
    time.sleep(FAULT_SECONDS)
    redis.thaw()


@pytest.mark.parametrize("fault", [sleep, stop])
def test_frozen_for_a_while(serve: Serve, fault: Callable[[RedisServer], None]) -> None:
    """While Redis hangs with its connections open, 99 % of requests take less than 100 ms."""
    with (
        RedisServer("--enable-debug-command", "yes") as redis,
        ReplicaLoad(server := serve(redis.url)) as load,
    ):
        load.wait_for("redis")
        start = time.monotonic()
        fault(redis)
        load.wait_for("redis")
        end = time.monotonic()
        num_timeouts = metric(server, 'ml_api_redis_failures_total{kind="timeout"}')

    assert load.faults == []
    assert load.states == ALL_STATES
    assert num_timeouts > 0
    assert load.slowest_p99(start, end) < P99_SECONDS


def test_connections_killed_again_and_again(serve: Serve) -> None:
    """Connections that are cut five times a second are made anew, those of messages too."""
    with (
        RedisServer() as redis,
        ReplicaLoad(serve(redis.url)) as load,
        closing(redis.client()) as client,
    ):
        load.wait_for("redis")
        num_killed = 0
        for _ in range(10):
            for kind in ("normal", "pubsub"):
                num_killed += client.execute_command("CLIENT", "KILL", "TYPE", kind)
            load.go_on(0.2)
        load.wait_for("redis")
        wait_until(lambda: client.pubsub_numsub("ml_pipeline:reload:0")[0][1] == 1)

    assert load.faults == []
    assert load.states == ALL_STATES
    assert num_killed > 20


def delayed(serve: Serve, redis_url: str, within_seconds: float) -> tuple[Server, float]:
    """Start a server at a Redis; gives it, and by how many seconds that Redis delays the start.

    That is by how much it took longer than the same without a Redis just before. On a busy machine
    any two starts may differ by seconds: of several pairs the one counts that differs least, and
    none comes after one that differed by less than `within_seconds`.
    """
    least = inf
    for _ in range(NUM_PAIRS):
        begun = time.monotonic()
        serve("")
        usual_seconds = time.monotonic() - begun
        begun = time.monotonic()
        server = serve(redis_url)
        least = min(least, time.monotonic() - begun - usual_seconds)
        if least < within_seconds:
            break
    return server, least


def test_unreachable_at_start(serve: Serve) -> None:
    """Without its Redis a server starts as fast as ever, says so, and connects when it comes."""
    port = free_port()
    server, seconds = delayed(serve, f"redis://127.0.0.1:{port}", UNREACHABLE_SECONDS)
    before = health(server), state_of(server, "redis"), events(server)
    with ReplicaLoad(server) as load:
        load.go_on(0.5)
        with RedisServer(port=port):
            load.wait_for("redis")
            wait_until(lambda: load.states == ALL_STATES)
            after = health(server), events(server)

    assert load.faults == []
    assert load.states == ALL_STATES
    assert seconds < UNREACHABLE_SECONDS
    assert (before[0]["status"], before[0]["redis_connected"]) == ("degraded", False)
    assert before[1][0] == "degraded"
    assert before[1][1]
    assert "redis_lost" in before[2]
    assert "redis_connected" not in before[2]
    assert (after[0]["status"], after[0]["redis_connected"]) == ("healthy", True)
    assert "redis_connected" in after[1]


def test_silent_at_start(serve: Serve) -> None:
    """A Redis whose machine takes connections and never answers delays a start by a second."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        url = f"redis://127.0.0.1:{listening.getsockname()[1]}"
        server, seconds = delayed(serve, url, SILENT_SECONDS)

        assert state_of(server, "redis")[0] == "degraded"
    assert seconds < SILENT_SECONDS
