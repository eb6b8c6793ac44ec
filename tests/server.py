"""The real server as a process of its own: started on a free port, stopped by its own pid.

`Server` is for tests that talk to a server, `run_to_end` for starts that must fail. Nothing of the
environment of the tests reaches the server but PATH, so a setting is one only if a test gives it.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0
STOP_SECONDS = 60.0
"""After which a test fails: much longer than it takes where others are at work too."""
SETTLED_SECONDS = 10.0
POLL_SECONDS = 0.01
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
Result = TypeVar("Result")


class Server:
    """A server that runs from the start of a `with` block to its end, and is ready within.

    Args:
        arguments: The model, if any.
        command: What Python runs, for starts with something done before.
        port: Of a server that was there before; else a free one.
        settings: By variable, where they are in a table.
        environ: More settings by variable.

    Attributes:
        port: On 127.0.0.1.
        url: Without a slash at its end.
    """

    def __init__(
        self,
        *arguments: str | Path,
        command: tuple[str, ...] = ("-m", "ml_pipeline"),
        port: int | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        **environ: str,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._clients = threading.local()
        self._command = [sys.executable, *command, "serve", *map(str, arguments)]
        self._environ = _environment({"PORT": str(self.port), **settings, **environ})
        with ExitStack() as opened:
            self._stdout = opened.enter_context(tempfile.TemporaryFile())
            self._stderr = opened.enter_context(tempfile.TemporaryFile())
            self._opened = opened.pop_all()

    def __enter__(self) -> "Server":
        """Start, and wait until it is ready."""
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
        )
        try:
            wait_until(self._ready, START_SECONDS)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop by SIGTERM; TimeoutExpired if it does not go, and then it is killed."""
        try:
            if self._process.poll() is None:
                self.send(signal.SIGTERM)
                self.wait()
        finally:
            self._close()

    @property
    def client(self) -> httpx.Client:
        """This thread's own: keeps its connections open, reads each answer whole.

        One for all threads would now and then close a connection that another one has just taken
        for a request: httpx' pool looks whether it has expired without a lock.
        """
        client: httpx.Client | None = getattr(self._clients, "own", None)
        if client is None:
            client = self._clients.own = self._opened.enter_context(new_client(self.url))
        return client

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return _read(self._stdout)

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return _read(self._stderr)

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log so far; fails for a line that is not JSON."""
        return [msgspec.json.decode(line) for line in self.stdout.splitlines()]

    def events_of(self, request_id: str) -> list[str]:
        """Events that a request has left in the log so far."""
        return [x["event"] for x in self.log_lines() if x.get("request_id") == request_id]

    def connect(self, timeout_seconds: float = STOP_SECONDS) -> socket.socket:
        """Open a connection; closed by the caller."""
        return socket.create_connection(("127.0.0.1", self.port), timeout_seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """Wait for its end, and give its exit status."""
        return self._process.wait(timeout_seconds)

    def _ready(self) -> bool:
        if (status := self._process.poll()) is not None:
            raise RuntimeError(f"the server ended with {status}: {self.stderr}")
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._opened.close()


def end_well(server: Server) -> None:
    """Stop a server; nothing may have gone wrong that no test looked at."""
    server.send(signal.SIGTERM)

    assert server.wait() == 0
    assert "Traceback" not in server.stderr + server.stdout
    assert "exception" not in (server.stderr + server.stdout).lower()


class RawAnswer(NamedTuple):
    """An answer as read from a socket; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)


def run_to_end(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ml_pipeline …` that ends by itself, and give its status and what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", "ml_pipeline", *map(str, arguments)],
        cwd=ROOT,
        env=_environment(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter at the top of the repository."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=_environment({}),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def new_client(url: str) -> httpx.Client:
    """Make a client that knows nothing of proxies and certificates; closed by the caller."""
    return httpx.Client(base_url=url, timeout=START_SECONDS, verify=False, trust_env=False)


def read_answer(connection: socket.socket, method: str = "POST") -> RawAnswer:
    """Read one answer from a socket; ConnectionError if the server hangs up without one."""
    answer = http.client.HTTPResponse(connection, method=method)
    try:
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return RawAnswer(answer.status, headers, answer.read())
    finally:
        answer.close()


def exchange(server: Server, request: bytes) -> RawAnswer:
    """Send bytes over a connection of their own, and read the answer."""
    with server.connect() as connection:
        connection.sendall(request)
        return read_answer(connection)


def wait_until(happened: Callable[[], bool], timeout_seconds: float = STOP_SECONDS) -> None:
    """Look again and again until something has happened; TimeoutError if it never does."""
    give_up = time.monotonic() + timeout_seconds
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {timeout_seconds} s")
        time.sleep(POLL_SECONDS)


def quickest(do: Callable[[], Result], within_seconds: float) -> tuple[Result, float]:
    """Do something until it has taken less than that, ten times at most.

    What takes longer by itself does so each time; what a busy machine has held up does not. Gives
    what was done last, and the least seconds that it took.
    """
    least = inf
    for _ in range(10):
        begun = time.monotonic()
        done = do()
        least = min(least, time.monotonic() - begun)
        if least < within_seconds:
            break
    return done, least


def settled(
    read: Callable[[], Any], expected: Any, timeout_seconds: float = SETTLED_SECONDS
) -> Any:
    """Read until it is as expected, or for long, and give what was read last.

    The server counts and logs a request when its answer is on its way, so a client may be early.
    """
    give_up = time.monotonic() + timeout_seconds
    while (found := read()) != expected and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    return found


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(environ: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **environ}


def _read(output: Any) -> str:
    """Read from the start without moving the position at which the process writes."""
    content = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)
    return content.decode()
