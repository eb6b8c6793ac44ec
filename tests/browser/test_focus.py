"""The keyboard: what is pressed keeps the focus, and Tab reaches all in the order of reading."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import TOKEN, Visit
from tests.browser.test_accessibility import VIEWS
from tests.browser.visitor import Visitor
from tests.stack.native import Stack

REACHABLE = """() => {
  const all = "a[href], button, input, select, textarea, [tabindex]";
  const found = [...document.querySelectorAll(all)].filter(
    (element) => element.tabIndex >= 0 && !element.disabled && element.checkVisibility(),
  );
  return found.map((element) => element.outerHTML.slice(0, 120));
}"""
FOCUSED = "document.activeElement.outerHTML.slice(0, 120)"


def press(visitor: Visitor, control: Locator, key: str = "Enter") -> None:
    """Press a key on a control."""
    control.focus()
    visitor.page.keyboard.press(key)


@pytest.mark.parametrize("key", ["Enter", "Space"])
@pytest.mark.parametrize("name", ["Predict", "Batch"])
def test_predict_keeps_the_focus(visit: Visit, bare: str, name: str, key: str) -> None:
    """The button can be pressed again and again without a look for it."""
    visitor = visit(bare).open()
    visitor.has_sample()
    button = visitor.button(name)
    for _ in range(2):
        before = visitor.request_id
        press(visitor, button, key)
        expect(visitor.answer.locator(".mono")).not_to_have_text(before or "none yet")
        expect(button).to_be_enabled()
        expect(button).to_be_focused()


def test_an_idle_button_does_nothing(visit: Visit, bare: str) -> None:
    """Pressed ten times at once, Predict asks once."""
    visitor = visit(bare).open()
    visitor.has_sample()
    button = visitor.button("Predict")
    button.evaluate("(button) => { for (let i = 0; i < 10; i++) button.click(); }")
    expect(visitor.answer.locator(".result")).to_be_visible()
    expect(button).to_be_enabled()

    assert len([request for request in visitor.requests if "/predict?" in request.url]) == 1


def test_a_burst_keeps_the_focus(visit: Visit, bare: str) -> None:
    """Start has the focus when the burst is over, and begins one however often it is pressed."""
    visitor = visit(bare).open("burst")
    visitor.page.get_by_label("Requests", exact=True).fill("40")
    start = visitor.button("Start")
    expect(start).to_be_enabled()  # neither of what follows waits for it
    start.focus()
    start.evaluate("(button) => { for (let i = 0; i < 3; i++) button.click(); }")
    expect(visitor.view("burst")).to_contain_text("40 of 40")

    expect(start).to_be_focused()
    assert len([request for request in visitor.requests if "/predict?" in request.url]) == 40


def test_a_reload_keeps_the_focus(visit: Visit, stack: Stack) -> None:
    """Reload has the focus when the models are there."""
    visitor = visit(f"{stack.url}/").open("models")
    visitor.page.get_by_label("Admin token").fill(TOKEN)
    press(visitor, visitor.button("Reload"))
    expect(visitor.view("models")).to_contain_text("Loaded wine 1.")

    expect(visitor.button("Reload")).to_be_focused()


def test_the_last_page_keeps_the_focus(visit: Visit, bare: str) -> None:
    """On the last page of rows the button to a later one has the focus, and does nothing."""
    visitor = visit(bare).open()
    visitor.has_sample()
    visitor.upload("1,2,3,4,5,6,7,8,9,10\n" * 30)
    later = visitor.button("Later rows")
    for _ in range(3):
        press(visitor, later)

    expect(later).to_be_focused()
    expect(later).to_be_disabled()
    expect(visitor.cell(30, 0)).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_tab_reaches_everything_in_order(visit: Visit, stack: Stack, view: str) -> None:
    """Each control of a view has its turn, in the order in which it stands in the page."""
    visitor = visit(f"{stack.url}/").open(view)
    expect(visitor.page.locator("#state")).not_to_have_text("connecting …")
    if view == "try":
        visitor.has_sample()
    expected = visitor.page.evaluate(REACHABLE)
    found = []
    for _ in expected:
        visitor.page.keyboard.press("Tab")
        found.append(visitor.page.evaluate(FOCUSED))

    assert [_steady(each) for each in found] == [_steady(each) for each in expected]


def _steady(html: str) -> str:
    """Without code and numbers, which come late or may have changed with a poll."""
    html = re.sub(r">curl -s.*", ">", html, flags=re.DOTALL)
    return re.sub(r"[\d.,–]+ ?(µs|ms|s|%)?", "", html)
