"""More clients than the process may have descriptors, and what it needs some of them for meanwhile.

The first clients ask all the time; a crowd then connects and stays. Redis is killed and a reload
is asked for while it is there: both take descriptors that no client may have.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection

from bench.harness import SERVE_COMMAND, Server, free_port, started
from bench.redis_server import redis_running
from bench.request import HOST, exchange
from bench.soak.checked_load import Load, sample_questions
from bench.soak.kills import answers
from bench.soak.scenario import Finding, Run, at_most, equal
from bench.waiting import wait_until

MOST_DESCRIPTORS = 80
NUM_CLIENTS = 8
MOST_CPU = 0.9
"""Of a core, beside what the load took before: an accept loop that spins takes all of one."""
WAIT_SECONDS = 20.0


def run(run: Run) -> Finding:
    """Let the crowd come, look, let it leave, look again."""
    num_crowd = run.choose(500, 300)
    command = ("prlimit", f"--nofile={MOST_DESCRIPTORS}:{MOST_DESCRIPTORS}", *SERVE_COMMAND)
    broken: list[str] = []
    with ExitStack() as opened:
        redis = opened.enter_context(redis_running(port := free_port()))
        environment = {"REDIS_URL": redis.url, "CACHE_POLICY": "always"}
        server = opened.enter_context(started("server", command, environment=environment))
        questions = sample_questions(2000)
        load = opened.enter_context(Load(server.port, questions, num_clients=NUM_CLIENTS))
        load.wait_for_answers(500)
        kept = HTTPConnection(HOST, server.port, timeout=WAIT_SECONDS)
        opened.enter_context(closing(kept))
        kept.connect()
        kept.auto_open = 0  # it must not be opened anew in silence
        idle = _busy(server, run.choose(5.0, 1.0))
        with crowd(server.port, num_crowd):
            busy = _busy(server, run.choose(10.0, 1.5))
            load.wait_for_answers(100)
            broken += equal("reload", exchange(kept, "POST", "/models/reload").status, 200)
            redis.process.kill()
            redis.process.wait()
            broken += _wait_for(kept, b'"redis_connected":false')
            opened.enter_context(redis_running(port))
            broken += _wait_for(kept, b'"redis_connected":true')
            load.wait_for_answers(100)
        let_in = wait_until(lambda: answers(server.port, "/health"), WAIT_SECONDS)
        broken += equal("a new client is let in", let_in, True)
        load.wait_for_answers(100)
        told = "connections_refused" in server.log.read_text()
        broken += equal("connections_refused in the log", told, True)
    broken += at_most("CPU with the crowd", busy, idle + MOST_CPU, " of a core")
    return Finding(
        tried=f"{num_crowd:,} clients to a process of {MOST_DESCRIPTORS} descriptors, a reload and "
        "a Redis that comes back among them",
        found=f"of those who were there {load.counts}; {busy:.2f} of a core, {idle:.2f} before; "
        "reloaded, connected to Redis, new clients in when others left",
        broken=[*load.faults, *broken],
    )


@contextmanager
def crowd(port: int, count: int) -> Iterator[None]:
    """Connect so many times, and stay; the server may hang up, which is all it may do."""
    with ExitStack() as opened:
        for _ in range(count):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((HOST, port))
        yield


def _busy(server: Server, seconds: float) -> float:
    """Cores that the server took on average, for a while from now."""
    before = server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - before) / seconds


def _wait_for(kept: HTTPConnection, text: bytes) -> list[str]:
    """Ask for /health until it says something."""
    said = wait_until(lambda: text in exchange(kept, "GET", "/health").body, WAIT_SECONDS)
    return [] if said else [f"/health: expected {text!r} in {WAIT_SECONDS:.0f} s, found it not"]
