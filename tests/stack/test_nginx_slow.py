"""Clients that take their time, and bodies and heads that are too large.

Every slow client of this module waits at the same time: Nginx' time-outs are ten seconds.
"""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Gateway, Stub, connect

TIMEOUT_SECONDS = 10.0
LEEWAY_SECONDS = 2.0
HEAD = b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Slow(NamedTuple):
    """What a slow client does, and what becomes of it.

    Attributes:
        sends: At once.
        drips: Then one byte of it every half second.
    """

    sends: bytes
    drips: bytes = b""


CLIENTS = {
    "says nothing": Slow(b""),
    "half a head": Slow(HEAD),
    "a head byte by byte": Slow(b"", HEAD + b"X: " + b"y" * 100),
    "header lines without end": Slow(HEAD, b"a:b\r\n" * 20),
    "no body": Slow(HEAD + b"Content-Length: 100\r\n\r\n"),
    "half a body": Slow(HEAD + b"Content-Length: 100\r\n\r\n" + b"{" * 50),
    "half a chunk": Slow(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + b"{" * 50),
    "no last chunk": Slow(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
}


class Outcome(NamedTuple):
    """What became of the slow clients.

    Attributes:
        seconds: Until Nginx hung up, by client.
        received: Before that, by client.
        others: Statuses and longest seconds of other clients meanwhile.
        asked: Requests that reached the replica, without those of the others.
    """

    seconds: dict[str, float]
    received: dict[str, bytes]
    others: tuple[set[int], float]
    asked: list[str]


@pytest.fixture(scope="module")
def slow_gateway(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """No limits on rates; one worker, which a client that blocks would block for all."""
    variables = {"RATE_LIMIT_EXEMPT": "127.0.0.0/8", "WORKER_PROCESSES": "1"}
    with Gateway(tmp_path_factory.mktemp("slow"), stub.port, settings=variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def outcome(slow_gateway: Gateway, stub: Stub) -> Outcome:
    """Let ten of each kind wait, and others ask meanwhile."""
    stub.asked.clear()
    with ThreadPoolExecutor(10 * len(CLIENTS)) as pool:
        waiting = {
            name: [pool.submit(be_slow, slow_gateway, client) for _ in range(10)]
            for name, client in CLIENTS.items()
        }
        statuses, slowest = set(), 0.0
        while not all(future.done() for futures in waiting.values() for future in futures):
            started = time.monotonic()
            statuses.add(slow_gateway.ask("/api/other", "POST", json=PREDICTION).status)
            statuses.add(slow_gateway.ask("/").status)
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.1)
        ended = {name: [each.result() for each in futures] for name, futures in waiting.items()}
    return Outcome(
        {name: max(seconds for seconds, _ in each) for name, each in ended.items()},
        {name: b"".join(received for _, received in each) for name, each in ended.items()},
        (statuses, slowest),
        [path for path, _ in stub.asked if path != "/other"],
    )


def be_slow(gateway: Gateway, client: Slow) -> tuple[float, bytes]:
    """Send as a slow client does until Nginx hangs up; seconds until then, and what it has sent."""
    started, received, drips = time.monotonic(), b"", client.drips
    with connect(gateway.port) as connection:
        connection.sendall(client.sends)
        connection.settimeout(0.5)
        while time.monotonic() < started + 2 * TIMEOUT_SECONDS:
            try:
                if not (piece := connection.recv(65536)):
                    break
                received += piece
            except TimeoutError:
                drips = drip(connection, drips)
            except OSError:
                break
    return time.monotonic() - started, received


def drip(connection: socket.socket, drips: bytes) -> bytes:
    """Send one byte, if there is one; the rest."""
    try:
        connection.sendall(drips[:1])
    except OSError:
        return b""
    return drips[1:]


@pytest.mark.parametrize("client", CLIENTS)
def test_slow_clients_are_sent_away(outcome: Outcome, client: str) -> None:
    """Nginx hangs up when a head is not whole within ten seconds, or ten pass without more body."""
    assert outcome.seconds[client] < TIMEOUT_SECONDS + LEEWAY_SECONDS
    assert b"200 OK" not in outcome.received[client]


def test_others_are_served_meanwhile(outcome: Outcome) -> None:
    """Nobody else waits for them."""
    statuses, slowest = outcome.others

    assert statuses == {200}
    assert slowest < 1.0


def test_replicas_see_nothing_of_them(outcome: Outcome) -> None:
    """A request reaches a replica when it is whole, and not before."""
    assert outcome.asked == []


def test_a_slow_reader_holds_no_replica(slow_gateway: Gateway, stub: Stub) -> None:
    """Whoever reads its answer slowly is Nginx' guest: the replica is free at once."""
    stub.body = b"x" * 200_000
    try:
        with connect(slow_gateway.port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /api/large HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)

            (line,) = [path for path, _ in stub.asked if path == "/large"]
            assert line == "/large"
            assert slow_gateway.ask("/api/other").status == 200
    finally:
        stub.body = b"{}"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_two_megabytes(gateway: Gateway, chunked: bool) -> None:
    """It is refused, though the client sends all of it before it reads."""
    body = b" " * 2_000_000
    content = (body[: 1000 * i + 1000][-1000:] for i in range(2000)) if chunked else body
    answer = gateway.ask("/api/predict", "POST", content=content)

    assert (answer.status, answer.all("content-type")) == (413, [PROBLEM_TYPE])
    assert answer.json()["code"] == "body_too_large"


@pytest.mark.parametrize("path", ["/api/predict", "/api/nope", "/", "/prometheus/api/v1/query"])
def test_no_route_takes_a_large_body(gateway: Gateway, path: str) -> None:
    """The bound holds wherever a body is sent; where none is taken it may be that that is told."""
    assert gateway.ask(path, "POST", content=b" " * 2_000_000).status in (405, 413)


def test_a_body_just_small_enough(gateway: Gateway) -> None:
    """1 MiB passes, and the replica judges it."""
    assert gateway.ask("/api/predict", "POST", content=b" " * 1024**2).status == 400
    assert gateway.ask("/api/predict", "POST", content=b" " * (1024**2 + 1)).status == 413


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (b"GET /", b"X: " + b"x" * 20_000, {431, 400}),
        (b"GET /", b"".join(b"X%d: %s\r\n" % (i, b"x" * 4000) for i in range(12))[:-2], {431, 400}),
        (b"GET /" + b"x" * 9000, b"X: x", {414}),
        (b"GET /?" + b"x" * 60_000, b"X: x", {414}),
    ],
    ids=["header", "headers", "path", "query"],
)
def test_large_heads(
    gateway: Gateway, request_line: bytes, headers: bytes, status: set[int]
) -> None:
    """Header lines and paths beyond 8 kB are refused with a problem document."""
    answer = gateway.send(request_line + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n")

    assert answer.status in status
    assert answer.json()["status"] == answer.status
