"""*Health*: the state in plain words, and the way to everything else."""

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.stack.native import Stack

NOTICED_MS = 20_000.0


def test_a_service_that_is_well(visit: Visit, url: str) -> None:
    """It says so in words, above every view too, and names the models."""
    visitor = visit(url).open("health")

    expect(visitor.view("health")).to_contain_text("Predictions are answered, and everything")
    expect(visitor.view("health")).to_contain_text("wine/1")
    expect(visitor.page.locator("#state")).to_have_text("● healthy")


def test_every_link_leads_somewhere(visit: Visit, url: str) -> None:
    """Each link answers, and none leads to another host."""
    visitor = visit(url).open("health")
    links = visitor.view("health").get_by_role("link").all()
    addresses = [link.evaluate("(element) => element.href") for link in links]

    assert len(addresses) >= 5
    for address in addresses:
        assert address.startswith(url.replace("/ui/", "/"))
        assert visitor.page.request.get(address).ok


def test_replicas_that_answer_are_counted(visit: Visit, stack: Stack) -> None:
    """Behind Nginx it tells how many replicas there are."""
    visitor = visit(f"{stack.url}/").open("health")

    expect(visitor.view("health")).to_contain_text("Replicas that answer: 2 of 2.")


def test_no_alert_is_told(visit: Visit, stack: Stack) -> None:
    """Prometheus is asked for alerts, and that none fires is told."""
    visitor = visit(f"{stack.url}/").open("health")

    expect(visitor.page.get_by_role("region", name="Alerts")).to_contain_text("None fires.")


@pytest.fixture
def without_redis(stack: Stack) -> Iterator[Stack]:
    """The stack while its Redis stands still."""
    stack.kill("redis", signal.SIGSTOP)
    yield stack
    stack.kill("redis", signal.SIGCONT)


def test_a_redis_that_hangs_is_told(visit: Visit, without_redis: Stack) -> None:
    """It is called degraded, with the reason in words, and healthy again when Redis is back."""
    visitor = visit(f"{without_redis.url}/").open("try")
    visitor.has_sample()
    for _ in range(8):  # a replica learns of it when it asks
        visitor.button("Load sample").click()
        visitor.page.request.post(
            f"{visitor.url}api/predict",
            data={"data": [[float(_)] * 10]},
        )
    visitor.page.goto(f"{visitor.url}#/health")

    expect(visitor.page.locator("#state")).to_have_text("▲ degraded", timeout=NOTICED_MS)
    expect(visitor.view("health")).to_contain_text("but not everything works as it should")
    expect(visitor.view("health")).to_contain_text("Redis, the cache that replicas share")
    without_redis.kill("redis", signal.SIGCONT)
    expect(visitor.page.locator("#state")).to_have_text("● healthy", timeout=NOTICED_MS)
