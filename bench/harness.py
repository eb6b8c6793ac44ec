"""Servers as processes: start on a free port, wait for ready, ask what they cost, stop.

A server is stopped by the processes this module started, never by name. Not here: the load
itself (`load`) and what is made of the numbers (`report`).
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import psutil

from bench.load import Load, LoadResult, pinned, run_load
from bench.machine import ROOT
from bench.request import HOST, get
from bench.waiting import wait_until

READY_PATH = "/health/ready"
READY_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0

# A server counts as idle if it takes less than this share of a core for so long.
SETTLED_SHARE, SETTLE_SECONDS = 0.5, 0.05
SETTLE_TIMEOUT_SECONDS = 5.0
# A setting left in the caller's shell must not decide a result: only these go to a server.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
SERVE_COMMAND = (sys.executable, "-m", "ml_pipeline", "serve")  # the bundled model
ECHO_COMMAND = (sys.executable, "-m", "bench.echo")
QUIET_SERVER = {"ACCESS_LOG": "errors", "LOG_LEVEL": "warning"}
SAMPLE_PATTERN = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)", re.MULTILINE)


class ServerError(RuntimeError):
    """A server did not start, or ended before it was told to."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process and everything it started."""

    name: str
    process: psutil.Popen
    port: int
    log: Path

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process tree since its start, user and system."""
        times = [process.cpu_times() for process in self.tree()]
        return float(sum(entry.user + entry.system for entry in times))

    def rss_bytes(self) -> int:
        """Return the resident memory of the process tree."""
        return int(sum(process.memory_info().rss for process in self.tree()))

    def tree(self) -> list[psutil.Process]:
        """Return the process and its living descendants."""
        return [self.process, *self.process.children(recursive=True)]

    def metrics(self) -> dict[str, float]:
        """Return `GET /metrics` as name → value, summed over labels."""
        totals: dict[str, float] = defaultdict(float)
        for name, value in SAMPLE_PATTERN.findall(get(self.port, "/metrics").body.decode()):
            totals[name] += float(value)
        return totals


@dataclass(frozen=True, slots=True)
class Measurement:
    """One load on one server."""

    load: LoadResult
    cpu_us: float
    rss_bytes: int


@contextmanager
def started(
    name: str,
    command: Sequence[str] = SERVE_COMMAND,
    *,
    environment: Mapping[str, str] | None = None,
    cores: Sequence[int] = (),
) -> Iterator[Server]:
    """Start a server and hold it for a `with` block; ready when the block begins.

    Raises:
        ServerError: It ended early or was not ready in `READY_TIMEOUT_SECONDS`.
    """
    with spawned(name, command, environment=environment, cores=cores) as server:
        wait_until_ready(server)
        yield server


@contextmanager
def spawned(
    name: str,
    command: Sequence[str] = SERVE_COMMAND,
    *,
    environment: Mapping[str, str] | None = None,
    cores: Sequence[int] = (),
) -> Iterator[Server]:
    """Start a server without waiting for it; stopped, with its descendants, at the end."""
    port = free_port()
    settings = {"HOST": HOST, "PORT": str(port), **QUIET_SERVER, **(environment or {})}
    kept = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ}
    with tempfile.TemporaryDirectory(prefix="bench-server-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = psutil.Popen(
                [*pinned(cores), *command],
                cwd=ROOT,
                env={**kept, **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(name, process, port, log)
        try:
            yield server
        finally:
            stop(server)


def wait_until_ready(server: Server) -> None:
    """Poll `GET /health/ready` until it answers 200.

    Raises:
        ServerError: It ended, or was not ready in `READY_TIMEOUT_SECONDS`.
    """
    wait_for(server, lambda: get(server.port, READY_PATH).status == HTTPStatus.OK)


def wait_for(server: Server, is_ready: Callable[[], bool]) -> None:
    """Likewise, by whatever tells that a server is ready."""
    if not wait_until(is_ready, READY_TIMEOUT_SECONDS, server.process):
        code = server.process.poll()
        ended = "was not ready in time" if code is None else f"ended with {code}"
        raise ServerError(f"{server.name} {ended}:\n{log_tail(server)}")


def stop(server: Server) -> None:
    """Ask the server to end, and end whatever of its process tree is left after a while."""
    if server.process.poll() is not None:
        return
    tree = server.tree()
    server.process.terminate()
    _, left = psutil.wait_procs(tree, timeout=STOP_TIMEOUT_SECONDS)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=STOP_TIMEOUT_SECONDS)


def measure(server: Server, load: Load, *, cores: Sequence[int] = ()) -> Measurement:
    """Drive `load` and charge the CPU time the process tree spent meanwhile to its requests."""
    before = server.cpu_seconds()
    result = run_load(server.port, load, cores=cores)
    spent = server.cpu_seconds() - before
    return Measurement(result, spent / result.requests * 1e6, server.rss_bytes())


def settle(server: Server) -> None:
    """Wait until a server has done what the generator left behind when it stopped.

    The next one that is measured would share its cores with that: a table of 1,000 rows takes
    another server 6 ms, and 32 of them are under way.
    """
    limit = time.monotonic() + SETTLE_TIMEOUT_SECONDS
    while time.monotonic() < limit:
        before = server.cpu_seconds()
        time.sleep(SETTLE_SECONDS)
        if server.cpu_seconds() - before < SETTLED_SHARE * SETTLE_SECONDS:
            return


def log_tail(server: Server) -> str:
    """Return the end of what the server has printed."""
    return server.log.read_text(errors="replace")[-2000:]


def free_port() -> int:
    """Return a port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
