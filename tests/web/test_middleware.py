"""What every answer has: request id, timing, a line in the log. What is not allowed or found."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from ml_pipeline.build import create_app
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.settings import Settings
from tests.server import Server, exchange, read_answer, settled
from tests.web.problem import assert_problem
from tests.web.samples import ROW, fresh_row

PATHS = (
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/models",
    "/models/info",
    "/sample",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/docs/assets/swagger.js",
    "/predict",
    "/predict/batch",
    "/nothing/here",
)

# Request ids.


@pytest.mark.parametrize("sent", ["a", "7f3c-0001", "~!{}%22;,=", "x" * 128])
@pytest.mark.parametrize("path", ["/predict", "/models"])
def test_a_well_formed_id_is_taken(client: httpx.Client, path: str, sent: str) -> None:
    """1 to 128 visible ASCII characters come back as the id of the answer."""
    answer = client.get(path, headers={"X-Request-ID": sent})

    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 129, b"two words", b"a\tb", b"\xc3\xa4", b"\x7f"])
@pytest.mark.parametrize("path", ["/predict", "/models"])
def test_any_other_id_is_replaced(server: Server, path: str, sent: bytes) -> None:
    """An id that is empty, long, or holds anything else is replaced by one that is made."""
    answer = exchange(
        server,
        b"GET %b HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: %b\r\n\r\n" % (path.encode(), sent),
    )

    assert 1 <= len(answer.headers["x-request-id"]) < 40
    assert answer.headers["x-request-id"].encode() != sent


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_an_id(client: httpx.Client, path: str) -> None:
    """The id is on the answers of all routes, and of none."""
    assert client.get(path).headers["x-request-id"]


def test_made_ids_are_unique(server: Server) -> None:
    """No two answers share an id that was made, not even of requests that run together."""
    with ThreadPoolExecutor(8) as threads:
        paths = ["/predict", "/health/live"] * 100
        ids = list(threads.map(lambda path: server.client.get(path).headers["x-request-id"], paths))

    assert len(set(ids)) == 200


def test_ids_of_two_servers_differ(server: Server, strict_server: Server) -> None:
    """Ids that two replicas make have nothing in common."""
    made = [s.client.get("/").headers["x-request-id"] for s in (server, strict_server)]

    assert made[0].split("-")[0] != made[1].split("-")[0]


@pytest.mark.parametrize("path", ["/predict", "/models/info?model=vine", "/nothing/here"])
def test_the_id_is_in_the_problem(client: httpx.Client, path: str) -> None:
    """A problem's body carries the id of its answer."""
    answer = client.get(path, headers={"X-Request-ID": "problem-1"})

    assert answer.json()["request_id"] == "problem-1"
    assert answer.headers["x-request-id"] == "problem-1"


@pytest.mark.parametrize(
    ("request_id", "send", "status"),
    [
        ("log-405", lambda client, headers: client.get("/predict", headers=headers), 405),
        ("log-422", lambda client, headers: client.post("/predict", headers=headers, json={}), 422),
        ("log-404", lambda client, headers: client.get("/nothing", headers=headers), 404),
    ],
)
def test_the_id_is_in_the_log(
    server: Server,
    request_id: str,
    send: Callable[[httpx.Client, dict[str, str]], httpx.Response],
    status: int,
) -> None:
    """A refused request has one line in the log, with its id, path and status."""
    answer = send(server.client, {"X-Request-ID": request_id})

    assert settled(lambda: server.events_of(request_id), ["request"]) == ["request"]
    (line,) = [line for line in server.log_lines() if line.get("request_id") == request_id]
    assert line["status"] == answer.status_code == status
    assert line["path"] == answer.request.url.path
    assert line["method"] == answer.request.method
    assert 0 < line["seconds"] < 10


def test_a_failure_is_logged_with_its_id(zoo: Server) -> None:
    """A 5xx has a line that says why, under the id that the client was given."""
    answer = zoo.client.post("/predict?model=brittle", json={"data": [[9]]})

    request_id = assert_problem(answer, 500, "run_refused")["request_id"]
    events = ["request_refused", "request"]
    assert settled(lambda: zoo.events_of(request_id), events) == events
    reason = next(line for line in zoo.log_lines() if line.get("request_id") == request_id)
    assert reason["code"] == "run_refused"


# Timing.


def timings(answer: httpx.Response) -> dict[str, float]:
    """Read Server-Timing: milliseconds by name."""
    parts = [part.split(";dur=") for part in answer.headers["server-timing"].split(", ")]
    return {name: float(milliseconds) for name, milliseconds in parts}


@pytest.mark.parametrize("use_cache", [True, False])
def test_timings_add_up(client: httpx.Client, use_cache: bool) -> None:
    """Server-Timing has five numbers, of which the first four fit into the last."""
    body = {"data": [fresh_row()], "use_cache": use_cache}

    found = timings(client.post("/predict", json=body))

    assert list(found) == ["decode", "cache", "queue", "run", "total"]
    assert all(milliseconds >= 0 for milliseconds in found.values())
    assert found["decode"] > 0
    assert found["run"] > 0
    assert sum(found.values()) - found["total"] <= found["total"] + 0.005


def test_a_hit_has_no_run(client: httpx.Client) -> None:
    """An answer from the cache neither waited nor ran."""
    body = {"data": [fresh_row()]}
    client.post("/predict", json=body)

    found = timings(client.post("/predict", json=body))

    assert (found["queue"], found["run"]) == (0.0, 0.0)
    assert found["total"] > 0


