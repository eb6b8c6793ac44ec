"""For everybody: axe-core's rules on every view, the keyboard alone, and words beside colours."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TOKEN, Visit
from tests.browser.visitor import Visitor
from tests.server import ROOT
from tests.stack.native import Stack

AXE = ROOT / ".venv" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
UNSEEN = """() => {
  const isSeen = (element) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  };
  const focused = document.activeElement;
  if (focused === document.body || isSeen(focused) || isSeen(focused.parentElement)) return [];
  return [focused.outerHTML];
}"""
SCRAPED_MS = 15_000.0
VIEWS = ["try", "live", "burst", "models", "health"]


def faults(visitor: Visitor) -> list[str]:
    """What axe-core calls serious or critical."""
    visitor.page.evaluate(AXE.read_text())
    result: dict[str, Any] = visitor.page.evaluate("axe.run()")
    assert len(result["passes"]) > 10
    return [
        f"{fault['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for fault in result["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def fill(visitor: Visitor, view: str) -> None:
    """Bring a view into the state in which it shows most."""
    if view == "try":
        visitor.has_sample()
        visitor.predict()
        visitor.expects_status(422)
        visitor.cell(2, 1).fill("abc")
        visitor.button("Predict").click()
        expect(visitor.problem).to_be_visible()
    elif view == "burst":
        visitor.page.get_by_label("Requests", exact=True).fill("20")
        visitor.button("Start").click()
        expect(visitor.view("burst").locator(".facts")).to_be_visible()
    elif view == "models":
        visitor.page.get_by_label("Admin token").fill(TOKEN)
        visitor.button("Reload").click()
        expect(visitor.view("models").get_by_text("as loaded now").first).to_be_visible(
            timeout=SCRAPED_MS
        )
    elif view == "live":
        expect(visitor.view("live").locator("tbody tr")).to_have_count(2, timeout=SCRAPED_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(visit: Visit, stack: Stack, view: str, scheme: str) -> None:
    """No rule of axe-core is broken seriously, contrast among them, by a view full of content."""
    visitor = visit(f"{stack.url}/", scheme=scheme).open(view)
    fill(visitor, view)

    assert faults(visitor) == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_one_heading_and_a_title(visit: Visit, bare: str, view: str) -> None:
    """One heading of the first level is shown, and the tab's title names the view."""
    visitor = visit(bare).open(view)
    heading = visitor.page.locator("h1:visible")

    expect(heading).to_have_count(1)
    link = visitor.page.get_by_role("navigation").locator("[aria-current=page]")
    assert visitor.page.title() == f"{link.inner_text()} – ml-pipeline"


def test_a_prediction_by_keyboard_alone(visit: Visit, bare: str) -> None:
    """Tab reaches Predict, Enter presses it, and the answer is announced."""
    visitor = visit(bare).open()
    visitor.has_sample()
    press = visitor.page.keyboard.press
    for _ in range(100):
        press("Tab")
        if visitor.page.evaluate("document.activeElement.textContent").startswith("Predict 5"):
            break
    press("Enter")

    expect(visitor.answer.locator(".result")).to_have_text("class_2")
    told = visitor.page.get_by_role("region", name="The answer").get_by_role("status")
    expect(told).to_have_text("class_2, and 4 more rows")


@pytest.mark.parametrize("view", VIEWS)
def test_focus_is_seen(visit: Visit, bare: str, view: str) -> None:
    """Whatever Tab reaches has an outline, or lies in something that has one then."""
    visitor = visit(bare).open(view)
    unseen = []
    for _ in range(25):
        visitor.page.keyboard.press("Tab")
        unseen += visitor.page.evaluate(UNSEEN)

    assert unseen == []


def test_the_skip_link(visit: Visit, bare: str) -> None:
    """The first Tab reaches a link that leads past the head, and the view stays."""
    visitor = visit(bare).open("models")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to content")).to_be_focused()
    visitor.page.keyboard.press("Enter")

    expect(visitor.page.get_by_role("main")).to_be_focused()
    expect(visitor.view("models")).to_be_visible()


def test_what_was_typed_survives_a_look_elsewhere(visit: Visit, bare: str) -> None:
    """A view that is left and come back to is as it was."""
    visitor = visit(bare).open()
    visitor.has_sample()
    visitor.cell(2, 2).fill("77")
    visitor.page.get_by_role("link", name="Health").click()
    expect(visitor.view("try")).to_be_hidden()
    visitor.page.go_back()

    expect(visitor.cell(2, 2)).to_have_value("77")
