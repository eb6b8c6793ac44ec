"""Nginx as it ships, rendered as `ops/stack` renders it, in front of one server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.nginx import nginx_running
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
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(random.choice(PORTS), set(ports)))
    http, prometheus, status = ports
    folder = Folder(path)
    folder.make()
    state = State(
        http_port=http,
        prometheus_port=prometheus,
        status_port=status,
        exporter_port=0,
        redis_port=0,
        profile="default",
        variables=variables,
        replicas={"api-1": replica_port},
    )
    nginx.render(folder, state)
    with nginx_running(folder.nginx, lambda: answers("nginx", status)):
        yield http