def test_timings_of_a_batch(client: httpx.Client) -> None:
    """A batch tells the same five."""
    members = [{"data": [fresh_row()]} for _ in range(3)]

    found = timings(client.post("/predict/batch", json={"requests": members}))

    assert list(found) == ["decode", "cache", "queue", "run", "total"]
    assert 0 < found["run"] <= found["total"]


def test_prediction_time_is_the_run(client: httpx.Client) -> None:
    """`prediction_time` in the body is the run of Server-Timing, in seconds."""
    answer = client.post("/predict", json={"data": [fresh_row()]})

    seconds = answer.json()["model_info"]["prediction_time"]
    assert seconds * 1000 == pytest.approx(timings(answer)["run"], abs=0.002)


# Methods and paths.


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", {"POST"}),
        ("PUT", "/predict", {"POST"}),
        ("DELETE", "/predict/batch", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("POST", "/models", {"GET"}),
        ("GET", "/models/reload", {"POST"}),
        ("PATCH", "/", {"GET"}),
        ("POST", "/docs/assets/swagger.js", {"GET"}),
        ("PURGE", "/predict", {"POST"}),
        ("PROPFIND", "/metrics", {"GET"}),
    ],
)
def test_other_methods_are_told_which_are_allowed(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    """A method that a route does not take is a 405 whose Allow names those it takes."""
    answer = client.request(method, path)

    problem = assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) - {"OPTIONS", "HEAD"} == allowed
    assert method in problem["detail"]


@pytest.mark.parametrize("path", ["/predict", "/metrics", "/nothing"])
def test_a_method_that_http_does_not_have_is_malformed(client: httpx.Client, path: str) -> None:
    """What is no method of any HTTP standard is refused before the path is looked at."""
    answer = client.request("BREW", path)

    assert assert_problem(answer, 400, "malformed_request")["detail"].startswith("method: ")


@pytest.mark.parametrize(
    "path", ["/nothing", "/predict//x", "/predict/nothing", "/models/x/y", "/%ff"]
)
def test_other_paths_are_not_found(client: httpx.Client, path: str) -> None:
    """A path that no route has is a 404 in the shape of all errors."""
    for method in ("GET", "POST"):
        assert_problem(client.request(method, path), 404, "not_found")


@pytest.mark.parametrize("path", ["/predict/", "/predict//", "/predict/batch/"])
def test_slashes_at_the_end_change_nothing(client: httpx.Client, path: str) -> None:
    """`POST /predict/` is `/predict`, and is counted as that; so is each other route."""
    body = {"data": [ROW]} if "batch" not in path else {"requests": [{"data": [ROW]}]}
    answer = client.post(path, json=body)

    assert answer.status_code == 200
    assert client.get(path).status_code == 405
    assert f'endpoint="{path}"' not in client.get("/metrics").text


@pytest.mark.parametrize("path", ["/v2/models/wine/infer/", "/v2/models/wine/versions/1/infer/"])
def test_slashes_at_the_end_of_an_inference(client: httpx.Client, path: str) -> None:
    """The same under `/v2`, whose hot route has many paths."""
    tensor = {"name": "float_input", "shape": [1, 10], "datatype": "FP32", "data": ROW}

    assert client.post(path, json={"inputs": [tensor]}).status_code == 200


def test_paths_are_cut_in_messages(client: httpx.Client) -> None:
    """A long path does not come back whole."""
    answer = client.get("/" + "a" * 5000)

    assert answer.status_code == 404
    assert len(answer.content) < 1000


def test_answers_to_head_have_no_body(client: httpx.Client) -> None:
    """HEAD gets a status and headers, and the connection goes on."""
    answer = client.head("/predict")

    assert answer.status_code == 405
    assert answer.content == b""
    assert client.get("/health/live").status_code == 200


def test_connections_are_kept(server: Server) -> None:
    """Answers of a server that does not drain leave the connection open, errors included."""
    with server.connect() as connection:
        for content in (json.dumps({"data": [ROW]}), "{}", ""):
            body = content.encode()
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            connection.sendall(head % len(body) + body)
            received = connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 ")
            assert b"connection: close" not in received


def test_idle_connections_leave_room_for_others(server: Server) -> None:
    """However many connections are open and idle, the next one is answered."""
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as opened:
        for number in range(300):
            connection = opened.enter_context(server.connect(timeout_seconds=3.0))
            connection.sendall(request)
            assert read_answer(connection, "GET").status == 200, f"connection {number}"


class NoThreads(ThreadPoolExecutor):
    """Does nothing for anybody."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a thread was asked for")


@pytest.mark.parametrize("path", ["/", "/health", "/health/ready", "/metrics", "/models", "/v2"])
async def test_no_thread_is_asked_for(path: str) -> None:
    """A route that needs none is answered on the loop: beside a busy one a thread has to wait."""
    app = create_app(Settings(admin_token="token"))
    fields = {b"host": b"localhost"}
    request = Request("GET", path, path.encode(), b"", [*fields.items()], fields, b"", 1.0,
                      ("127.0.0.1", 1), True)  # fmt: skip
    with NoThreads() as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        reply = await app.respond(request)

    assert reply.status in (200, 503)
    assert b"internal_error" not in reply.body
