"""The ordinary implementation answers as the server does, so that comparing them is fair."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.contestants import PEERS
from tests.redis_server import RedisServer
from tests.server import Server, settled

REFERENCE = ("-m", "bench.reference.main")
ROW = [13.32, 3.24, 21.5, 1.93, 0.76, 0.45, 8.42, 0.55, 1.62, 650.0]
OTHER_ROW = [13.5, 1.81, 20.0, 2.53, 2.61, 0.28, 3.52, 1.12, 3.82, 845.0]
NOT_PREDICTABLE = {
    "no data": {},
    "no rows": {"data": []},
    "a row too short": {"data": [ROW[:-1]]},
    "a word": {"data": [["x", *ROW[1:]]]},
    "no list of rows": {"data": ROW},
    "a lifetime of nothing": {"data": [ROW], "cache_ttl": 0},
}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_cached(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()


@pytest.fixture(scope="module")
def reference(redis_server: RedisServer) -> Iterator[Server]:
    with Server(
        command=REFERENCE, settings=PEERS, REDIS_URL=redis_server.url, ACCESS_LOG="all"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with Server() as server:
        yield server


def predict(server: Server, *rows: list[float], **options: Any) -> dict[str, Any]:
    """Ask for a prediction, and give the answer without the time it took."""
    answer = server.client.post("/predict", json={"data": rows, **options})
    assert answer.status_code == 200, answer.text
    return timeless(answer.json())


def timeless(body: dict[str, Any]) -> dict[str, Any]:
    body["model_info"].pop("prediction_time")
    return body


def value(server: Server, sample: str) -> float:
    """Read one sample of `/metrics`; 0 for one that is not there yet."""
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith(sample + " "):
            return float(line.split()[-1])
    return 0.0


def test_answers_are_those_of_the_server(reference: Server, ours: Server) -> None:
    """The same rows have the same answer, field by field."""
    theirs = predict(reference, ROW, OTHER_ROW, use_cache=False)
    expected = predict(ours, ROW, OTHER_ROW, use_cache=False)

    probabilities = theirs.pop("probabilities"), expected.pop("probabilities")
    assert theirs == expected
    for mine, its in zip(*probabilities, strict=True):
        assert mine == pytest.approx(its, abs=1e-6)


def test_a_batch_answers_its_members_in_order(reference: Server) -> None:
    """Each member gets what it would have got alone, whether it was cached or not."""
    predict(reference, ROW)
    members = [{"data": [OTHER_ROW]}, {"data": [ROW]}, {"data": [OTHER_ROW], "use_cache": False}]

    answer = reference.client.post("/predict/batch", json={"requests": members})

    results = [timeless(result) for result in answer.json()["results"]]
    assert [result["predictions"] for result in results] == [[0], [2], [0]]
    assert [result["model_info"]["cached"] for result in results] == [False, True, False]


def test_a_batch_is_cached(reference: Server) -> None:
    """What a batch has computed answers a later request."""
    reference.client.post("/predict/batch", json={"requests": [{"data": [ROW]}]})

    assert predict(reference, ROW)["model_info"]["cached"] is True


@pytest.mark.parametrize("body", NOT_PREDICTABLE.values(), ids=NOT_PREDICTABLE)
def test_bad_input_is_a_422(reference: Server, ours: Server, body: dict[str, Any]) -> None:
    """Both refuse what they cannot predict."""
    statuses = [
        server.client.post("/predict", json=body).status_code for server in (reference, ours)
    ]

    assert statuses == [422, 422]


def test_a_number_that_is_none_is_a_422(reference: Server) -> None:
    """NaN, which Python's JSON lets pass, is refused."""
    body = b'{"data": [[NaN, 1, 1, 1, 1, 1, 1, 1, 1, 1]]}'

    answer = reference.client.post(
        "/predict", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422


def test_an_equal_request_is_answered_from_redis(
    reference: Server, redis_server: RedisServer
) -> None:
    """The second answer is the first, said to be cached, and Redis holds it as long as asked."""
    first = predict(reference, ROW, cache_ttl=77)
    second = predict(reference, ROW)

    assert first["model_info"].pop("cached") is False
    assert second["model_info"].pop("cached") is True
    assert first == second
    with redis_server.client() as client:
        (key,) = client.keys()
        assert 70 < client.ttl(key) <= 77


def test_a_bypass_leaves_the_cache_alone(reference: Server, redis_server: RedisServer) -> None:
    """Without the cache nothing is read and nothing is stored."""
    predict(reference, ROW, use_cache=False)

    with redis_server.client() as client:
        assert client.keys() == []


def test_requests_are_counted(reference: Server) -> None:
    """A prediction counts as a request, in the histogram, as a bypass and as a run."""
    samples = (
        'http_requests_total{endpoint="/predict",method="POST",status="200"}',
        'http_request_duration_seconds_count{endpoint="/predict",status="200"}',
        'cache_requests_total{result="bypass"}',
        "model_run_seconds_count",
    )
    before = [value(reference, sample) for sample in samples]

    predict(reference, ROW, use_cache=False)

    after = settled(
        lambda: [value(reference, sample) for sample in samples],
        expected := [count + 1 for count in before],
    )
    assert after == expected


def test_a_request_id_is_echoed_or_made(reference: Server) -> None:
    """The answer carries the client's id, and one of its own where there was none."""
    url = "/health/ready"

    echoed = reference.client.get(url, headers={"X-Request-ID": "mine"})
    made = [reference.client.get(url).headers["X-Request-ID"] for _ in range(2)]

    assert echoed.headers["X-Request-ID"] == "mine"
    assert len(set(made)) == 2


def test_each_request_leaves_a_line_of_json(reference: Server) -> None:
    """The line has the event, the id, the path and the status."""
    reference.client.get("/health/ready", headers={"X-Request-ID": "logged"})

    assert settled(lambda: reference.events_of("logged"), ["request"]) == ["request"]
    (line,) = [x for x in reference.log_lines() if x.get("request_id") == "logged"]
    assert (line["path"], line["status"]) == ("/health/ready", 200)


def test_errors_only_are_logged_if_so_told(redis_server: RedisServer) -> None:
    """With ACCESS_LOG=errors a refusal is logged and an answer is not."""
    with Server(
        command=REFERENCE, settings=PEERS, REDIS_URL=redis_server.url, ACCESS_LOG="errors"
    ) as server:
        for request_id, body in (("fine", {"data": [ROW]}), ("bad", {})):
            headers = {"X-Request-ID": request_id}
            server.client.post("/predict", json=body, headers=headers)

        assert settled(lambda: server.events_of("bad"), ["request"]) == ["request"]
        assert server.events_of("fine") == []


def test_it_runs_on_uvicorn(reference: Server) -> None:
    """What is compared is the usual server."""
    answer = reference.client.get("/health/ready")

    assert answer.status_code == 200
    assert answer.headers["server"] == "uvicorn"
