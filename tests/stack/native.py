"""The native stack as its user starts it: `ops/native` in a folder and on ports of its own."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from ops.native.state import Folder, State
from ops.native.supervision import Supervisor
from tests.server import NO_SETTINGS, ROOT, free_port, new_client

COMMAND_SECONDS = 120.0
INTERNAL_PORTS = (10_000, 32_000, 20)
"""Below those that Linux gives to clients; so far apart that stacks that start at once differ."""
SCRAPED_SECONDS = 30.0
"""Longest wait for what Prometheus scrapes and evaluates every 5 s."""


class Stack:
    """Runs from the start of a `with` block to its end.

    Args:
        path: Its folder.
        replicas: To start with.
        profile: As of `ops/stack up`.
        settings: Of the server, and Nginx's variables, where they are in a table.
        environ: More of them.

    Attributes:
        url: Of Nginx.
        client: Of Nginx.
    """

    def __init__(
        self,
        path: Path,
        *,
        replicas: int = 2,
        profile: str = "bench",
        settings: Mapping[str, str] = NO_SETTINGS,
        **environ: str,
    ) -> None:
        self._start = ("up", "--replicas", str(replicas), "--profile", profile)
        port = str(free_port())
        self._environ = {
            "PATH": os.environ["PATH"],
            "STACK_FOLDER": str(path),
            "HTTP_PORT": port,
            "PROMETHEUS_PORT": str(free_port()),
            "INTERNAL_PORTS_FROM": str(random.randrange(*INTERNAL_PORTS)),
            **settings,
            **environ,
        }
        self._folder = Folder(path)
        self.url = f"http://127.0.0.1:{port}"
        self.client = new_client(self.url)

    def __enter__(self) -> "Stack":
        self.up = self.run(*self._start)
        assert self.up.returncode == 0, self.up.stderr + self.log("supervisord")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if Supervisor(self._folder).runs:
            down = self.run("down")
            assert down.returncode == 0, down.stderr

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ops/stack to its end."""
        return subprocess.run(
            [sys.executable, "-m", "ops.native", *arguments],
            cwd=ROOT,
            env={**self._environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    @property
    def state(self) -> State:
        """Ports, and replicas by name."""
        return self._folder.read_state()

    @property
    def port(self) -> int:
        """Of Nginx."""
        return self.state.http_port

    def log(self, service: str) -> str:
        """What a service has written so far."""
        path = self._folder.logs / f"{service}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> dict[str, str]:
        """What each service has written so far."""
        return {f"log of {path.stem}": path.read_text() for path in self._folder.logs.glob("*.log")}

    def pid(self, service: str) -> int:
        """Process id of a service."""
        pid: int = Supervisor(self._folder).processes()[service]["pid"]
        return pid

    def kill(self, service: str, number: signal.Signals) -> None:
        """Send a signal to a service; supervisord starts anew what it ends."""
        os.kill(self.pid(service), number)

    def ask_replica(self, name: str, path: str) -> httpx.Response:
        """Ask a replica past Nginx."""
        with new_client(f"http://127.0.0.1:{self.state.replicas[name]}") as client:
            return client.get(path)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus through Nginx."""
        answer = self.client.get("/prometheus/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, answer.text
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def wait_for_series(self, expression: str, count: int) -> list[dict[str, Any]]:
        """Ask until an expression gives so many series; what it gives in the end."""
        give_up = time.monotonic() + SCRAPED_SECONDS
        while len(found := self.query(expression)) != count and time.monotonic() < give_up:
            time.sleep(0.25)
        assert len(found) == count, found
        return found
