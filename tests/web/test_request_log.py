"""Lines of the log that tell one request from another, and where the time of a slow one went."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import models
from tests.server import Server, settled, wait_until
from tests.web.occupied import BUSY, Occupied

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
PARTS = ("read", "decode", "cache", "queue", "run", "encode")
START = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
LONG = 40_000
"""A row that takes longer than SLOW_REQUEST_MS below, on any machine."""


@pytest.fixture(scope="module")
def slow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows say how long they take, together; which its owner accepts."""
    path = tmp_path_factory.mktemp("log") / "slow.onnx"
    path.write_bytes(models.loop_model())
    path.with_suffix(".json").write_text('{"batching": "accept"}')
    return path


@pytest.fixture(scope="module")
def server(slow_path: Path) -> Iterator[Server]:
    """One session, every run in it, and 50 ms are slow."""
    options = {"SESSIONS": "1", "INLINE_BUDGET_US": "0", "SLOW_REQUEST_MS": "50"}
    with Server(slow_path, ADMIN_TOKEN="secret", settings=options) as running:
        yield running


def ask(server: Server, request_id: str, *steps: int, **headers: str) -> httpx.Response:
    """Send one prediction under an id."""
    headers["X-Request-ID"] = request_id
    body = {"data": [[each] for each in steps]}
    return server.client.post("/predict", json=body, headers=headers)


def lines_of(server: Server, request_id: str, *events: str) -> list[dict[str, Any]]:
    """Wait for the lines of a request, which are these, and give them."""
    assert settled(lambda: sorted(server.events_of(request_id)), sorted(events)) == sorted(events)
    return [line for line in server.log_lines() if line.get("request_id") == request_id]


# Slow requests.


def test_a_slow_prediction_is_one_line(server: Server) -> None:
    """A prediction that takes long leaves one warning: what was asked, of which model, and how."""
    ask(server, "slow", LONG, 1)

    [line] = lines_of(server, "slow", "slow_request")

    assert (line["level"], line["method"], line["path"]) == ("warning", "POST", "/predict")
    assert (line["status"], line["model"], line["version"]) == (200, "slow", "1")
    assert (line["cache"], line["rows"], line["batch_rows"]) == ("miss", 2, 2)


def test_its_seconds_add_up(server: Server) -> None:
    """The parts are no longer than the whole, and those of `Server-Timing` are the same."""
    answer = ask(server, "parts", LONG + 1)
    [line] = lines_of(server, "parts", "slow_request")

    told = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    for name in ("decode", "cache", "queue", "run"):
        assert line[f"{name}_seconds"] * 1000 == pytest.approx(float(told[name]), abs=0.002)
    assert 0.05 < line["run_seconds"] < line["seconds"]
    assert sum(line[f"{part}_seconds"] for part in PARTS) <= line["seconds"] + 0.0001
    assert line["seconds"] * 1000 >= float(told["total"]) - 0.002


def test_rows_of_others_are_told(server: Server) -> None:
    """`batch_rows` counts the rows that shared the run, `rows` the request's own."""
    with ThreadPoolExecutor(3) as threads:
        occupied = Occupied(server, threads)
        waiting = occupied.fill(1)
        waiting.append(threads.submit(ask, server, "shared", 2, 3))
        assert [each.result().status_code for each in waiting] == [200] * 2

    [line] = lines_of(server, "shared", "slow_request")
    assert (line["rows"], line["batch_rows"]) == (2, 3)
    assert line["queue_seconds"] > line["run_seconds"]


def test_a_slow_batch_tells_of_all_members(server: Server) -> None:
    """Of `/predict/batch` the rows are summed, the cache states counted."""
    members = [{"data": [[LONG + 2]]}, {"data": [[1], [2]]}, {"data": [["no number"]]}]
    ask(server, "seen", 1, 2)  # so that the second is cached
    headers = {"X-Request-ID": "batch"}
    server.client.post("/predict/batch", json={"requests": members}, headers=headers)

    [line] = lines_of(server, "batch", "slow_request")

    assert (line["model"], line["version"], line["rows"]) == ("slow", "1", 3)
    assert line["cache"] == "bypass;n=1, l1;n=1, miss;n=1"
    assert line["run_seconds"] > 0.05


