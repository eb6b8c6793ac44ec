"""API keys in the whole native stack: they work through Nginx, and no log of it tells a secret."""

import os
import signal
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.planted import ADMIN_TOKEN, CREDENTIALS, KEY_SECRET, PLANTED, found, tell
from tests.server import ROOT, settled
from tests.stack.native import Stack
from tests.stack.nginx import send

HEAD = f"X-API-Key: alice.{KEY_SECRET}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
MALFORMED = {
    "no header": f"GET /api/models HTTP/1.1\r\nHost: localhost\r\n{HEAD}no header\r\n\r\n",
    "too large": f"GET /api/models HTTP/1.1\r\nHost: localhost\r\n{HEAD}X: {'x' * 20_000}\r\n\r\n",
    "a large key": f"GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: a.{KEY_SECRET * 500}\r\n\r\n",
    "NUL": f"GET /api/models HTTP/1.1\r\nHost: [::1]\r\nX-API-Key: alice.{KEY_SECRET}\0\r\n\r\n",
    "no host": f"GET /api/models HTTP/1.1\r\n{HEAD}\r\n",
}
"""Heads that Nginx refuses, after it has read what is secret, or at it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One replica that asks for a key; the file is named from the folder of the command."""
    folder = tmp_path_factory.mktemp("keys")
    path = folder / "keys"
    path.write_text(f"alice {sha256(f'alice.{KEY_SECRET}'.encode()).hexdigest()}\n")
    settings = {
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "API_KEYS_FILE": os.path.relpath(path, ROOT),
        "RATE_LIMIT_KEYS": "alice=6000",
        "CACHE_MAX_MB": "0",  # so that Redis is asked each time
        "CACHE_POLICY": "always",
        "LOG_LEVEL": "debug",
        "ACCESS_LOG": "all",
    }
    with Stack(folder / "s", replicas=1, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def told(stack: Stack) -> dict[str, str]:
    """All that the stack has said."""

    def ask(method: str, path: str, **arguments: object) -> object:
        return stack.client.request(method, f"/api{path}", **arguments)  # type: ignore[arg-type]

    everything = tell(ask)
    for name, head in MALFORMED.items():
        answer = send(stack.port, head.encode())
        everything[f"malformed: {name}: {answer.status}"] = f"{answer.headers} {answer.body!r}"
    stack.kill("redis", signal.SIGSTOP)
    try:
        outage = tell(ask)
    finally:
        stack.kill("redis", signal.SIGCONT)
    everything |= {f"without Redis: {place}": text for place, text in outage.items()}
    last = {"X-Request-ID": "the-last-of-all"}
    stack.client.get("/api/health", headers=last)
    assert settled(lambda: last["X-Request-ID"] in stack.log("nginx"), True)
    return everything | stack.logs()


def test_keys_work_through_nginx(stack: Stack) -> None:
    """Who sends one is answered by the replica, who does not is refused by it."""
    sent = ("nothing", "key", "bearer key", "wrong key")
    answers = [stack.client.get("/api/models", headers=CREDENTIALS[name]) for name in sent]
    protocol = [stack.client.get("/v2/models/wine", headers=CREDENTIALS[name]) for name in sent]

    assert [answer.status_code for answer in answers] == [401, 200, 200, 401]
    assert [answer.status_code for answer in protocol] == [401, 200, 200, 401]
    assert answers[0].headers["www-authenticate"] == "Bearer"


def test_pages_of_other_hosts_are_refused(stack: Stack) -> None:
    """The stack listens on loopback alone, and answers to its names, by whatever name it is led."""
    key = CREDENTIALS["key"]
    hosts = (
        "localhost",
        f"127.0.0.1:{stack.port}",
        "[::1]:8080",
        "evil.example",
        "evil.example:80",
    )
    answers = [stack.client.get("/api/models", headers={**key, "Host": host}) for host in hosts]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 421, 421]
    assert send(stack.port, b"GET /api/health HTTP/1.0\r\n\r\n").status == 200


def test_pages_of_other_sites_change_nothing(stack: Stack) -> None:
    """The dashboard may reload through Nginx, by its own origin with its port; another may not."""
    token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    origins = (stack.url, "http://evil.example", "http://127.0.0.1:1", "null")
    statuses = [
        stack.client.post("/api/models/reload", headers={**token, "Origin": each}).status_code
        for each in origins
    ]

    assert statuses == [200, 403, 403, 403]


@pytest.mark.parametrize("kind", PLANTED)
def test_no_secret_is_told(told: dict[str, str], kind: str) -> None:
    """What was planted, or sent, is in no answer, and in no log of Nginx or of another service."""
    assert found(PLANTED[kind], told) == []


def test_the_search_would_find_it(told: dict[str, str]) -> None:
    """What may be told is found, in the logs of those who tell it."""
    assert found('"client":"alice"', told) == ["log of api-1"]
    assert found('"key":"alice"', told) == ["log of nginx"]
    assert found("redis_lost", told) == ["log of api-1"]
    assert sum(place.startswith("malformed") and ": 4" in place for place in told) >= 3
