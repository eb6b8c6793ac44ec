"""How often, and how much at once, a client may ask."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from tests.server import ROOT, Server, free_port
from tests.stack.nginx import (
    PREDICTION,
    PROBLEM_TYPE,
    Answer,
    Gateway,
    Stub,
    connect,
    new_address,
    new_client,
)

UPLOAD = b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture(scope="module")
def narrow(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A prediction a second, three at once; 127.9.1.0/24 and 127.9.2.2 are exempt."""
    variables = {
        "RATE_LIMIT_PREDICT": "60",
        "RATE_LIMIT_PREDICT_BURST": "0",
        "RATE_LIMIT_API": "6000",
        "RATE_LIMIT_EXEMPT": "127.9.1.0/24 127.9.2.2 2001:db8::/32",
        "CONNECTIONS_PER_CLIENT": "3",
    }
    with Gateway(tmp_path_factory.mktemp("narrow"), stub.port, settings=variables) as gateway:
        yield gateway


def told_rate(answer: Answer) -> tuple[int, list[str], str]:
    """Status, Retry-After and code of a refusal, which is a problem document."""
    assert answer.all("content-type") == [PROBLEM_TYPE]
    return answer.status, answer.all("retry-after"), answer.json()["code"]


def test_predictions_at_their_number(gateway: Gateway) -> None:
    """Ten a minute and a burst of five pass at once, and the next is refused."""
    client = new_address()

    assert gateway.statuses(17, "/api/predict", "POST", client) == [200] * 15 + [429] * 2
    status, wait, code = told_rate(gateway.predict(client))
    assert (status, code) == (429, "rate_limited")
    assert 6 <= int(wait[0]) <= 7


@pytest.mark.parametrize("path", ["/api/models", "/api/models/info", "/api/nope", "/api/"])
def test_the_rest_at_its_number(gateway: Gateway, path: str) -> None:
    """Thirty a minute and a burst of twenty pass at once, then there is one in two seconds."""
    client = new_address()

    statuses = gateway.statuses(52, path, client=client)
    assert [status == 429 for status in statuses] == [False] * 50 + [True] * 2
    assert told_rate(gateway.ask(path, client=client)) == (429, ["2"], "rate_limited")


