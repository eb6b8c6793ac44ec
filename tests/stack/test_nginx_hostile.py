"""Requests that are made to confuse: request ids, paths, and framing."""

import re
import socket
import string
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.server import settled
from tests.stack.nginx import PROBLEM_TYPE, Answer, Gateway, Stub, connect, new_address

WELL_FORMED = ["a", "x" * 128, "a.b-c_d:e/f=g+h@i!", "{}[]<>()$request_id", "%00%22", "''"]
HOSTILE = {
    "quote": b'a","status":200,"x":"',
    "backslash": b"a\\",
    "escaped quote": b'\\"',
    "tab": b"a\tb",
    "space": b"a b",
    "bell": b"a\x07b",
    "delete": b"a\x7f",
    "UTF-8": "ä→😀".encode(),
    "not UTF-8": b"\xff\xfe",
    "empty": b"",
    "129 characters": b"x" * 129,
    "5 kB": b"x" * 5000,
    "10 kB": b"x" * 10_000,
    "two": b"one\r\nX-Request-ID: two\r\nx-request-id: three",
}
PATHS = {
    "quote": b'/a"b',
    "backslash": b"/a\\",
    "braces": b'/","status":200}',
    "UTF-8": "/ä→😀".encode(),
    "not UTF-8": b"/\xff\xfe",
    "half a character": "/ä".encode()[:-1],
    "controls": b"/%00%01%0a%1b",
    "query": b'/?"\\=\xe2\x82\xac',
    "long": b"/" + b"\\" * 7000,
}
POST = b"POST /api/predict HTTP/1.1\r\nHost: x\r\n"
FRAMING = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /x",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, spelt oddly": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks, in a list": b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "tab in the name": b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "folded line": b"X: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"Content-Length: 2\n\n{}",
    "bare carriage return": b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
    "size that is no number": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "size beyond all numbers": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n{}",
    "negative size": b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "negative length": b"Content-Length: -1\r\n\r\n",
    "length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "length beyond all numbers": b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "no colon": b"nonsense\r\n\r\n",
    "NUL in a value": b"X: a\0b\r\n\r\n",
}