def test_a_slow_inference_is_logged(server: Server) -> None:
    """`/v2` tells the same."""
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [LONG + 3]}
    path, headers = "/v2/models/slow/infer", {"X-Request-ID": "infer"}
    answer = server.client.post(path, json={"inputs": [tensor]}, headers=headers)

    [line] = lines_of(server, "infer", "slow_request")

    assert answer.status_code == line["status"] == 200
    assert (line["path"], line["model"], line["rows"]) == (path, "slow", 1)
    assert line["run_seconds"] > 0.05


def test_a_request_that_waited_in_vain_is_slow(server: Server) -> None:
    """A 504 is slow too, and tells that it was in the queue for all the time it had."""
    with ThreadPoolExecutor(1) as threads:
        occupied = Occupied(server, threads, 4 * BUSY)
        late = {"X-Request-Timeout-Ms": "150", "X-Request-ID": "late"}
        assert occupied.ask(1, **late).status_code == 504

    events = ("request_refused", "request", "slow_request")
    line = next(x for x in lines_of(server, "late", *events) if x["event"] == "slow_request")
    assert line["status"] == 504
    assert 0.1 < line["queue_seconds"] <= line["seconds"]
    assert (line["run_seconds"], line["batch_rows"]) == (0, 0)


def test_a_batch_that_waited_in_vain_is_slow(server: Server) -> None:
    """A batch whose members came too late is answered 200, and tells how long they waited."""
    with ThreadPoolExecutor(1) as threads:
        Occupied(server, threads, 4 * BUSY)
        headers = {"X-Request-Timeout-Ms": "150", "X-Request-ID": "late-batch"}
        members = {"requests": [{"data": [[7]], "use_cache": False}]}
        server.client.post("/predict/batch", json=members, headers=headers)

    [line] = lines_of(server, "late-batch", "slow_request")
    assert line["status"] == 200
    assert 0.1 < line["queue_seconds"] <= line["seconds"]


def test_a_client_that_left_is_told_of(server: Server) -> None:
    """Who hangs up after a long wait is logged with 499, and the time in the queue."""
    body = json.dumps({"data": [[7]], "use_cache": False}).encode()
    head = START + b"X-Request-ID: gone\r\nContent-Length: %d\r\n\r\n"
    with ThreadPoolExecutor(1) as threads:
        Occupied(server, threads, 4 * BUSY)
        with server.connect() as connection:
            connection.sendall(head % len(body) + body)
            time.sleep(0.15)  # what it waits for has begun to be long
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    lines = lines_of(server, "gone", "request", "slow_request")
    line = next(x for x in lines if x["event"] == "slow_request")
    assert line["status"] == 499
    assert 0.05 < line["queue_seconds"] <= line["seconds"]


def test_a_body_that_came_slowly_is_told_apart(server: Server) -> None:
    """The time that a client takes to send its request is told as such."""
    body = json.dumps({"data": [[7]]}).encode()
    head = START + b"X-Request-ID: dear\r\nContent-Length: %d\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head % len(body))
        time.sleep(0.2)
        connection.sendall(body)
        [line] = lines_of(server, "dear", "slow_request")

    assert line["read_seconds"] > 0.15
    assert line["read_seconds"] > 0.5 * line["seconds"]


def test_what_is_no_prediction_may_be_slow(slow_path: Path) -> None:
    """A reload that takes long has its line, without what only predictions have."""
    with Server(slow_path, SLOW_REQUEST_MS="1") as server:
        headers = {"X-Request-ID": "reload"}
        assert server.client.post("/models/reload", headers=headers).status_code == 200
        wait_until(lambda: "slow_request" in server.events_of("reload"))
        lines = [line for line in server.log_lines() if line.get("request_id") == "reload"]

    line = next(x for x in lines if x["event"] == "slow_request")
    assert line["path"] == "/models/reload"
    assert "model" not in line


def test_what_is_quick_leaves_no_line(server: Server) -> None:
    """A request that takes less time leaves no line."""
    for number in range(20):
        ask(server, f"quick-{number}", 1)
    ask(server, "end", LONG + 4)
    lines_of(server, "end", "slow_request")

    found = {f"quick-{number}": server.events_of(f"quick-{number}") for number in range(20)}
    assert sum(events == [] for events in found.values()) > 10  # the machine may be slow, not all