def test_predictions_of_all_kinds_count_together(gateway: Gateway) -> None:
    """Batches spend the same as single predictions, and so does another spelling of the path."""
    client = new_address()
    spellings = (
        *("%70redict", "/predict", "./predict", "x/../predict", "predict%0A", "predict?a"),
        *("predict/", "predict//", "predict%2F", "predict/?a", "v2/models/wine/infer/"),
    )
    assert 429 not in gateway.statuses(15, "/api/predict/batch", "POST", client)

    requests = [f"POST /api/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in spellings]
    found = [gateway.send(request, client).status for request in requests]
    assert found == [429] * len(spellings)


def test_a_slash_at_the_end_is_a_prediction(gateway: Gateway) -> None:
    """What the replica takes for a prediction Nginx counts as one."""
    assert gateway.ask("/api/predict/", "POST", json=PREDICTION).status == 200


@pytest.mark.parametrize("rate", [1, 7, 10, 20, 30, 60, 90, 6000])
def test_retry_after_is_long_enough(rate: int) -> None:
    """In the seconds of Retry-After there is a place again, and a second earlier there is none.

    Nginx reckons in thousandths of a request a second, and leaves out the rest.
    """
    script = f'. "{ROOT}/nginx/variables.envsh"; echo $PREDICT_SECONDS $API_SECONDS'
    environ = {"RATE_LIMIT_PREDICT": str(rate), "RATE_LIMIT_API": str(rate)}
    told = subprocess.check_output(["sh", "-c", script], env=environ, timeout=20)
    seconds, the_same = map(int, told.split())

    assert seconds * (rate * 1000 // 60) >= 1000
    assert (seconds - 1) * (rate * 1000 // 60) < 1000
    assert the_same == seconds


def test_who_waits_as_told_gets_in(stub: Stub, tmp_path: Path) -> None:
    """After the seconds of Retry-After, and no more, a request passes."""
    variables = {"RATE_LIMIT_API": "20", "RATE_LIMIT_API_BURST": "0"}
    with (
        Gateway(tmp_path, stub.port, settings=variables) as gateway,
        new_client(gateway.port, new_address()) as client,
    ):
        asked = [client.get("/api/models") for _ in range(21)]
        time.sleep(int(asked[-1].headers["Retry-After"]))
        last = client.get("/api/models")

    assert [answer.status_code for answer in asked] == [200] * 20 + [429]
    assert last.status_code == 200


def test_who_waits_a_second(narrow: Gateway) -> None:
    """At one a second, a second is enough, and brings one request and not two."""
    client = new_address()
    assert 429 in narrow.statuses(70, "/api/predict", "POST", client)

    told = told_rate(narrow.predict(client))
    time.sleep(1.0)
    found = narrow.statuses(3, "/api/predict", "POST", client)

    assert told == (429, ["1"], "rate_limited")
    assert found[0] == 200
    assert 429 in found[1:]


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/health/live", "/api/health/ready", "/api/metrics"]
)
def test_watching_costs_nothing(gateway: Gateway, path: str) -> None:
    """Health and metrics may be asked often, and spend neither of the other limits."""
    client = new_address()

    assert gateway.statuses(100, path, client=client) == [200] * 100
    assert gateway.statuses(15, "/api/predict", "POST", client) == [200] * 15
    assert 429 not in gateway.statuses(50, "/api/models", client=client)


def test_queries_of_the_dashboard_cost_nothing(stub: Stub, tmp_path: Path) -> None:
    """Nor do queries to Prometheus."""
    stub.seconds, client = 0.0, new_address()
    with Gateway(tmp_path, stub.port, prometheus_port=stub.port) as gateway:
        path = "/prometheus/api/v1/query?query=up"

        assert gateway.statuses(100, path, client=client) == [200] * 100
        assert gateway.statuses(16, "/api/predict", "POST", client) == [200] * 15 + [429]
        assert gateway.statuses(51, "/api/models", client=client) == [200] * 50 + [429]


def test_watching_has_a_limit(gateway: Gateway) -> None:
    """Even who only watches is refused beyond 1200 at once."""
    statuses = gateway.statuses(1400, "/api/health/live")

    assert 429 in statuses
    assert statuses.index(429) >= 600


def test_predictions_do_not_count_against_the_rest(gateway: Gateway) -> None:
    """Who has spent all predictions still has all other requests, and the other way round."""
    client = new_address()
    assert gateway.statuses(16, "/api/predict", "POST", client)[-1] == 429

    assert gateway.statuses(51, "/api/models", client=client) == [200] * 50 + [429]


def test_clients_have_limits_of_their_own(gateway: Gateway) -> None:
    """What one has spent, another has not."""
    one, other = new_address(), new_address()
    assert gateway.statuses(16, "/api/predict", "POST", one)[-1] == 429

    assert gateway.predict(other).status == 200
    assert gateway.predict(one).status == 429


@pytest.mark.parametrize("client", ["127.9.1.1", "127.9.1.254", "127.9.2.2"])
def test_exempt_clients(narrow: Gateway, client: str) -> None:
    """Each address and network in RATE_LIMIT_EXEMPT asks as often as it likes."""
    assert narrow.statuses(130, "/api/predict", "POST", client) == [200] * 130


@pytest.mark.parametrize("client", ["127.9.2.1", "127.9.2.3", "127.9.3.1"])
def test_neighbours_of_exempt_clients(narrow: Gateway, client: str) -> None:
    """An address beside them does not."""
    assert 429 in narrow.statuses(70, "/api/predict", "POST", client)


def test_connections_of_a_slow_model(narrow: Gateway, stub: Stub) -> None:
    """With three requests under way a client's fourth is refused, another client's is not."""
    client = new_address()
    stub.seconds = 1.0
    threads = [Thread(target=narrow.ask, args=("/api/x", "GET", client)) for _ in range(3)]
    before = len(stub.asked)
    for thread in threads:
        thread.start()
    while len(stub.asked) < before + 3:
        time.sleep(0.01)
    stub.seconds = 0.0

    refused, other = narrow.ask("/api/x", client=client), narrow.ask("/api/x")
    for thread in threads:
        thread.join()

    assert told_rate(refused) == (429, ["1"], "rate_limited")
    assert "at most 3 requests" in refused.json()["detail"]
    assert other.status == 200
    assert narrow.ask("/api/x", client=client).status == 200


def test_connections_of_slow_uploads(narrow: Gateway) -> None:
    """Uploads that stand still count too."""
    client = new_address()
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(connect(narrow.port, client)).sendall(UPLOAD)
        time.sleep(0.2)

        assert told_rate(narrow.ask("/api/x", client=client))[0] == 429
        assert narrow.ask("/api/x").status == 200
        assert narrow.ask("/api/x", client="127.9.1.1").status == 200


def test_refused_requests_reach_nobody(narrow: Gateway, stub: Stub) -> None:
    """What is refused is not passed on."""
    stub.asked.clear()
    statuses = narrow.statuses(100, "/api/predict", "POST")

    assert len(stub.asked) == statuses.count(200) < 100


def test_bench_has_no_limits(replica: Server, tmp_path: Path) -> None:
    """The profile `bench` of ops/stack lets one client ask as often as it can."""
    gateway = Gateway(tmp_path, replica.port, prometheus_port=free_port())
    gateway.state.profile = "bench"
    with gateway:
        assert gateway.statuses(500, "/api/models") == [200] * 500
