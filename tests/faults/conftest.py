"""Replicas that must end well."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.replica import ONLY_REDIS, write_model
from tests.server import Server

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a replica at a Redis; at the end of the test each ends with status 0, no traceback."""
    with ExitStack() as running:
        servers: list[Server] = []

        def start(redis_url: str, folder: Path | None = None, **environ: str) -> Server:
            folder = folder or write_model(tmp_path / "models")
            server = Server(folder, REDIS_URL=redis_url, settings={**ONLY_REDIS, **environ})
            servers.append(running.enter_context(server))
            return server

        yield start
        for server in servers:
            server.send(signal.SIGTERM)
        assert [server.wait() for server in servers] == [0] * len(servers)
        told = "".join(server.stdout + server.stderr for server in servers)
        assert "Traceback" not in told
        assert "never retrieved" not in told
