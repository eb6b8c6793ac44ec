"""Nginx alone, on the files that ship, rendered as `ops/stack` renders them, in front of anything.

Each client has a loopback address of its own (127.0.0.0/8 is one machine), so that the limits of
one test are not spent by another. Answers are read with every header as often as it was sent.
"""

import http.client
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from itertools import product, starmap
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

import httpx
import msgspec
import pytest

from ops.native import nginx
from ops.native.probes import answers
from ops.native.state import Folder, State, free_port
from tests.http_service import HttpService, QuietHandler
from tests.server import NO_SETTINGS, ROOT, START_SECONDS, settled, wait_until

ROW = [13.32, 3.24, 21.5, 1.93, 0.76, 0.45, 8.42, 0.55, 1.62, 650.0]
PREDICTION = {"data": [ROW]}
PROBLEM_TYPE = "application/problem+json"

_addresses = starmap("127.0.{}.{}".format, product(range(1, 256), range(1, 255)))
"""No generator: that would fail two threads that ask at once."""


class Answer(NamedTuple):
    """An answer; header names are lower-case, and each stands as often as it was sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Values of a header."""
        return [value for each, value in self.headers if each == name]

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)


class Gateway:
    """Nginx from the start of a `with` block to its end.

    Args:
        path: Its folder.
        replicas: Ports of the upstream `api`.
        prometheus_port: Where Prometheus is, if anywhere.
        listen: More lines of the service's `server` block, by name of the file in `listen/`.
        settings: Variables of `nginx/variables.envsh`, where they are in a table.
        environ: More of them.

    Attributes:
        port: On 127.0.0.1, which takes clients from every loopback address.
        log: The access log so far; a line is there a second after its answer at the latest.
        pause_seconds: Of who reads the log after each 4 kB, to be slower than those who write it.
    """

    def __init__(
        self,
        path: Path,
        *replicas: int,
        prometheus_port: int | None = None,
        listen: dict[str, str] | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
        **environ: str,
    ) -> None:
        self.folder = Folder(path)
        self.port = quiet_port()
        self.state = State(
            http_port=self.port,
            prometheus_port=prometheus_port or quiet_port(),
            status_port=quiet_port(),
            exporter_port=0,
            redis_port=0,
            profile="default",
            replicas={f"api-{number}": port for number, port in enumerate(replicas, 1)},
        )
        self._listen = listen or {}
        self.pause_seconds = 0.0
        self._environ = {**settings, **environ}

    def __enter__(self) -> Self:
        """Render, start, and wait until it answers."""
        self.render()
        options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        command = ["nginx", "-p", f"{self.folder.nginx}/", "-c", "nginx.conf", "-g", options]
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._output
        )
        self.log = b""
        self._reader = Thread(target=self._read_log)
        self._reader.start()
        try:
            wait_until(self._answers, START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop by SIGTERM, which waits for nobody."""
        self._process.terminate()
        try:
            self._process.wait(10.0)
        finally:
            self._reader.join()
            self._output.close()

    def render(self) -> None:
        """Write the configuration; StackError if Nginx would not take it."""
        self.folder.make()
        for name, text in self._listen.items():
            (self.folder.nginx / "listen").mkdir(exist_ok=True)
            (self.folder.nginx / "listen" / name).write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environ.items():
                patch.setenv(name, value)
            nginx.render(self.folder, self.state)

    def ask(self, path: str, method: str = "GET", client: str = "", **arguments: Any) -> Answer:
        """Send one request from an address (else a new one), over a connection of its own."""
        return ask(self.port, path, method, client, **arguments)

    def predict(self, client: str = "", **arguments: Any) -> Answer:
        """Ask for a prediction."""
        return self.ask("/api/predict", "POST", client, json=PREDICTION, **arguments)

    def statuses(self, count: int, path: str, method: str = "GET", client: str = "") -> list[int]:
        """Send the same request so many times from one address, over one connection."""
        body = PREDICTION if method == "POST" else None
        with new_client(self.port, client or new_address()) as http_client:
            return [http_client.request(method, path, json=body).status_code for _ in range(count)]

    def send(self, request: bytes, client: str = "") -> Answer:
        """Send bytes over a connection of their own, and read one answer."""
        return send(self.port, request, client)

    def log_lines(self) -> list[dict[str, Any]]:
        """The access log so far; fails for a line that is not JSON."""
        return [msgspec.json.decode(line) for line in self.log.splitlines()]

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """Wait for a line with a request id, and give all of them."""
        key = msgspec.json.encode({"request_id": request_id})[1:-1]
        settled(lambda: key in self.log, True)
        return [msgspec.json.decode(line) for line in self.log.splitlines() if key in line]

    def _read_log(self) -> None:
        """Read what goes to /dev/stdout, as a supervisor does: from a pipe."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            while piece := os.read(output.fileno(), 4096):
                self.log += piece
                time.sleep(self.pause_seconds)

    def _answers(self) -> bool:
        if (status := self._process.poll()) is not None:
            raise RuntimeError(
                f"nginx ended with {status}: {os.pread(self._output.fileno(), 9999, 0)!r}"
            )
        return answers("nginx", self.state.status_port)


class Https(Gateway):
    """Nginx that listens for TLS too, with a certificate that it has signed itself.

    Attributes:
        tls_port: On 127.0.0.1.
    """

    def __init__(self, path: Path, *replicas: int, **environ: str) -> None:
        self.tls_port = quiet_port()
        variables = {"TLS_LISTEN": str(self.tls_port)}
        variables |= {"TLS_CERTIFICATE": str(path / "tls.crt"), "TLS_KEY": str(path / "tls.key")}
        template = (ROOT / "nginx" / "listen" / "tls.conf.template").read_text()
        listen = {"tls.conf": nginx.substitute(template, variables)}
        super().__init__(path, *replicas, listen=listen, settings=environ)
        command = "openssl req -x509 -newkey rsa -nodes -subj /CN=x -keyout tls.key -out tls.crt"
        subprocess.run(command.split(), cwd=path, check=True, capture_output=True, timeout=30)


class Stub(HttpService):
    """A replica that gives one answer to everything, and keeps what it was asked.

    Attributes:
        port: On 127.0.0.1.
        asked: Path and headers (lower-case names) of each request.
        status: What it answers with; 0 is not at all: it hangs up, as one that has ended does.
        headers: The same.
        body: The same.
        seconds: That it takes.
        connections: Taken so far.
    """

    def __init__(self, body: bytes = b"{}", *, port: int = 0, **headers: str) -> None:
        self.asked: list[tuple[str, list[tuple[str, str]]]] = []
        self.status, self.body, self.seconds = 200, body, 0.0
        self.connections: list[socket.socket] = []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(_handler(self), port=port)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for connection in self.connections:
            with suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        def setup(self) -> None:
            super().setup()
            stub.connections.append(self.connection)

        def do_GET(self) -> None:
            self.read_body()
            headers = [(name.lower(), value) for name, value in self.headers.items()]
            stub.asked.append((self.path, headers))
            time.sleep(stub.seconds)
            if not stub.status:
                self.close_connection = True
                return
            self.reply(stub.status, stub.body, **stub.headers)

        do_POST = do_GET

    return Handler


def quiet_port() -> int:
    """Give a free port that no outgoing connection takes: below those of ip_local_port_range."""
    return free_port(random.randrange(20_000, 32_000), set())


def new_address() -> str:
    """Give a loopback address that no test has asked from: a client that has spent nothing."""
    return next(_addresses)


def ask(port: int, path: str, method: str = "GET", client: str = "", **arguments: Any) -> Answer:
    """Send one request from an address (else a new one), over a connection of its own."""
    with new_client(port, client or new_address()) as http_client:
        answer = http_client.request(method, path, **arguments)
        return Answer(answer.status_code, answer.headers.multi_items(), answer.content)


def send(port: int, request: bytes, client: str = "") -> Answer:
    """Send bytes over a connection of their own, and read one answer."""
    with connect(port, client) as connection:
        connection.sendall(request)
        return read_answer(connection, request.partition(b" ")[0].decode("latin-1"))


def new_client(port: int, address: str) -> httpx.Client:
    """Make a client that asks from an address; closed by the caller."""
    transport = httpx.HTTPTransport(local_address=address, verify=False)
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=30.0, trust_env=False
    )


def connect(port: int, client: str = "") -> socket.socket:
    """Open a connection from an address (else a new one); closed by the caller."""
    source = (client or new_address(), 0)
    return socket.create_connection(("127.0.0.1", port), 20.0, source)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one answer from a socket."""
    with closing(http.client.HTTPResponse(connection, method=method)) as answer:
        answer.begin()
        headers = [(name.lower(), value) for name, value in answer.getheaders()]
        return Answer(answer.status, headers, answer.read())
