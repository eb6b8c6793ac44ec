"""Headers and documents of every kind of answer: of files, of replicas, and of Nginx itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import settled
from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Answer, Gateway, Stub, new_address

SECURITY = {
    "x-content-type-options": ["nosniff"],
    "referrer-policy": ["no-referrer"],
    "permissions-policy": ["camera=(), geolocation=(), microphone=()"],
    "strict-transport-security": [],
    "server": ["nginx"],
}
"""Values of each header on every answer without TLS."""

OF_FILES = {"page": 200, "unchanged": 304, "page head": 200, "slash": 301}
OF_REPLICAS = {
    "prediction": 200,
    "invalid": 422,
    "no such route": 404,
    "wrong method": 405,
    "docs": 200,
    "redoc": 200,
    "asset": 200,
    "cached": 200,
    "metrics": 200,
}
OWN = {
    "not found": 404,
    "missing page": 404,
    "missing script": 404,
    "post to a file": 405,
    "post to prometheus": 405,
    "rest of prometheus": 404,
    "prometheus gone": 503,
    "too often": 429,
    "body too large": 413,
    "chunked body too large": 413,
    "no host": 400,
    "two hosts": 400,
    "head too large": 431,
    "precondition of a file": 412,
    "unknown coding": 501,
    "trace": 405,
}
UNREAD = {
    "not HTTP": 400,
    "TLS": 400,
    "path above the root": 400,
    "NUL in the path": 400,
    "path too long": 414,
    "HTTP/2.0": 505,
    "connect": 400,
}
"""Refused before a header was read, so that the client's request id is not known."""

KINDS = {**OF_FILES, **OF_REPLICAS, **OWN, **UNREAD}


def request_of(kind: str) -> bytes:
    """Write the request of a kind without its end; its id is its name."""
    post, post_nothing = b"POST /api/predict HTTP/1.1", b"\r\nContent-Length: 2"
    lines = {
        "page": b"GET / HTTP/1.1",
        "page head": b"HEAD / HTTP/1.1",
        "slash": b"GET /api HTTP/1.1",
        "prediction": post + b"\r\nContent-Length: 100",
        "invalid": post + post_nothing,
        "no such route": b"GET /api/nope HTTP/1.1",
        "wrong method": b"DELETE /api/predict HTTP/1.1",
        "docs": b"GET /api/docs HTTP/1.1",
        "redoc": b"GET /api/redoc HTTP/1.1",
        "asset": b"GET /api/docs/assets/swagger.js HTTP/1.1",
        "cached": b"GET /api/models/info HTTP/1.1",
        "metrics": b"GET /api/metrics HTTP/1.1",
        "not found": b"GET /nope HTTP/1.1",
        "missing page": b"GET /nope.html HTTP/1.1",
        "missing script": b"GET /assets/nope.js HTTP/1.1",
        "post to a file": b"POST / HTTP/1.1",
        "post to prometheus": b"POST /prometheus/api/v1/query HTTP/1.1",
        "rest of prometheus": b"GET /prometheus/graph HTTP/1.1",
        "prometheus gone": b"GET /prometheus/api/v1/query?query=up HTTP/1.1",
        "too often": post + post_nothing,
        "body too large": post + b"\r\nContent-Length: 2000000",
        "chunked body too large": post + b"\r\nTransfer-Encoding: chunked",
        "two hosts": b"GET / HTTP/1.1\r\nHost: y",
        "precondition of a file": b'GET / HTTP/1.1\r\nIf-Match: "other"',
        "unknown coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: unknown",
        "trace": b"TRACE / HTTP/1.1",
        "not HTTP": b"hello",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
        "path above the root": b"GET /../x HTTP/1.1",
        "NUL in the path": b"GET /%00 HTTP/1.1",
        "path too long": b"GET /" + b"x" * 9000 + b" HTTP/1.1",
        "HTTP/2.0": b"GET / HTTP/2.0",
        "connect": b"CONNECT example.org:443 HTTP/1.1",
    }
    head = lines.get(kind, b"GET / HTTP/1.1") + b"\r\nX-Request-ID: " + id_of(kind).encode()
    if kind == "head too large":
        head += b"\r\nX-Large: " + b"x" * 20_000
    body = {
        "prediction": str(PREDICTION).replace("'", '"').encode().ljust(100),
        "invalid": b"{}",
        "too often": b"{}",
        "chunked body too large": b"1e8480\r\n" + b"x" * 1_100_000,
    }.get(kind, b"")
    host = b"" if kind == "no host" else b"\r\nHost: x"
    return head + host + b"\r\nContent-Type: application/json\r\n\r\n" + body


