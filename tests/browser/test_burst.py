"""*Burst*: many requests from the browser, counted as the server counts them."""

import httpx
import pytest
from playwright.sync_api import Route, expect
from prometheus_client.parser import text_string_to_metric_families

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import settled


@pytest.fixture
def visitor(visit: Visit, bare: str) -> Visitor:
    """At the view."""
    return visit(bare).open("burst")


def fill(visitor: Visitor, requests: str, at_a_time: str) -> None:
    """Fill in how many."""
    visitor.page.get_by_label("Requests", exact=True).fill(requests)
    visitor.page.get_by_label("At a time").fill(at_a_time)


def counts(visitor: Visitor, table: int) -> dict[str, int]:
    """A table of the result: statuses, then cache states."""
    rows = visitor.page.get_by_role("region", name="Result").locator("table").nth(table)
    texts = rows.locator("tbody tr").all_inner_texts()
    pairs = (text.split("\t") for text in texts)
    return {name.split()[0]: int(count.replace(",", "")) for name, count in pairs}


def served(url: str) -> float:
    """Predictions that the server has counted."""
    text = httpx.get(url.replace("/ui/", "/metrics"), trust_env=False, verify=False).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return sum(
        s.value
        for s in samples
        if s.name == "ml_api_requests_total" and s.labels["endpoint"] == "/predict"
    )


def test_a_burst_is_counted(visitor: Visitor, bare: str) -> None:
    """Statuses and cache states add up to what was sent, and to what the server has counted."""
    before = served(bare)
    fill(visitor, "120", "6")
    visitor.button("Start").click()
    expect(visitor.view("burst")).to_contain_text("120 of 120 requests answered in")

    assert counts(visitor, 0) == {"200": 120}
    assert sum(counts(visitor, 1).values()) == 120
    assert settled(lambda: served(bare), before + 120) == before + 120


def test_a_burst_shows_latencies(visitor: Visitor) -> None:
    """Percentiles rise, and the histogram is drawn."""
    fill(visitor, "60", "2")
    visitor.button("Start").click()
    facts = visitor.page.locator(".facts strong")
    expect(facts).to_have_count(6)

    units = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
    texts = [text.split() for text in facts.all_inner_texts()[1:]]
    seconds = [float(number) * units[unit] for number, unit in texts]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert is_drawn(visitor, "#view-burst .plot canvas")


def test_a_burst_without_the_cache(visitor: Visitor) -> None:
    """With the box unchecked no answer comes from the cache."""
    visitor.page.locator("#view-burst").get_by_label("Use the cache").uncheck()
    fill(visitor, "20", "2")
    visitor.button("Start").click()
    expect(visitor.view("burst")).to_contain_text("20 of 20")

    assert counts(visitor, 1) == {"bypass": 20}


def test_a_burst_waits_for_the_models(visit: Visit, bare: str) -> None:
    """Start cannot be pressed before the page knows what to send to."""
    visitor = visit(bare)
    held: list[Route] = []
    visitor.page.route("**/models", lambda route: held.append(route))
    with visitor.page.expect_request("**/models"):
        visitor.open("burst")
    expect(visitor.button("Start")).to_be_disabled()

    for route in held:
        route.continue_()
    expect(visitor.button("Start")).to_be_enabled()


def test_a_burst_can_be_stopped(visitor: Visitor) -> None:
    """Stop ends it early, and what was answered until then is shown."""
    fill(visitor, "5000", "1")
    visitor.button("Start").click()
    progress = visitor.page.get_by_role("progressbar", name="Requests answered")
    expect(progress).not_to_have_js_property("value", 0)
    visitor.button("Stop").click()

    expect(visitor.view("burst")).to_contain_text("Stopped:")
    assert 0 < sum(counts(visitor, 0).values()) < 5000
    expect(visitor.button("Start")).to_be_enabled()


@pytest.mark.parametrize(
    ("requests", "at_a_time"), [("0", "1"), ("5001", "1"), ("10", "7"), ("10", "0"), ("", "1")]
)
def test_limits_of_a_burst(visitor: Visitor, requests: str, at_a_time: str) -> None:
    """More than the page may send is not sent."""
    fill(visitor, requests, at_a_time)
    visitor.button("Start").click()

    expect(visitor.page.locator("#view-burst :invalid").last).to_be_visible()
    assert not [request for request in visitor.requests if "/predict" in request.url]


def is_drawn(visitor: Visitor, selector: str) -> bool:
    """Whether a canvas has anything on it."""
    expect(visitor.page.locator(selector)).to_be_visible()
    drawn: bool = visitor.page.locator(selector).evaluate(
        """(canvas) => canvas.getContext("2d")
          .getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)"""
    )
    return drawn
