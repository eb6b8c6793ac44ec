"""A redis-server of its own for a measurement: a free port, nothing on disk, ended afterwards."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.harness import ServerError, free_port
from bench.load import pinned
from bench.request import HOST
from bench.waiting import wait_until

START_SECONDS = 10.0


class Redis(NamedTuple):
    """One that runs."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def redis_started(cores: Sequence[int] = ()) -> Iterator[str]:
    """Start one as the stack configures it, and give its URL."""
    with redis_running(free_port(), cores) as redis:
        yield redis.url


@contextmanager
def redis_running(port: int, cores: Sequence[int] = ()) -> Iterator[Redis]:
    """The same on a port that is free; it may be killed meanwhile."""
    command = ["redis-server", "--port", str(port), "--bind", HOST, "--save", ""]
    command += ["--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]
    process = subprocess.Popen([*pinned(cores), *command], stdout=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: _answers(port), START_SECONDS, process):
            raise ServerError("redis-server did not start")
        yield Redis(f"redis://{HOST}:{port}", process)
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    socket.create_connection((HOST, port), timeout=1).close()
    return True
