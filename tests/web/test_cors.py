"""Cross-origin requests: nothing by default, and then what CORS_ORIGINS names and no more."""

from collections.abc import Iterator

import httpx
import pytest

from tests.server import Server
from tests.web.samples import ROW

ALLOWED = {"Origin": "https://a.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}
ROUTES = [
    ("POST", "/predict", 200),
    ("POST", "/predict/batch", 422),
    ("GET", "/predict", 405),
    ("GET", "/models", 200),
    ("GET", "/health", 200),
    ("GET", "/models/info?model=vine", 404),
    ("GET", "/nothing", 404),
    ("DELETE", "/models", 405),
]


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """A server that any origin may call."""
    with Server(CORS_ORIGINS="*") as running:
        yield running


def send(server: Server, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    body = {"data": [ROW]} if method == "POST" else None
    return server.client.request(method, path, json=body, headers=headers)


def cors(answer: httpx.Response) -> dict[str, str]:
    """The CORS headers of an answer."""
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_without_origins_there_is_no_cors(
    server: Server, method: str, path: str, status: int
) -> None:
    """By default no answer has a CORS header, whatever the origin."""
    answer = send(server, method, path, ALLOWED)

    assert answer.status_code == status
    assert cors(answer) == {}


def test_without_origins_there_is_no_preflight(server: Server) -> None:
    """By default a preflight gets no permission."""
    answer = server.client.options("/predict", headers={**ALLOWED, **PREFLIGHT})

    assert cors(answer) == {}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_an_allowed_origin_may_read_every_answer(
    strict_server: Server, method: str, path: str, status: int
) -> None:
    """Answers of all routes, errors included, name the allowed origin and the headers to read."""
    answer = send(strict_server, method, path, ALLOWED)

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "Origin" in answer.headers["vary"]
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "x-cache", "server-timing", "retry-after"} <= set(exposed)


def test_each_listed_origin_is_allowed(strict_server: Server) -> None:
    """An answer names the one origin that asks, of those that are listed."""
    answer = send(strict_server, "GET", "/models", {"Origin": "https://b.example"})

    assert answer.headers["access-control-allow-origin"] == "https://b.example"


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/models", "/models/reload"])
def test_an_allowed_origin_passes_the_preflight(strict_server: Server, path: str) -> None:
    """A preflight is answered with the methods and headers that may be used."""
    answer = strict_server.client.options(path, headers={**ALLOWED, **PREFLIGHT})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "accept", "x-request-id", "x-request-timeout-ms"} <= set(allowed)
    assert {"traceparent", "tracestate"} <= set(allowed)


@pytest.mark.parametrize(
    "origin",
    [
        "https://c.example",
        "http://a.example",
        "https://a.example:8443",
        "https://a.example.evil",
        "https://sub.a.example",
        "https://A.example",
        "null",
        "*",
        "",
    ],
)
def test_other_origins_get_nothing(strict_server: Server, origin: str) -> None:
    """An origin that is not listed to the letter gets an answer without permission."""
    simple = send(strict_server, "POST", "/predict", {"Origin": origin})
    preflight = strict_server.client.options("/predict", headers={"Origin": origin, **PREFLIGHT})

    assert simple.status_code == 200
    assert cors(simple) == {}
    assert cors(preflight) == {}


def test_requests_without_an_origin_get_nothing(strict_server: Server) -> None:
    """Clients that are no browsers see no CORS header."""
    assert cors(send(strict_server, "GET", "/models", {})) == {}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_a_star_allows_every_origin(
    open_server: Server, method: str, path: str, status: int
) -> None:
    """`*` lets any origin read any answer."""
    answer = send(open_server, method, path, {"Origin": "https://anyone.example"})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"


def test_credentials_are_never_allowed(open_server: Server, strict_server: Server) -> None:
    """No answer and no preflight allows credentials, least of all beside `*`."""
    for server in (open_server, strict_server):
        for answer in (
            send(server, "POST", "/predict", {**ALLOWED, "Cookie": "session=1"}),
            server.client.options("/predict", headers={**ALLOWED, **PREFLIGHT}),
        ):
            assert "access-control-allow-origin" in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
