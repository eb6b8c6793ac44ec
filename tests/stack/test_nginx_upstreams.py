"""Between Nginx and the replicas: which of them is asked, how often, and what if none answers."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.replica import metric
from tests.server import Server, free_port, quickest, wait_until
from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Gateway, Stub, quiet_port

OPEN = {"RATE_LIMIT_EXEMPT": "127.0.0.0/8"}
CACHED = ["/models/info", "/sample"]


@pytest.fixture
def stubs() -> Iterator[list[Stub]]:
    """Two replicas."""
    with Stub() as one, Stub() as other:
        yield [one, other]


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """No replica and no Prometheus."""
    ports = [free_port(), free_port()]
    with Gateway(tmp_path_factory.mktemp("gone"), *ports, settings=OPEN) as gateway:
        yield gateway


def asked(server: Server, path: str) -> float:
    """How often a route was asked and answered with 200."""
    labels = f'endpoint="{path}",method="GET",status="200"'
    return metric(server, f"ml_api_requests_total{{{labels}}}")


@pytest.mark.parametrize("path", CACHED)
def test_cached_routes_are_asked_once_a_second(replica: Server, tmp_path: Path, path: str) -> None:
    """However many ask at the same time, and for however long."""
    with Gateway(tmp_path, replica.port, settings=OPEN) as gateway, ThreadPoolExecutor(8) as pool:
        statuses: list[int] = []
        before, started = asked(replica, path), time.monotonic()
        while time.monotonic() < started + 1.5 or len(statuses) <= 16:
            statuses += pool.map(lambda _: gateway.ask(f"/api{path}").status, range(16))
        seconds = time.monotonic() - started

        assert set(statuses) == {200}
        assert 1 <= asked(replica, path) - before <= seconds + 1


@pytest.mark.parametrize("path", CACHED)
def test_cached_routes_by_their_query(replica: Server, tmp_path: Path, path: str) -> None:
    """What is kept for one query string is not the answer to another, nor GET's that to HEAD."""
    with Gateway(tmp_path, replica.port, settings=OPEN) as gateway:
        assert gateway.ask(f"/api{path}").status == 200
        assert gateway.ask(f"/api{path}?model=nope").status == 404
        assert gateway.ask(f"/api{path}?model=wine").status == 200
        head = gateway.ask(f"/api{path}", "HEAD")

    assert (head.status, head.body) == (200, b"")


def test_cached_answers_keep_their_clients_apart(replica: Server, tmp_path: Path) -> None:
    """Who finds an answer that another has caused gets the id of the own request."""
    with Gateway(tmp_path, replica.port, settings=OPEN) as gateway:
        ids = [{"X-Request-ID": name} for name in ("one", "other")]
        answers = [gateway.ask("/api/models/info", headers=headers) for headers in ids]

    assert [answer.all("x-request-id") for answer in answers] == [["one"], ["other"]]
    assert answers[0].body == answers[1].body


def test_cached_answers_for_other_origins(tmp_path: Path) -> None:
    """What was kept for who named no origin does not shut out a browser of an allowed one."""
    origin = "https://example.org"
    with (
        Server(CORS_ORIGINS=origin) as replica,
        Gateway(tmp_path, replica.port, settings=OPEN) as gateway,
    ):
        assert gateway.ask("/api/models/info").all("access-control-allow-origin") == []
        answer = gateway.ask("/api/models/info", headers={"Origin": origin})

    assert answer.all("access-control-allow-origin") == [origin]


def test_a_replica_that_is_back_is_asked_at_once(tmp_path: Path) -> None:
    """Also while every replica is left out for having failed."""
    ports = [quiet_port(), quiet_port()]
    with Gateway(tmp_path, *ports, settings=OPEN) as gateway:
        while_gone = gateway.statuses(20, "/api/models")
        with Stub(port=ports[0]):
            back = gateway.statuses(5, "/api/models")

    assert while_gone == [503] * 20
    assert back == [200] * 5


def test_stale_answers_when_all_replicas_are_gone(tmp_path: Path) -> None:
    """The last answer of a cached route is given again at once; of others nothing is kept."""
    with ExitStack() as opened:
        stub = opened.enter_context(Stub(body=b'"first"'))
        gateway = opened.enter_context(Gateway(tmp_path, stub.port, settings=OPEN))
        paths = [*(f"/api{path}" for path in CACHED), "/api/models", "/api/health"]
        assert [gateway.ask(path).json() for path in paths] == ["first"] * 4
        stub.status, stub.body = 503, b'"refused"'
        time.sleep(2.1)
        while_full = [gateway.ask(path) for path in paths]

        stub.__exit__()
        answers = [gateway.ask(path) for path in paths]
        lines = [gateway.logged(answer.all("x-request-id")[0])[0] for answer in answers]

        assert sum(line["seconds"] for line in lines) < 1.0  # by Nginx' own clock
        assert [answer.status for answer in while_full] == [200, 200, 503, 503]
        assert [answer.status for answer in answers] == [200, 200, 503, 503]
        assert [answer.json() for answer in answers[:2]] == ["first"] * 2


def test_predictions_are_never_cached(stubs: list[Stub], tmp_path: Path) -> None:
    """Each reaches a replica, whatever that says of caching."""
    for stub in stubs:
        stub.headers["Cache-Control"] = "public, max-age=3600"
    with Gateway(tmp_path, *(stub.port for stub in stubs), settings=OPEN) as gateway:
        assert gateway.statuses(20, "/api/predict", "POST") == [200] * 20
        assert gateway.statuses(20, "/api/predict", "GET") == [200] * 20

    assert sum(len(stub.asked) for stub in stubs) == 40


