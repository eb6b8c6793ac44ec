"""Nginx as it ships, rendered as `ops/stack` renders it, in front of one server."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import READY_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS, ServerError
from ops.native import nginx
from ops.native.probes import answers
from ops.native.state import Folder, State, free_port

PORTS = range(20_000, 32_000)
"""Below those that outgoing connections take, of which a soak has many."""


@contextmanager
def gateway(path: Path, replica_port: int, **variables: str) -> Iterator[int]:
    """Start it for a `with` block; gives the port that clients come to.

    Args:
        path: Folder of its files.
        replica_port: Of the server behind it.
        variables: Of `nginx/variables.envsh`.

    Raises:
        ServerError: It ended, or did not answer in time.
    """
    taken: set[int] = set()
    ports = []
    for _ in range(3):
        ports.append(free_port(random.choice(PORTS), taken))
        taken.add(ports[-1])
    folder = Folder(path)
    folder.make()
    state = State(
        http_port=ports[0],
        prometheus_port=ports[1],
        status_port=ports[2],
        exporter_port=0,
        redis_port=0,
        profile="default",
        variables=variables,
        replicas={"api-1": replica_port},
    )
    nginx.render(folder, state)
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = ["nginx", "-p", f"{folder.nginx}/", "-c", "nginx.conf", "-g", options]
    log = path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output
        )
    try:
        _wait(process, ports[2], log)
        yield ports[0]
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_SECONDS)


def _wait(process: subprocess.Popen[bytes], status_port: int, log: Path) -> None:
    limit = time.monotonic() + READY_TIMEOUT_SECONDS
    while not answers("nginx", status_port):
        if process.poll() is not None or time.monotonic() > limit:
            raise ServerError(f"nginx does not answer:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)
