"""The native stack as its user starts it, `ops/stack up --profile bench`, in a folder of its own.

Ports are free ones, so a stack that runs already is left alone. Not here: what is sent to it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.compute_bound import write_model
from bench.harness import KEPT_ENVIRONMENT, ServerError, free_port
from bench.machine import ROOT
from bench.request import HOST
from bench.sample import SAMPLE_MODEL
from bench.scenarios import Servers
from ops.native.state import Folder, State
from ops.native.supervision import Supervisor

COMMAND_SECONDS = 120.0
INTERNAL_PORTS = (10_000, 32_000, 20)
"""Below those that Linux gives to clients; so far apart that stacks that start at once differ."""


class Stack:
    """A running stack.

    Args:
        folder: Its files.
        environment: Its commands run in.
        model: The file that its replicas serve.
    """

    def __init__(self, folder: Path, environment: dict[str, str], model: Path) -> None:
        self.model = model
        self._folder = Folder(folder)
        self._environment = environment

    def run(self, *arguments: str) -> None:
        """Run a command of ops/stack to its end.

        Raises:
            ServerError: It failed; with its own words.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.native", *arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this command; that one ends in its own time
        )
        try:
            _, words = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.terminate()
            raise ServerError(f"ops/stack {' '.join(arguments)}: not done in time") from error
        finally:
            if process.poll() is None:  # whoever interrupts: what is half up cannot be taken down
                process.communicate()
        if process.returncode:
            raise ServerError(f"ops/stack {' '.join(arguments)}: {words.strip()}")

    def stop(self) -> None:
        """Stop everything, where anything runs."""
        if Supervisor(self._folder).runs:
            self.run("down")

    @property
    def state(self) -> State:
        """Ports, and replicas by name."""
        return self._folder.read_state()

    @property
    def url(self) -> str:
        """Of the API behind Nginx."""
        return f"http://{HOST}:{self.state.http_port}/api"

    @property
    def replica_port(self) -> int:
        """Of the oldest replica."""
        return next(iter(self.state.replicas.values()))

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes by kind: `replica`, `nginx`, `redis` and `watch`, Prometheus'."""
        kinds = {"nginx": "nginx", "redis": "redis"}
        kinds |= dict.fromkeys(self.state.replicas, "replica")
        found: dict[str, list[psutil.Process]] = {}
        for name, entry in Supervisor(self._folder).processes().items():
            process = psutil.Process(entry["pid"])
            tree = [process, *process.children(recursive=True)]
            found.setdefault(kinds.get(name, "watch"), []).extend(tree)
        return found

    def process_of(self, service: str) -> psutil.Process | None:
        """Return the process of one service, such as `api-1` or `redis`; None while it is down."""
        pid = Supervisor(self._folder).processes()[service]["pid"]
        try:
            return psutil.Process(pid) if pid else None
        except psutil.NoSuchProcess:
            return None

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes, and of those that ended, since its start."""
        spent = 0.0
        for process in (process for some in self.processes().values() for process in some):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
        return spent


@contextmanager
def stack(servers: Servers) -> Iterator[Stack]:
    """Start a stack for a `with` block; every service answers when the block begins."""
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as name:
        folder = Path(name)
        model = SAMPLE_MODEL
        if servers.model == "heavy":
            model = folder / "heavy.onnx"
            write_model(model)
        environment = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ}
        environment |= {
            "STACK_FOLDER": str(folder / "stack"),
            "HTTP_PORT": str(free_port()),
            "PROMETHEUS_PORT": str(free_port()),
            "INTERNAL_PORTS_FROM": str(random.randrange(*INTERNAL_PORTS)),
            "MODEL_PATH": str(model),
            **servers.environment,
        }
        started = Stack(folder / "stack", environment, model)
        try:
            started.run("up", "--replicas", str(servers.replicas), "--profile", "bench")
            yield started
        finally:
            started.stop()