@pytest.mark.parametrize("path", ["/api/predict", "/api/models", "/api/sample", "/api/health"])
def test_all_replicas_gone(gone: Gateway, path: str) -> None:
    """A problem document tells so within a second, and when to come again."""
    method = "POST" if path.endswith("predict") else "GET"
    answer, seconds = quickest(lambda: gone.ask(path, method), 1.0)

    assert seconds < 1.0
    assert (answer.status, answer.all("retry-after")) == (503, ["1"])
    assert answer.all("content-type") == [PROBLEM_TYPE]
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (503, "not_ready")
    assert problem["detail"].startswith("replicas:")


@pytest.mark.parametrize("path", ["query?query=up", "query_range?query=up&start=0&end=1&step=1"])
def test_prometheus_gone(gone: Gateway, path: str) -> None:
    """It is named, and is not taken for the replicas."""
    answer = gone.ask(f"/prometheus/api/v1/{path}")

    assert (answer.status, answer.all("retry-after")) == (503, ["1"])
    assert answer.json()["detail"].startswith("Prometheus:")


def test_a_replica_that_takes_no_connections(tmp_path: Path) -> None:
    """One that does not even refuse, as a container that is gone, is told soon too."""
    with socket.socket() as listener, ExitStack() as opened:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # the queue of the listener is full: SYNs are dropped
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with Gateway(tmp_path, listener.getsockname()[1], settings=OPEN) as gateway:
            answer, seconds = quickest(gateway.predict, 2.0)

    assert seconds < 2.0
    assert (answer.status, answer.all("retry-after")) == (503, ["1"])
    assert "40 s" not in answer.json()["detail"]


def test_a_dead_replica_costs_nobody_an_answer(replica: Server, tmp_path: Path) -> None:
    """With one of two replicas dead each of many predictions is answered by the other."""
    with Gateway(tmp_path, free_port(), replica.port, settings=OPEN) as gateway:
        assert gateway.statuses(100, "/api/predict", "POST") == [200] * 100


@pytest.mark.parametrize("status", [400, 413, 422, 429, 500, 503, 504])
def test_a_replicas_own_error(stubs: list[Stub], tmp_path: Path, status: int) -> None:
    """It is an answer: passed on as it is, and no other replica is asked."""
    for stub in stubs:
        stub.status, stub.body = status, b'{"detail":"mine"}'
        stub.headers |= {"Content-Type": PROBLEM_TYPE, "Retry-After": "17"}
    with Gateway(tmp_path, *(stub.port for stub in stubs), settings=OPEN) as gateway:
        answers = [gateway.predict() for _ in range(10)]

    assert {answer.status for answer in answers} == {status}
    assert {answer.body for answer in answers} == {b'{"detail":"mine"}'}
    assert answers[0].all("retry-after") == ["17"]
    assert answers[0].all("content-type") == [PROBLEM_TYPE]
    assert sum(len(stub.asked) for stub in stubs) == 10


def test_the_least_busy_replica_is_asked(stubs: list[Stub], tmp_path: Path) -> None:
    """While one replica has a long run, the other gets the requests."""
    with Gateway(tmp_path, *(stub.port for stub in stubs), settings=OPEN) as gateway:
        for stub in stubs:
            stub.seconds = 1.0
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(gateway.predict)
            wait_until(lambda: any(stub.asked for stub in stubs))
            (busy,) = [stub for stub in stubs if stub.asked]
            (idle,) = [stub for stub in stubs if not stub.asked]
            idle.seconds = 0.0
            gateway.statuses(20, "/api/predict", "POST")
            assert not slow.done()

    assert (len(busy.asked), len(idle.asked)) == (1, 20)


def test_connections_to_replicas_are_kept(stubs: list[Stub], tmp_path: Path) -> None:
    """Many requests of many clients need few connections."""
    with Gateway(tmp_path, stubs[0].port, WORKER_PROCESSES="1", settings=OPEN) as gateway:
        for _ in range(30):
            assert gateway.ask("/api/predict", "POST", json=PREDICTION).status == 200

    assert len(stubs[0].connections) <= 2


class AdminApart(Gateway):
    """One that finds the replicas to load models on at another address."""

    admin_port = 0

    def render(self) -> None:
        """Write that port into the group of these."""
        super().render()
        path = self.folder.nginx / "upstreams.conf"
        begin, group, rest = re.split(r"(upstream api_admin {[^}]*})", path.read_text())
        group = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.admin_port}", group)
        path.write_text(begin + group + rest)


@pytest.mark.parametrize(
    "path",
    ["/models/reload", "/v2/repository/index", "/v2/repository/models/a/load", "/models/reload/"],
)
def test_admin_routes_have_an_address_of_their_own(tmp_path: Path, path: str) -> None:
    """Of replicas that are not ready too, which no prediction is sent to."""
    with Stub() as ready, Stub() as empty:
        gateway = AdminApart(tmp_path, ready.port, settings=OPEN)
        gateway.admin_port = empty.port
        with gateway:
            found = [
                gateway.ask(f"/api{each}", "POST", json=PREDICTION).status
                for each in (path, "/predict")
            ]

    assert found == [200, 200]
    assert [path for path, _ in empty.asked] == [path]
    assert [path for path, _ in ready.asked][-1] == "/predict"