@pytest.fixture(scope="module")
def open_gateway(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers, and no limits for this machine."""
    variables = {"RATE_LIMIT_EXEMPT": "127.0.0.0/8", "WORKER_PROCESSES": "2"}
    with Gateway(tmp_path_factory.mktemp("open"), stub.port, settings=variables) as gateway:
        yield gateway


def with_id(value: bytes, path: bytes = b"/nope") -> bytes:
    """Write a request with an id."""
    return b"GET %s HTTP/1.1\r\nHost: x\r\nX-Request-ID: %s\r\n\r\n" % (path, value)


@pytest.mark.parametrize("sent", WELL_FORMED)
def test_an_id_that_is_well_formed(open_gateway: Gateway, stub: Stub, sent: str) -> None:
    """It is the id of the answer, of the problem, of the log line, and of the replica's request."""
    problem = open_gateway.send(with_id(sent.encode()))
    answer = open_gateway.send(with_id(sent.encode(), b"/api/x"))

    assert problem.all("x-request-id") == answer.all("x-request-id") == [sent]
    assert problem.json()["request_id"] == sent
    assert dict(stub.asked[-1][1])["x-request-id"] == sent


def test_well_formed_ids_are_logged(open_gateway: Gateway) -> None:
    """Each of them stands in the line of its request as it was sent."""
    for number, sent in enumerate(WELL_FORMED):
        open_gateway.send(with_id(sent.encode(), b"/logged-%d" % number))

    assert settled(lambda: open_gateway.log.count(b'"path":"/logged-'), len(WELL_FORMED))
    for number, sent in enumerate(WELL_FORMED):
        paths = [line["path"] for line in open_gateway.logged(sent)]
        assert f"/logged-{number}" in paths


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_an_id_that_is_not(open_gateway: Gateway, stub: Stub, sent: bytes) -> None:
    """It is not repeated anywhere; the answer is the same but for an id that Nginx made."""
    answer = open_gateway.send(with_id(sent))
    stub.asked.clear()
    passed_on = open_gateway.send(with_id(sent, b"/api/x"))

    assert answer.status in (404, 400, 431)
    assert answer.all("content-type") == [PROBLEM_TYPE]
    (found,) = answer.all("x-request-id")
    assert re.fullmatch("[0-9a-f]{32}|one", found)
    assert answer.json()["request_id"] == found
    assert answer.json()["status"] == answer.status
    assert len(passed_on.all("x-request-id")) == 1
    seen = (
        [value for name, value in stub.asked[0][1] if name == "x-request-id"] if stub.asked else []
    )
    assert seen in ([], passed_on.all("x-request-id"))


@pytest.fixture(scope="module")
def lines(open_gateway: Gateway) -> dict[str, tuple[int, bytes]]:
    """Status and log line of a request for each path, to a file and to a replica."""
    asked = {
        f"{prefix.decode()}{name}": b"%s%s HTTP/1.1\r\nHost: x\r\n\r\n" % (prefix, path)
        for prefix in (b"/api", b"")
        for name, path in PATHS.items()
    }
    answers = {name: open_gateway.send(b"GET " + request) for name, request in asked.items()}
    ids = {name: answer.all("x-request-id")[0].encode() for name, answer in answers.items()}
    settled(lambda: all(request_id in open_gateway.log for request_id in ids.values()), True)
    log = open_gateway.log.splitlines()
    return {
        name: (answers[name].status, next(line for line in log if request_id in line))
        for name, request_id in ids.items()
    }


@pytest.mark.parametrize("name", [*PATHS, *(f"/api{name}" for name in PATHS)])
def test_log_lines_of_hostile_paths(lines: dict[str, tuple[int, bytes]], name: str) -> None:
    """The line is JSON in UTF-8, with the fields of any other."""
    status, line = lines[name]

    logged = msgspec.json.decode(line)
    assert (logged["status"], logged["method"]) == (status, "GET")


def test_fields_of_the_log(open_gateway: Gateway, stub: Stub) -> None:
    """A line says who asked what, who answered it, and how long both took."""
    client = new_address()
    open_gateway.ask("/api/x?y=1", "POST", client, headers={"X-Request-ID": "fields"}, content=b"z")

    (line,) = open_gateway.logged("fields")
    expected = {"client": client, "method": "POST", "path": "/api/x?y=1", "status": 200}
    expected |= {"upstream": f"127.0.0.1:{stub.port}", "upstream_status": "200"}
    assert expected.items() <= line.items()
    assert 0 <= float(line["upstream_seconds"]) <= line["seconds"] + 0.01 < 5
    assert line["bytes"] > 100


def test_two_workers_write_whole_lines(open_gateway: Gateway) -> None:
    """Lines of many clients at once do not mix, though whoever reads them is slow."""
    num_clients, num_each = 16, 40
    time.sleep(1.2)  # for lines of other requests
    start = len(open_gateway.log)
    long = "".join(string.ascii_letters[number % 52] for number in range(6000))

    def ask(client: int) -> None:
        for number in range(num_each):
            path = f"/w-{client}-{number}-{long[: 6000 * (number % 2)]}"
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: w-{client}-{number}\r\n\r\n"
            assert open_gateway.send(request.encode()).status == 404

    open_gateway.pause_seconds = 0.0005
    with ThreadPoolExecutor(num_clients) as pool:
        list(pool.map(ask, range(num_clients)))
    time.sleep(1.2)
    open_gateway.pause_seconds = 0.0

    lines = {
        line["request_id"]: line["path"]
        for line in map(msgspec.json.decode, open_gateway.log[start:].splitlines())
    }
    assert len(lines) == num_clients * num_each
    assert all(path.startswith(f"/{name}-") for name, path in lines.items())


@pytest.mark.parametrize("rest", FRAMING.values(), ids=FRAMING)
def test_framing(gateway: Gateway, rest: bytes) -> None:
    """A request whose end two readers might see differently is refused, or read as one."""
    with connect(gateway.port) as connection:
        connection.sendall(POST + rest)
        connection.settimeout(0.25)
        received = read_all(connection)

    statuses = [int(status) for status in re.findall(rb"(?m)^HTTP/1\.1 (\d+) ", received)]
    assert all(status < 500 or status == 501 for status in statuses), received
    assert len(statuses) <= 1 or set(statuses[1:]) == {400}, received
    after: Answer = gateway.predict()
    assert after.status == 200


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side hangs up, or says nothing for a while."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except OSError:
        pass
    return received
