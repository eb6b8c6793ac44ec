"""More clients than the process may have descriptors, and what it needs some of them for meanwhile.

The first clients ask all the time; a crowd then connects and stays. Redis is killed and a reload
is asked for while it is there: both take descriptors that no client may have.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.harness import SERVE_COMMAND, Server, free_port, started
from bench.request import HOST
from bench.sample import SAMPLE_MODEL
from bench.soak.checked_load import Load, Questions, drawn_rows
from bench.soak.client import get, post
from bench.soak.kills import SAMPLE_ROW
from bench.soak.scenario import Finding, Run

MOST_DESCRIPTORS = 80
NUM_CLIENTS = 8
MOST_CPU = 0.9
"""Of a core, beside what the load took before: an accept loop that spins takes all of one."""
WAIT_SECONDS = 20.0


def run(run: Run) -> Finding:
    """Let the crowd come, look, let it leave, look again."""
    num_crowd = run.choose(500, 300)
    questions = Questions([SAMPLE_MODEL], drawn_rows(2000, SAMPLE_ROW))
    command = ("prlimit", f"--nofile={MOST_DESCRIPTORS}:{MOST_DESCRIPTORS}", *SERVE_COMMAND)
    broken: list[str] = []
    with ExitStack() as opened:
        redis = Redis(free_port())
        opened.callback(redis.stop)
        redis.start()
        environment = {"REDIS_URL": f"redis://{HOST}:{redis.port}", "CACHE_POLICY": "always"}
        server = opened.enter_context(started("server", command, environment=environment))
        load = opened.enter_context(Load(server.port, questions, num_clients=NUM_CLIENTS))
        load.wait_for_answers(500)
        kept = opened.enter_context(socket.create_connection((HOST, server.port), WAIT_SECONDS))
        idle = _busy(server, run.choose(5.0, 1.0))
        with crowd(server.port, num_crowd):
            busy = _busy(server, run.choose(10.0, 1.5))
            load.wait_for_answers(100)
            broken += _reload(kept)
            redis.stop()
            broken += _wait_for(kept, b'"redis_connected":false')
            redis.start()
            broken += _wait_for(kept, b'"redis_connected":true')
            load.wait_for_answers(100)
        broken += _get_in(server.port)
        load.wait_for_answers(100)
        if "connections_refused" not in server.log.read_text():
            broken.append("log: expected connections_refused, found no such line")
    if busy > idle + MOST_CPU:
        broken.append(f"CPU with the crowd: expected about {idle:.2f} of a core, found {busy:.2f}")
    return Finding(
        tried=f"{num_crowd:,} clients to a process of {MOST_DESCRIPTORS} descriptors, a reload and "
        "a Redis that comes back among them",
        found=f"of those who were there {load.counts}; {busy:.2f} of a core, {idle:.2f} before; "
        "reloaded, connected to Redis, new clients in when others left",
        broken=[*load.faults, *broken],
    )


class Redis:
    """A redis-server that is stopped and started again on one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        command = ["redis-server", "--port", str(self.port), "--bind", HOST, "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def crowd(port: int, count: int) -> Iterator[None]:
    """Connect so many times, and again where the server hangs up, which is all it may do."""
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


def _exchange(client: socket.socket, request: bytes) -> bytes:
    """Send, and read an answer whole: head, and as much as it says."""
    client.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536) or _hung_up()
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536) or _hung_up()
    return head + b"\r\n\r\n" + body


def _hung_up() -> bytes:
    raise ConnectionError("the server hung up")


def _reload(kept: socket.socket) -> list[str]:
    answer = _exchange(kept, post("/models/reload", b""))
    if answer.startswith(b"HTTP/1.1 200 "):
        return []
    return [f"reload: expected 200, found {answer[:300]!r}"]


def _wait_for(kept: socket.socket, text: bytes) -> list[str]:
    """Ask for /health until it says something."""
    limit = time.monotonic() + WAIT_SECONDS
    while text not in (answer := _exchange(kept, get("/health"))):
        if time.monotonic() > limit:
            return [f"/health: expected {text!r} in {WAIT_SECONDS:.0f} s, found {answer!r}"]
        time.sleep(0.05)
    return []


def _get_in(port: int) -> list[str]:
    """Connect and ask, as long as the server may take to see that the crowd has left."""
    limit = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < limit:
        try:
            with socket.create_connection((HOST, port), WAIT_SECONDS) as client:
                if _exchange(client, get("/health")).startswith(b"HTTP/1.1 200 "):
                    return []
        except OSError:
            pass
        time.sleep(0.05)
    return [f"a new client: expected an answer in {WAIT_SECONDS:.0f} s, found none"]
