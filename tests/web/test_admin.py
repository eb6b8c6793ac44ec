"""Admin routes: who is let in, who is not, and that the token is told nobody."""

from collections.abc import Iterator

import httpx
import pytest
from litestar.connection import ASGIConnection
from litestar.handlers import get

from ml_pipeline.errors import Forbidden
from ml_pipeline.web.admin import admin_guard
from tests.server import Server
from tests.web.problem import assert_problem

TOKEN = "planted-secret-0123456789"
RELOAD = "/models/reload"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with a token, in production."""
    with Server(ADMIN_TOKEN=TOKEN, ENV="production") as server:
        yield server


@pytest.fixture(scope="module")
def closed() -> Iterator[Server]:
    """A server without a token, in production."""
    with Server(ENV="production") as server:
        yield server


@pytest.fixture(scope="module")
def development() -> Iterator[Server]:
    """A server without a token, in development."""
    with Server(ENV="development") as server:
        yield server


def reload_with(server: Server, **headers: str) -> httpx.Response:
    """Call the admin route; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.post(RELOAD, headers=named)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_lets_in(guarded: Server, scheme: str) -> None:
    """Whoever sends it as a bearer token reloads."""
    assert reload_with(guarded, authorization=f"{scheme} {TOKEN}").status_code == 200


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer other", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN.upper()}", "Bearer \xe9",
     f"Bearer\t{TOKEN}", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN},"],
)  # fmt: skip
def test_anything_else_does_not(guarded: Server, sent: str) -> None:
    """Another token, none, or another scheme is a 401 that names the header and what it expects."""
    answer = guarded.client.post(RELOAD, headers={b"authorization": sent.encode("latin-1")})

    problem = assert_problem(answer, 401, "unauthorized")
    assert problem["detail"].startswith("authorization: expected Bearer")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_tokens_are_none(guarded: Server) -> None:
    """Of a header that is there twice each reader takes another."""
    for other in ("x", TOKEN):
        sent = [("Authorization", f"Bearer {each}") for each in (TOKEN, other)]
        answer = guarded.client.post(RELOAD, headers=sent)

        assert assert_problem(answer, 401, "unauthorized")["detail"].endswith("found several")


def test_without_a_token_production_is_closed(closed: Server) -> None:
    """The answer says how to open it, and nothing that is sent helps."""
    answer = reload_with(closed, authorization="Bearer x")

    assert "ADMIN_TOKEN" in assert_problem(answer, 403, "forbidden")["detail"]


def test_development_is_open_to_loopback(development: Server) -> None:
    """Who tries it on the same machine needs no token."""
    assert reload_with(development).status_code == 200


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_real_ip", "forwarded"])
def test_what_a_proxy_forwards_is_not_loopback(development: Server, header: str) -> None:
    """A proxy on the same machine does not make its clients local."""
    answer = reload_with(development, **{header: "127.0.0.1"})

    assert "expected loopback" in assert_problem(answer, 403, "forbidden")["detail"]


def test_predictions_need_no_token(guarded: Server) -> None:
    """The token is for admin routes alone."""
    body = guarded.client.get("/sample").json()

    assert guarded.client.post("/predict", json=body).status_code == 200


def test_the_token_is_told_nobody(guarded: Server) -> None:
    """No answer and no line of the log holds it, whether it was sent rightly or wrongly."""
    answers = [
        reload_with(guarded, authorization=f"{scheme} {TOKEN}") for scheme in ("Bearer", "X")
    ]
    paths = ("/health", "/metrics", "/openapi.json", "/models")
    told = [answer.text for answer in (*answers, *map(guarded.client.get, paths))]

    assert TOKEN not in "\n".join([*told, guarded.stdout, guarded.stderr])


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("fe80::1", False), ("", False),
     ("localhost", False)],
)  # fmt: skip
async def test_loopback_is_an_address(host: str, local: bool) -> None:
    """Only an address of the machine itself is local, in either family."""

    @get("/")
    async def handler() -> None: ...

    scope = {"type": "http", "headers": [], "client": (host, 1), "path": "/", "query_string": b""}
    connection = ASGIConnection(scope)  # type: ignore[arg-type, var-annotated]
    guard = admin_guard("", production=False)

    if local:
        await guard(connection, handler)
    else:
        with pytest.raises(Forbidden):
            await guard(connection, handler)