def id_of(kind: str) -> str:
    """Request id that a kind is sent with."""
    return kind.replace(" ", "-")


@pytest.fixture(scope="module")
def answers(gateway: Gateway) -> dict[str, Answer]:
    """One answer of each kind."""
    client = new_address()
    gateway.statuses(15, "/api/predict", "POST", client)
    found = {
        kind: gateway.send(request_of(kind), client if kind == "too often" else "")
        for kind in KINDS
        if kind != "unchanged"
    }
    tag = f"\r\nIf-None-Match: {found['page'].all('etag')[0]}\r\nX-Request-ID: unchanged\r\n\r\n"
    found["unchanged"] = gateway.send(b"GET / HTTP/1.1\r\nHost: x" + tag.encode())
    return found


@pytest.fixture(scope="module")
def rude(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx in front of a replica and a Prometheus that send the headers that are Nginx's."""
    headers: dict[str, Any] = {"X_Content_Type_Options": "nosniff", "Referrer_Policy": "unsafe-url"}
    headers |= {"X_Request_ID": "another", "Permissions_Policy": "camera=*"}
    headers |= {"Strict_Transport_Security": "max-age=1"}
    with Stub(**headers) as stub:
        folder = tmp_path_factory.mktemp("rude")
        with Gateway(folder, stub.port, prometheus_port=stub.port) as gateway:
            yield gateway


@pytest.mark.parametrize("kind", KINDS)
def test_status(answers: dict[str, Answer], kind: str) -> None:
    """Each kind of request is answered with its status."""
    assert answers[kind].status == KINDS[kind], answers[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_security_headers(answers: dict[str, Answer], kind: str) -> None:
    """Every answer has each of them once, and no version of the server."""
    found = {name: answers[kind].all(name) for name in SECURITY}

    assert found == SECURITY


@pytest.mark.parametrize("kind", KINDS)
def test_content_security_policy(answers: dict[str, Answer], kind: str) -> None:
    """Every answer has one policy, without inline script; the documentation pages bring theirs."""
    (policy,) = answers[kind].all("content-security-policy")

    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'self'"
    assert "script-src" not in rules
    assert ("worker-src" in rules) == (kind in ("docs", "redoc"))


@pytest.mark.parametrize("kind", ["docs", "redoc", "page", "not found"])
def test_no_page_can_be_framed(answers: dict[str, Answer], kind: str) -> None:
    """No other site can put a page of ours in a frame of its own."""
    (policy,) = answers[kind].all("content-security-policy")

    assert "frame-ancestors 'none'" in policy or answers[kind].all("x-frame-options") == ["DENY"]


@pytest.mark.parametrize("kind", KINDS)
def test_request_id(answers: dict[str, Answer], kind: str) -> None:
    """Every answer has one id: the one that was sent, if it could be read."""
    (found,) = answers[kind].all("x-request-id")

    assert found == id_of(kind) if kind not in UNREAD else re.fullmatch("[0-9a-f]{32}", found)


def test_access_log(answers: dict[str, Answer], gateway: Gateway) -> None:
    """Every answer is in the access log under its id, with its status."""
    ids = {kind: answer.all("x-request-id")[0] for kind, answer in answers.items()}
    expected = {kind: answer.status for kind, answer in answers.items()}

    def logged() -> dict[str, int | None]:
        statuses = {line["request_id"]: line["status"] for line in gateway.log_lines()}
        return {kind: statuses.get(ids[kind]) for kind in answers}

    assert settled(logged, expected) == expected


@pytest.mark.parametrize("kind", [*OWN, *UNREAD])
def test_own_errors_are_problem_documents(answers: dict[str, Answer], kind: str) -> None:
    """What Nginx answers itself has the shape of the replicas' errors, and the id of its header."""
    answer = answers[kind]
    assert answer.all("content-type") == [PROBLEM_TYPE]

    problem = answer.json()
    assert set(problem) == {"title", "status", "detail", "code", "request_id"}
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.all("x-request-id")[0]
    assert re.fullmatch("[a-z_]+", problem["code"])
    assert "expected" in problem["detail"]


def test_codes_are_those_of_the_replicas(answers: dict[str, Answer]) -> None:
    """Where a replica has an error of the same meaning, Nginx's has the same code and title."""
    own, theirs = answers["post to a file"].json(), answers["wrong method"].json()
    assert (own["code"], own["title"]) == (theirs["code"], theirs["title"])

    own, theirs = answers["not found"].json(), answers["no such route"].json()
    assert (own["code"], own["title"]) == (theirs["code"], theirs["title"])


@pytest.mark.parametrize("kind", ["post to a file", "post to prometheus", "trace"])
def test_wrong_methods(answers: dict[str, Answer], kind: str) -> None:
    """405 says once which methods are allowed."""
    assert answers[kind].all("allow") in (["GET"], ["GET, HEAD"])


def test_retry_after(answers: dict[str, Answer]) -> None:
    """It stands once on the answers that ask to come again, and on no other."""
    found = {kind for kind, answer in answers.items() if answer.all("retry-after")}

    assert found == {"too often", "prometheus gone"}
    assert answers["prometheus gone"].all("retry-after") == ["1"]


@pytest.mark.parametrize("path", ["/", "/api/models/info"])
def test_ranges(gateway: Gateway, path: str) -> None:
    """Who asks for a part that is not there gets the whole, or a problem document."""
    answer = gateway.ask(path, headers={"Range": "bytes=99999-", "X-Request-ID": "range"})

    assert answer.status in (200, 416)
    assert answer.status == 200 or answer.all("content-type") == [PROBLEM_TYPE]
    assert {name: answer.all(name) for name in SECURITY} == SECURITY
    assert answer.all("x-request-id") == ["range"]


@pytest.mark.parametrize("path", ["/api/predict", "/api/models", "/prometheus/api/v1/query"])
def test_headers_of_others_are_not_doubled(rude: Gateway, path: str) -> None:
    """What a replica or Prometheus says of these things gives way to what Nginx says."""
    answer = rude.ask(path, headers={"X-Request-ID": "mine"})

    found = {name: answer.all(name) for name in SECURITY}
    assert (answer.status, found) == (200, SECURITY)
    assert answer.all("x-request-id") == ["mine"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("1.1\r\nHost: example.org", "example.org"),
        ("1.1\r\nHost: Example.org:8443", "example.org:8443"),
        ("1.1\r\nHost: [::1]:8080", "[::1]:8080"),
        ("1.1\r\nHost: [::1]", "[::1]"),
        ("1.0", "localhost"),
        ("1.0\r\nHost: 10.0.0.1:80", "10.0.0.1:80"),
    ],
)
def test_a_replica_is_told_for_whom_a_request_is(tmp_path: Path, lines: str, told: str) -> None:
    """By name and port, as a browser has it: a page of another port is another site's."""
    with Stub() as stub, Gateway(tmp_path, stub.port) as gateway:
        gateway.send(f"GET /api/models HTTP/{lines}\r\n\r\n".encode())

        assert [value for name, value in stub.asked[0][1] if name == "host"] == [told]