def test_zero_turns_it_off(slow_path: Path) -> None:
    """With SLOW_REQUEST_MS=0 nothing is slow."""
    with Server(slow_path, SLOW_REQUEST_MS="0", ACCESS_LOG="all") as server:
        ask(server, "off", BUSY)
        lines_of(server, "off", "request")

        assert "slow_request" not in server.events_of("off")


# Which request a line is about.


def trace_of(line: dict[str, Any]) -> tuple[Any, Any]:
    """Trace and parent of a line."""
    return line.get("trace_id"), line.get("parent_span_id")


def test_every_line_carries_the_trace(server: Server) -> None:
    """With a `traceparent` all lines of a request name its trace, and the caller's span."""
    with ThreadPoolExecutor(1) as threads:
        occupied = Occupied(server, threads, 4 * BUSY)
        headers = {"X-Request-Timeout-Ms": "100", "X-Request-ID": "traced"}
        occupied.ask(1, **headers, traceparent=TRACEPARENT)

    lines = lines_of(server, "traced", "request_refused", "request", "slow_request")

    assert [trace_of(line) for line in lines] == [(TRACE, CALLER)] * 3


def test_a_malformed_trace_is_ignored(server: Server) -> None:
    """A `traceparent` that is none is answered, and leaves nothing in the log."""
    answer = ask(server, "untraced", LONG + 5, traceparent=TRACEPARENT.upper())

    [line] = lines_of(server, "untraced", "slow_request")
    assert answer.status_code == 200
    assert trace_of(line) == (None, None)


def test_lines_of_a_reload_are_its_requests(server: Server) -> None:
    """What is logged in the course of an admin request carries that request's id and trace."""
    headers = {"Authorization": "Bearer secret", "X-Request-ID": "reloading"}
    headers["traceparent"] = TRACEPARENT
    assert server.client.post("/models/reload", headers=headers).status_code == 200

    wait_until(lambda: "model_loaded" in server.events_of("reloading"))
    lines = [line for line in server.log_lines() if line["event"] == "model_loaded"]
    assert "request_id" not in lines[0]  # that of the start
    assert [trace_of(line) for line in lines] == [(None, None), (TRACE, CALLER)]


def test_refusals_of_ordinary_routes_carry_it(server: Server) -> None:
    """Lines about requests that Litestar answers have an id and a trace too, each its own."""
    for request_id, trace in (("wrong", {"traceparent": TRACEPARENT}), ("after", {})):
        server.client.get("/nothing", headers={"X-Request-ID": request_id, **trace})

    [wrong], [after] = lines_of(server, "wrong", "request"), lines_of(server, "after", "request")
    assert trace_of(wrong) == (TRACE, CALLER)
    assert trace_of(after) == (None, None)


@pytest.mark.parametrize("length", [8_000, 1001])
def test_a_long_path_is_cut(server: Server, length: int) -> None:
    """A line holds the beginning of it, and how long it was: not 8 kB for each request."""
    request_id = f"long-{length}"
    server.client.get("/" + "a" * (length - 1), headers={"X-Request-ID": request_id})
    [line] = lines_of(server, request_id, "request")

    assert line["path"] == "/" + "a" * 999 + f"… (cut, {length} characters)"


def test_a_path_of_a_thousand_characters_is_whole(server: Server) -> None:
    """What most clients ask for is told as it is."""
    server.client.get("/" + "a" * 999, headers={"X-Request-ID": "not-long"})
    [line] = lines_of(server, "not-long", "request")

    assert line["path"] == "/" + "a" * 999


def test_no_line_is_long_whatever_is_sent(server: Server) -> None:
    """Of no part of a request that a client makes up is more than a kilobyte told."""
    long = "é" * 9_000
    path = f"/predict?model={long}"
    server.client.post(path, json={"data": [[1]]}, headers={"X-Request-ID": "all-long"})
    server.client.post(
        "/predict/" + long[:3000],
        headers={"X-Request-ID": "x" * 5000, "Content-Type": "y" * 5000, "Accept": "z" * 5000},
    )
    lines_of(server, "all-long", "request")

    assert max(map(len, server.stdout.splitlines())) < 3000
