"""How much memory clients can make Nginx take: it stays below what its containers may have."""

import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import product, starmap
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server import settled
from tests.stack.nginx import Gateway, Stub, connect

PER_CLIENT = 99
"""Connections of an address: one fewer than CONNECTIONS_PER_CLIENT."""
CONTAINER = 512 * 1024**2
PREDICT = "/api/predict"
SMALL = ["/api/models/reload", "/api/models", "/api/health", "/v2/repository/index", "/api/nope"]
MIB = 1024**2


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> None:
    """As many as this process may have: each client of Nginx is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    """A replica that says yes."""
    with Stub() as stub:
        yield stub


@pytest.fixture
def gateway(stub: Stub, tmp_path: Path) -> Iterator[Gateway]:
    """As it ships, with one worker, as in its containers."""
    with Gateway(tmp_path, stub.port, WORKER_PROCESSES="1") as gateway:
        yield gateway


def memory(gateway: Gateway) -> int:
    """Bytes that its processes have for themselves, and files of its folder."""
    master = psutil.Process(int((gateway.folder.nginx / "nginx.pid").read_text()))
    processes = [master, *master.children()]
    files = [path.stat().st_size for path in gateway.folder.nginx.rglob("*") if path.is_file()]
    own: list[int] = [process.memory_full_info().uss for process in processes]
    return sum(own) + sum(files)


def upload(path: str, size: int, *, chunked: bool = False) -> bytes:
    """Make all of a request but its last byte."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    return head.encode() + (b"%x\r\n" % size if chunked else b"") + b" " * (size - 1)


def send_all(connection: socket.socket, data: bytes) -> None:
    """Send; one that is refused at once may be closed before the end of it."""
    connection.settimeout(2.0)
    with suppress(OSError):
        connection.sendall(data)


def clients(number: int) -> list[str]:
    """Give addresses that no other test has asked from."""
    return list(starmap("127.77.{}.{}".format, product(range(1, 99), range(1, 255))))[:number]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("path", SMALL)
def test_routes_that_take_no_large_body(gateway: Gateway, path: str, chunked: bool) -> None:
    """8 kB pass where nothing is predicted, and a byte more does not."""
    for size, refused in ((8192, False), (8193, True)):
        body = b" " * size
        content = iter([body]) if chunked else body
        answer = gateway.ask(path, "POST", content=content)
        assert (answer.status == 413) == refused, (size, answer)
        if refused:
            assert "at most 8k" in answer.body.decode()


def test_slow_bodies_where_none_is_taken(gateway: Gateway) -> None:
    """99 of 1 MB from each of five addresses: 500 MB are sent, and next to nothing is kept."""
    before = memory(gateway)
    with ExitStack() as opened:
        for client in clients(5):
            for number in range(PER_CLIENT):
                connection = opened.enter_context(connect(gateway.port, client))
                send_all(connection, upload(SMALL[number % len(SMALL)], MIB))
        grown = memory(gateway) - before

    assert grown < 32 * MIB


def test_slow_bodies_of_predictions(gateway: Gateway) -> None:
    """Of 150 of 1 MB from ten addresses 96 are taken; small ones pass."""
    before = memory(gateway)
    with ExitStack() as opened:
        connections = [
            opened.enter_context(connect(gateway.port, client))
            for client in clients(10)
            for _ in range(15)  # as many as there are predictions at once
        ]
        for connection in connections:
            send_all(connection, upload(PREDICT, MIB))
        small = gateway.predict().status
        refused = num_answered(connections)
        grown = memory(gateway) - before

    assert small == 200
    assert refused == 10 * 15 - 96
    assert 90 * MIB < grown < 96 * MIB + 32 * MIB


def test_large_bodies_of_one_client(stub: Stub, tmp_path: Path) -> None:
    """One address has a third of what there is for large bodies, unless it is exempt."""
    variables = {"BODY_MEMORY": "9m", "RATE_LIMIT_EXEMPT": "127.78.0.2"}
    found = {}
    with Gateway(tmp_path, stub.port, WORKER_PROCESSES="1", settings=variables) as gateway:
        for client in ("127.78.0.1", "127.78.0.2"):
            with ExitStack() as opened:
                connections = [
                    opened.enter_context(connect(gateway.port, client)) for _ in range(5)
                ]
                for connection in connections:
                    send_all(connection, upload(PREDICT, MIB))
                found[client] = num_answered(connections)

    assert found == {"127.78.0.1": 2, "127.78.0.2": 0}


def test_requests_of_all_clients(stub: Stub, tmp_path: Path) -> None:
    """Beyond CONNECTIONS at once a request is refused, whoever asks; health checks go on."""
    with Gateway(tmp_path, stub.port, CONNECTIONS="10") as gateway, ExitStack() as opened:
        for client in clients(10):
            send_all(opened.enter_context(connect(gateway.port, client)), upload(PREDICT, 100))
        settled(lambda: gateway.predict().status, 429)
        refused = gateway.predict()
        health = httpx.get(f"http://127.0.0.1:{gateway.state.status_port}/healthz").status_code

    assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
    assert "10 (96) of all" in refused.json()["detail"]
    assert health == 204


def test_everything_at_once(stub: Stub, tmp_path: Path) -> None:
    """At every limit together it takes less than three quarters of what its containers may have.

    Each of so many requests as there may be has a head of 32 kB; 96 have a body of 1 MB, most of
    the others one of 60 kB, and some an answer of 128 kB that they do not read.
    """
    stub.body = b"x" * 200_000
    variables = {"RATE_LIMIT_EXEMPT": "127.77.0.0/16", "WORKER_PROCESSES": "1"}
    head = b"".join(b"X-%d: %s\r\n" % (number, b"h" * 7900) for number in range(3))
    with Gateway(tmp_path, stub.port, settings=variables) as gateway, ExitStack() as opened:
        connections = [
            opened.enter_context(connect(gateway.port, client))
            for client in clients(8)
            for _ in range(128)
        ]
        for number, connection in enumerate(connections):
            size = MIB if number < 96 else 60_000 - 1
            request = upload(PREDICT, size).replace(b"\r\n", b"\r\n" + head, 1)
            if number >= 960:  # whole, and then not read
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                request += b" "
            send_all(connection, request)
        answered = num_answered(connections[:960])
        taken = memory(gateway)
    stub.body = b"{}"

    assert answered == 0
    assert taken < 0.75 * CONTAINER


def num_answered(connections: list[socket.socket]) -> int:
    """Connections on which there is something to read, a moment later."""
    time.sleep(0.5)
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))
