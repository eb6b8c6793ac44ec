"""*Live*: seven charts, exact values under one crosshair, and every replica."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.stack.native import Stack
from tests.web.samples import WINE_ROWS, fresh_row

CHARTS = [
    "Requests",
    "Latency",
    "Errors and refusals",
    "Cache hits",
    "Rows a run",
    "Rows waiting",
    "Run time",
]
SEEN_SECONDS = 5.0
SCRAPED_MS = 15_000.0


@pytest.fixture
def visitor(visit: Visit, stack: Stack) -> Visitor:
    """At the view, with figures from Prometheus."""
    visitor = visit(f"{stack.url}/").open("live")
    expect(visitor.view("live")).to_contain_text("From Prometheus: all replicas")
    return visitor


def chart(visitor: Visitor, title: str) -> Locator:
    """A card by its title."""
    return (
        visitor.view("live")
        .get_by_role("article")
        .filter(has=visitor.page.get_by_role("heading", name=re.compile(f"^{title} ")))
    )


def values(visitor: Visitor, title: str) -> list[str]:
    """What a chart's legend says."""
    return chart(visitor, title).locator(".value").all_inner_texts()


def some_traffic(visitor: Visitor) -> None:
    """Send a few predictions, and wait until all of the charts show them."""
    for _ in range(10):
        body = {"data": [fresh_row(), WINE_ROWS[1]]}
        visitor.page.request.post(f"{visitor.url}api/predict", data=body)
    for title in ("Latency", "Cache hits", "Run time"):
        expect(chart(visitor, title).locator(".value").first).not_to_have_text("–")
    expect(chart(visitor, "Requests").locator(".value")).not_to_have_text("0")


@pytest.mark.parametrize("title", CHARTS)
def test_there_is_a_chart(visitor: Visitor, title: str) -> None:
    """Each of the seven is there, drawn, and says what it counts."""
    card = chart(visitor, title)

    expect(card.locator("canvas")).to_be_visible()
    assert len(card.locator(".caption").inner_text()) > 20


def test_a_prediction_is_seen_within_five_seconds(visit: Visit, stack: Stack) -> None:
    """A newcomer's click on Predict moves the figures above it, and the chart of requests."""
    visitor = visit(f"{stack.url}/").open()
    visitor.has_sample()
    expect(visitor.tile(0)).to_have_text("0", timeout=SCRAPED_MS)
    pressed = time.monotonic()
    visitor.predict()
    expect(visitor.tile(0)).not_to_have_text("0")
    seen = time.monotonic()
    visitor.page.get_by_role("link", name="Live").click()

    assert seen - pressed < SEEN_SECONDS
    assert float(values(visitor, "Requests")[0]) > 0


def test_figures_are_those_of_the_traffic(visitor: Visitor) -> None:
    """Requests, latencies, rows and run times are shown with their units; errors are none."""
    some_traffic(visitor)

    assert all(re.fullmatch(r"[\d.]+ (µs|ms|s)", text) for text in values(visitor, "Latency"))
    assert all(re.fullmatch(r"[\d.]+ (µs|ms|s)", text) for text in values(visitor, "Run time"))
    assert all(re.fullmatch(r"[\d.]+ %", text) for text in values(visitor, "Cache hits"))
    assert float(values(visitor, "Rows a run")[0]) >= 1
    assert values(visitor, "Errors and refusals") == ["0", "0"]


def test_one_crosshair_for_all(visitor: Visitor) -> None:
    """A mouse over one chart shows the values of that time on every chart."""
    some_traffic(visitor)
    box = chart(visitor, "Latency").locator(".u-over").bounding_box()
    assert box is not None
    visitor.page.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 20)

    times = [chart(visitor, title).locator(".at") for title in CHARTS]
    expect(times[1]).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert len({each.inner_text() for each in times}) == 1


def test_arrow_keys_move_the_crosshair(visitor: Visitor) -> None:
    """From the keyboard it goes back in time on all charts, and Escape puts it away."""
    some_traffic(visitor)
    chart(visitor, "Requests").locator(".lines").focus()
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.keyboard.press("ArrowLeft")
    first = chart(visitor, "Run time").locator(".at")
    expect(first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    visitor.page.keyboard.press("Escape")

    expect(first).to_have_text("now")


def test_other_ranges(visitor: Visitor) -> None:
    """An hour and six hours can be chosen, which the axis of time then spans."""
    for label, seconds in (("1 h", 3600), ("6 h", 21600)):
        visitor.page.get_by_role("button", name=label).click()
        expect(visitor.page.get_by_role("button", name=label)).to_have_attribute(
            "aria-pressed", "true"
        )
        asked = [r.url for r in visitor.requests if "query_range" in r.url]
        expect(chart(visitor, "Requests").locator("canvas")).to_be_visible()
        visitor.page.wait_for_timeout(300)
        asked = [r.url for r in visitor.requests if "query_range" in r.url]
        start, end = (
            float(re.findall(rf"{name}=([\d.]+)", asked[-1])[0]) for name in ("start", "end")
        )
        assert end - start == seconds


def test_each_replica_is_listed(visitor: Visitor, stack: Stack) -> None:
    """Both stand there with state, version, time since their start and model."""
    rows = visitor.view("live").locator("tbody tr")
    expect(rows).to_have_count(2)

    for row, port in zip(
        rows.all_inner_texts(), sorted(stack.state.replicas.values()), strict=True
    ):
        assert re.match(rf"127\.0\.0\.1:{port}\s+● up\s+\d+\.\d+\.\d+\s+[\dhmins ]+", row)
        assert "wine 1" in row


@pytest.fixture
def three(stack: Stack) -> Iterator[Stack]:
    """The stack with one replica more."""
    done = stack.run("scale", "3")
    assert done.returncode == 0, done.stderr
    yield stack
    stack.run("scale", "2")


def test_a_replica_more_is_seen(visitor: Visitor, three: Stack) -> None:
    """A page that is open shows the third replica by itself."""
    expect(visitor.view("live").locator("tbody tr")).to_have_count(3, timeout=SCRAPED_MS)
