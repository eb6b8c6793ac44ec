"""Answers that ask for patience: 429 of Nginx, 503 of the server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tests import models
from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import Server
from tests.stack.native import Stack
from tests.web.occupied import Occupied


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that allows one prediction in 2 s, and two more at once."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {"RATE_LIMIT_PREDICT": "30", "RATE_LIMIT_PREDICT_BURST": "1"}
    limits["RATE_LIMIT_API"] = "600"
    with Stack(folder, replicas=1, profile="default", settings=limits) as running:
        yield running


def press_until_refused(visitor: Visitor) -> None:
    """Send a burst, which spends what is allowed, then one prediction more."""
    url = f"{visitor.url}api/predict"
    visitor.page.evaluate(
        """async (url) => {
          const body = JSON.stringify({ data: [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] });
          const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
          await Promise.all(Array.from({ length: 40 }, () => fetch(url, options)));
        }""",
        url,
    )
    visitor.button("Predict").click()


def test_a_429_counts_down(visit: Visit, limited: Stack) -> None:
    """The button says when it may be pressed again, and then it works."""
    visitor = visit(f"{limited.url}/").open()
    visitor.expects_status(429)
    visitor.has_sample()
    press_until_refused(visitor)

    expect(visitor.problem).to_contain_text("(429)")
    expect(visitor.problem).to_contain_text("rate: expected at most 30 requests a minute")
    expect(visitor.page.get_by_role("button", name="Again in 2 s")).to_be_disabled()
    expect(visitor.button("Predict")).to_be_enabled()
    visitor.predict()
    expect(visitor.problem).to_be_hidden()


def test_a_burst_counts_what_was_held_back(visit: Visit, limited: Stack) -> None:
    """Each 429 is counted, none of them as an answer, and it is told what holds them back."""
    visitor = visit(f"{limited.url}/").open("burst")
    visitor.expects_status(429)
    visitor.page.get_by_label("Requests", exact=True).fill("60")
    visitor.button("Start").click()

    result = visitor.page.get_by_role("region", name="Result")
    expect(result).to_contain_text("held back by the rate limit of Nginx")
    rows = result.locator("table").first.locator("tbody tr").all_inner_texts()
    counted = {status: int(count) for status, count in (row.split() for row in rows)}
    assert sum(counted.values()) == 60
    assert counted["429"] > 20


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One session, one request a run, room for two in the queue."""
    path = tmp_path_factory.mktemp("slow") / "slow.onnx"
    path.write_bytes(models.loop_model())
    limits = {"SESSIONS": "1", "INLINE_BUDGET_US": "0", "MAX_BATCH_SIZE": "1"}
    with Server(path, MAX_QUEUE_SIZE="2", settings=limits) as running:
        yield running


def test_a_503_counts_down(visit: Visit, slow: Server) -> None:
    """A server that is full says when to come again, and then it answers."""
    visitor = visit(f"{slow.url}/ui/").open()
    visitor.expects_status(503)
    visitor.has_sample()
    visitor.cell(1, 0).fill("1")
    with ThreadPoolExecutor(8) as threads:
        Occupied(slow, threads).fill(2)
        visitor.button("Predict").click()
        expect(visitor.problem).to_contain_text("(503)")
        expect(visitor.page.get_by_role("button", name="Again in 1 s")).to_be_disabled()

    expect(visitor.button("Predict")).to_be_enabled()
    visitor.predict()
