"""The page on every width, how it loads, and what that costs."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_accessibility import VIEWS, fill
from tests.server import ROOT
from tests.stack.native import Stack

MOST_BYTES = 150_000
SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    const moved = list.getEntries().filter((entry) => !entry.hadRecentInput);
    window.shifts.push(...moved.map((entry) => entry.value));
  }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_the_page(visit: Visit, stack: Stack, view: str, width: int) -> None:
    """The page never scrolls sideways; what is wide scrolls inside its frame."""
    visitor = visit(f"{stack.url}/", width=width).open(view)
    fill(visitor, view)

    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = visitor.page.evaluate(widths)
    assert needed <= there <= width


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_moves_while_it_loads(visit: Visit, stack: Stack, view: str) -> None:
    """What comes late has its place already: less than a tenth of what counts as good (0.1)."""
    visitor = visit(f"{stack.url}/")
    visitor.page.add_init_script(SHIFTS)
    visitor.open(view)
    expect(visitor.tile(0)).not_to_have_text("–")
    visitor.page.wait_for_timeout(1500)

    assert sum(visitor.page.evaluate("window.shifts")) < 0.01


def test_a_first_load_is_small(visit: Visit, url: str) -> None:
    """Everything that the page loads before it is used is less than 150 KB on the wire."""
    visitor = visit(url)
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    addresses: dict[str, str] = {}
    sizes: dict[str, float] = {}

    def begun(event: dict[str, Any]) -> None:
        addresses[event["requestId"]] = event["request"]["url"]

    def finished(event: dict[str, Any]) -> None:  # what is polled again and again counts once
        sizes.setdefault(addresses[event["requestId"]], event["encodedDataLength"])

    session.on("Network.requestWillBeSent", begun)
    session.on("Network.loadingFinished", finished)
    visitor.open().has_sample()
    visitor.page.wait_for_load_state("networkidle")

    print(f"{url}: {len(sizes)} requests, {sum(sizes.values()):,.0f} bytes; the largest:")
    for address, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:3]:
        print(f"  {size:,.0f} {address}")
    assert len(sizes) > 30
    assert sum(sizes.values()) < MOST_BYTES


def test_nothing_comes_from_elsewhere(visit: Visit, url: str) -> None:
    """Every request of every view goes to where the page came from."""
    visitor = visit(url)
    for view in VIEWS:
        visitor.open(view)
    origin = "/".join(url.split("/")[:3])

    assert {request.url[: len(origin)] for request in visitor.requests} == {origin}


def test_every_module_is_named_beforehand() -> None:
    """The page names each module, so that the browser need not find them one behind another."""
    page = (ROOT / "ui" / "index.html").read_text()
    named = re.findall(r'<(?:link rel="modulepreload" href|script src)="(js/[^"]+)"', page)
    there = [str(path.relative_to(ROOT / "ui")) for path in (ROOT / "ui" / "js").rglob("*.js")]

    assert sorted(named) == sorted(there)


def test_a_second_load_is_not_sent_again(visit: Visit, url: str) -> None:
    """A file that has not changed is answered with 304."""
    visitor = visit(url).open()
    visitor.requests.clear()
    visitor.page.reload()
    visitor.has_sample()

    scripts = [r for r in visitor.requests if r.url.endswith("/js/main.js")]
    session = visitor.page.context.request.get(
        scripts[-1].url,
        headers={"If-None-Match": _tag(visitor.page.context.request, scripts[-1].url)},
    )
    assert session.status == 304


def _tag(client: Any, url: str) -> str:
    headers: dict[str, str] = client.get(url).headers
    return headers["etag"]
