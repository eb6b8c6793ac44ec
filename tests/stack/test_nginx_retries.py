"""What becomes of a request whose replica ends, hangs, or is not there: who else is asked."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server import free_port, wait_until
from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Answer, Gateway, Stub

OPEN = {"RATE_LIMIT_EXEMPT": "127.0.0.0/8", "WORKER_PROCESSES": "1"}
NUM_REPLICAS = 4
PREDICT, RELOAD = "/api/predict", "/api/models/reload"
GETS = ["/api/models", "/api/models/info", "/api/health", "/api/metrics", PREDICT]


@pytest.fixture
def stubs() -> Iterator[list[Stub]]:
    """Replicas that say yes."""
    with ExitStack() as opened:
        yield [opened.enter_context(Stub()) for _ in range(NUM_REPLICAS)]


@pytest.fixture
def gateway(stubs: list[Stub], tmp_path: Path) -> Iterator[Gateway]:
    """In front of them; it has a connection to each that it has kept."""
    with Gateway(tmp_path, *(stub.port for stub in stubs), settings=OPEN) as gateway:
        gateway.statuses(2 * NUM_REPLICAS, PREDICT, "POST")
        assert all(stub.asked for stub in stubs)
        for stub in stubs:
            stub.asked.clear()
        yield gateway


def ask(gateway: Gateway, path: str, method: str, **headers: str) -> Answer:
    """Ask, with a body where the method has one."""
    body = PREDICTION if method == "POST" else None
    return gateway.ask(path, method, json=body, headers=headers)


def taken(stubs: list[Stub]) -> int:
    """Requests that replicas were given."""
    return sum(len(stub.asked) for stub in stubs)


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [("POST", PREDICT, 1), ("POST", RELOAD, 1), *(("GET", path, 2) for path in GETS)],
)
def test_a_request_that_ends_replicas(
    gateway: Gateway, stubs: list[Stub], method: str, path: str, most: int
) -> None:
    """It ends one, or two where it only asks how things are; its client may come again."""
    for stub in stubs:
        stub.status = 0
    answer = ask(gateway, path, method)

    assert (answer.status, answer.all("retry-after")) == (503, ["1"])
    assert answer.all("content-type") == [PROBLEM_TYPE]
    assert 1 <= taken(stubs) <= most


def test_what_only_asks_is_asked_of_another(gateway: Gateway, stubs: list[Stub]) -> None:
    """One replica that hangs up costs nobody who asks how things are an answer."""
    stubs[0].status = 0

    assert gateway.statuses(20, "/api/models") == [200] * 20
    assert stubs[0].asked


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_replicas_that_are_not_there(tmp_path: Path, method: str) -> None:
    """Who refuses a connection was given nothing: a prediction goes on to the one that is there."""
    path = PREDICT if method == "POST" else "/api/models"
    ports = [free_port() for _ in range(1 if method == "GET" else 3)]
    with Stub() as stub, Gateway(tmp_path, *ports, stub.port, settings=OPEN) as gateway:
        assert gateway.statuses(50, path, method) == [200] * 50


def test_a_replica_that_answers_no_get(gateway: Gateway, stubs: list[Stub]) -> None:
    """Another is asked after three seconds."""
    stubs[0].seconds = 60.0
    started = time.monotonic()
    statuses = [ask(gateway, "/api/models", "GET").status for _ in range(NUM_REPLICAS)]

    assert statuses == [200] * NUM_REPLICAS
    assert 2.5 < time.monotonic() - started < 6.0


@pytest.mark.parametrize("milliseconds", ["300", "1", "0999"])
def test_a_deadline_of_less_than_a_second(
    gateway: Gateway, stubs: list[Stub], milliseconds: str
) -> None:
    """Who has asked for that is told after two of a replica that hangs, and no other is asked."""
    for stub in stubs:
        stub.seconds = 60.0
    started = time.monotonic()
    answer = ask(gateway, PREDICT, "POST", **{"X-Request-Timeout-Ms": milliseconds})
    seconds = time.monotonic() - started

    assert (answer.status, answer.json()["code"]) == (504, "deadline_exceeded")
    assert 1.5 < seconds < 4.0
    assert taken(stubs) == 1


@pytest.mark.parametrize("milliseconds", ["3000", "30000", "soon", ""])
def test_a_longer_deadline(gateway: Gateway, stubs: list[Stub], milliseconds: str) -> None:
    """Who has more time, or says nothing that is a time, waits for longer."""
    for stub in stubs:
        stub.seconds = 3.5
    headers = {"X-Request-Timeout-Ms": milliseconds} if milliseconds else {}

    assert ask(gateway, PREDICT, "POST", **headers).status == 200


def mark(gateway: Gateway, *stubs: Stub) -> None:
    """Say that these were ended because they hung, as `ops/native/watch.py` does."""
    gateway.folder.hung.mkdir()
    for stub in stubs:
        (gateway.folder.hung / f"127.0.0.1:{stub.port}").touch()


def test_who_waited_for_one_that_hung(tmp_path: Path) -> None:
    """Its prediction is given to another one, once the one that hung has been ended."""
    with (
        Stub() as other,
        Stub() as hung,
        Gateway(tmp_path, hung.port, other.port, settings=OPEN) as gateway,
        ThreadPoolExecutor(2) as threads,
    ):
        hung.seconds = 60.0
        asking = [threads.submit(ask, gateway, PREDICT, "POST") for _ in range(2)]
        wait_until(lambda: bool(hung.asked))
        mark(gateway, hung)
        hung.__exit__()
        answers = [each.result() for each in asking]

    assert [answer.status for answer in answers] == [200, 200]
    assert (len(hung.asked), len(other.asked)) == (1, 2)


def test_a_request_that_makes_replicas_hang(gateway: Gateway, stubs: list[Stub]) -> None:
    """It is given to two at most."""
    for stub in stubs:
        stub.status = 0
    mark(gateway, *stubs)
    answer = ask(gateway, PREDICT, "POST")

    assert (answer.status, answer.all("retry-after")) == (503, ["1"])
    assert taken(stubs) == 2
