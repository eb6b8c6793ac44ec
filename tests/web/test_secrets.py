"""No secret is told, in no answer, header or line of the log, whatever is sent and breaks."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.planted import (
    ADMIN_TOKEN,
    BODIES,
    CREDENTIALS,
    KEY_SECRET,
    PLANTED,
    REDIS_PASSWORD,
    found,
    tell,
)
from tests.redis_server import RedisServer
from tests.server import Server, exchange, wait_until

HEAD = f"X-API-Key: alice.{KEY_SECRET}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
MALFORMED = {
    "no header": f"GET /models HTTP/1.1\r\nHost: localhost\r\n{HEAD}no header\r\n\r\n",
    "two lengths": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "no version": f"GET /models\r\n{HEAD}\r\n",
    "too large": f"GET /models HTTP/1.1\r\n{HEAD}X: {'x' * 70_000}\r\n\r\n",
    "NUL": f"GET /models HTTP/1.1\r\nHost: localhost\r\nX-API-Key: alice.{KEY_SECRET}\0\r\n\r\n",
}
"""Heads that the parser refuses, after it has read what is secret, or at it."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All that a server has said, with Redis and without it."""
    path = tmp_path_factory.mktemp("secrets") / "keys"
    path.write_text(f"alice {sha256(f'alice.{KEY_SECRET}'.encode()).hexdigest()}\n")
    with RedisServer("--requirepass", REDIS_PASSWORD) as redis:
        settings = {
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "API_KEYS_FILE": str(path),
            "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{redis.port}",
            "CACHE_MAX_MB": "0",  # so that Redis is asked each time
            "CACHE_POLICY": "always",
            "CORS_ORIGINS": "*",
            "LOG_LEVEL": "debug",
            "ACCESS_LOG": "all",
        }
        with Server(settings=settings) as server:
            everything = tell(server.client.request)
            for name, head in MALFORMED.items():
                answer = exchange(server, head.encode())
                everything[f"malformed: {name}"] = f"{answer.headers} {answer.body.decode()}"
            redis.kill()
            outage = tell(server.client.request)
            everything |= {f"without Redis: {place}": text for place, text in outage.items()}
            wait_until(lambda: "redis_lost" in server.stdout)
            everything["health"] = server.client.get("/health").text
            path.write_text(f"alice.{KEY_SECRET}\n")  # by mistake, the key itself
            wait_until(lambda: "api_keys_unusable" in server.stdout)
            everything["health later"] = server.client.get("/health").text
            yield everything | {"stdout": server.stdout, "stderr": server.stderr}


@pytest.mark.parametrize("kind", PLANTED)
def test_no_secret_is_told(told: dict[str, str], kind: str) -> None:
    """What was planted, or sent, is in no answer and no line of the log."""
    assert found(PLANTED[kind], told) == []


def test_the_search_would_find_it(told: dict[str, str]) -> None:
    """The requests did what they were meant to, and what may be told is found."""
    statuses = {int(place.rsplit(": ", 1)[1]) for place in told if " with " in place}

    assert {200, 400, 401, 404, 422} <= statuses
    assert found("expected 10 features", told)
    assert found('"client":"alice"', told) == ["stdout"]
    assert found("api_keys_unusable", told) == ["stdout"]
    assert '"redis","status":"degraded"' in told["health"]
    assert '"api_keys","status":"degraded"' in told["health later"]
    assert len(told) > len(CREDENTIALS) * sum(map(len, BODIES.values()))
