"""Requests that wait for the same run, or for their turn: each by its own deadline and priority."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests import models
from tests.server import Server, wait_until

LONG, SHORT = 500_000, 5_000
"""Steps of a run that takes seconds, and of one that takes some hundredths of one."""
ONE_BY_ONE = {"SESSIONS": "1", "MAX_BATCH_SIZE": "1", "INLINE_BUDGET_US": "0"}
EARLY_SECONDS = 1.5
"""By when who has asked for 0.3 s is told: long before the run ends."""


def serve(path: Path, **metadata: Any) -> Server:
    """Serve a model whose rows say how long they take, one after the other."""
    path.write_bytes(models.loop_model())
    path.with_suffix(".json").write_bytes(msgspec.json.encode(metadata))
    return Server(path, settings=ONE_BY_ONE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its metadata says nothing."""
    with serve(tmp_path_factory.mktemp("shared") / "slow.onnx") as running:
        yield running


def predict(server: Server, steps: int, *, timeout_ms: int = 0) -> httpx.Response:
    """Ask `/predict`."""
    headers = {"X-Request-Timeout-Ms": str(timeout_ms)} if timeout_ms else {}
    return server.client.post("/predict", json={"data": [[steps]]}, headers=headers)


def predict_batch(server: Server, steps: int, *, timeout_ms: int = 0) -> httpx.Response:
    """Ask `/predict/batch` twice the same."""
    headers = {"X-Request-Timeout-Ms": str(timeout_ms)} if timeout_ms else {}
    body = {"requests": [{"data": [[steps]]}] * 2}
    return server.client.post("/predict/batch", json=body, headers=headers)


def infer(
    server: Server, steps: int, *, timeout_ms: int = 0, use_cache: bool = True, priority: int = 0
) -> httpx.Response:
    """Ask the Open Inference Protocol."""
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [steps]}
    parameters = {"timeout": timeout_ms * 1000, "priority": priority, "use_cache": use_cache}
    body = {"inputs": [tensor], "parameters": parameters}
    return server.client.post("/v2/models/slow/infer", json=body)


@pytest.mark.parametrize(
    ("ask", "steps"), [(predict, LONG), (predict_batch, LONG + 1), (infer, LONG + 2)]
)
def test_who_shares_a_run_is_told_in_time(server: Server, ask: Any, steps: int) -> None:
    """After the 0.3 s that it asked for; the run goes on, and its answer is kept."""
    leader_ask = infer if ask is infer else predict
    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(leader_ask, server, steps)
        time.sleep(0.2)
        started = time.monotonic()
        follower = ask(server, steps, timeout_ms=300)
        seconds = time.monotonic() - started
        was_running = not leader.done()
        leader.result()
    again = leader_ask(server, steps)

    assert "deadline" in follower.text
    assert was_running
    assert seconds < EARLY_SECONDS
    assert leader.result().status_code == 200
    assert (again.status_code, again.headers["x-cache"]) == (200, "l1")


def test_who_has_more_time_than_the_first_is_answered(server: Server) -> None:
    """The first of two equal requests is told after 0.3 s, the other has its answer."""
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(predict, server, LONG + 3, timeout_ms=300)
        time.sleep(0.1)
        other = predict(server, LONG + 3)

    assert first.result().status_code == 504
    assert other.status_code == 200


def order(server: Server, priorities: list[int]) -> list[int]:
    """Keep the session busy, let requests of these priorities wait, and see who is answered when.

    Returns:
        The priorities in the order of the answers.
    """
    answered: list[int] = []

    def ask(priority: int) -> None:
        assert infer(server, SHORT, use_cache=False, priority=priority).status_code == 200
        answered.append(priority)

    with ThreadPoolExecutor(1 + len(priorities)) as threads:
        busy = threads.submit(infer, server, LONG, use_cache=False)
        time.sleep(0.1)
        asking = []
        for number, priority in enumerate(priorities, 1):
            asking.append(threads.submit(ask, priority))
            wait_until(lambda number=number: depth(server) == number)  # type: ignore[misc]
        assert not busy.done()
        for each in asking:
            each.result()
    return answered


def depth(server: Server) -> float:
    """Rows that wait."""
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(e.split()[-1]) for e in lines if e.startswith("ml_api_queue_depth_rows{"))


def test_priority_counts_for_nothing_by_itself(server: Server) -> None:
    """A stranger who asks for the first place overtakes nobody."""
    assert order(server, [0, 1, 0, 1]) == [0, 1, 0, 1]


def test_priority_where_the_metadata_has_levels(tmp_path: Path) -> None:
    """Who asks for the first of three goes first, who asks for the last goes last."""
    with serve(tmp_path / "slow.onnx", priority_levels=3) as server:
        assert order(server, [3, 0, 1]) == [1, 0, 3]
