"""Nothing jumps while the page works, and nothing that somebody made up is too long for it."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TOKEN, Visit
from tests.browser.test_accessibility import VIEWS
from tests.browser.test_layout import SHIFTS
from tests.browser.visitor import Visitor
from tests.server import Server
from tests.stack.native import Stack
from tests.web.samples import METADATA, WINE

LONG = "a_name_without_any_space_that_its_author_found_quite_clear_" * 3
MOST_SHIFT = 0.02


def shift(visitor: Visitor) -> float:
    """How much has moved since the last look, also by a click."""
    visitor.page.wait_for_timeout(300)
    moved: float = visitor.page.evaluate(
        "window.shifts.splice(0).reduce((total, value) => total + value, 0)"
    )
    return moved


def watched(visit: Visit, stack: Stack, view: str) -> Visitor:
    """A view that is there, with all of its movements counted from now on."""
    visitor = visit(f"{stack.url}/")
    visitor.page.add_init_script(SHIFTS.replace("!entry.hadRecentInput", "true"))
    visitor.open(view)
    expect(visitor.tile(0)).not_to_have_text("–")
    if view == "try":
        visitor.has_sample()
    shift(visitor)
    return visitor


def test_an_answer_moves_nothing(visit: Visit, stack: Stack) -> None:
    """Predict and Batch leave everything but the answer where it was."""
    visitor = watched(visit, stack, "try")
    visitor.predict()
    first = shift(visitor)
    visitor.batch()

    assert first < MOST_SHIFT
    assert shift(visitor) < MOST_SHIFT


def test_a_reload_moves_nothing(visit: Visit, stack: Stack) -> None:
    """What a reload tells comes below, and the models stay where they were."""
    visitor = watched(visit, stack, "models")
    visitor.page.get_by_label("Admin token").fill(TOKEN)
    shift(visitor)
    visitor.button("Reload").click()
    expect(visitor.view("models").get_by_text("as loaded now")).to_have_count(2)

    assert shift(visitor) < MOST_SHIFT


def test_a_burst_moves_nothing(visit: Visit, stack: Stack) -> None:
    """The result comes where its place was."""
    visitor = watched(visit, stack, "burst")
    visitor.page.get_by_label("Requests", exact=True).fill("20")
    visitor.button("Start").click()
    expect(visitor.view("burst").locator(".facts")).to_be_visible()

    assert shift(visitor) < MOST_SHIFT


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model whose names are of one word and very long."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "wine.onnx").write_bytes(WINE.read_bytes())
    features = [f"{LONG}{index}" for index in range(len(METADATA["features"]))]
    classes = [f"{LONG}{index}" for index in range(3)]
    metadata = {"features": features, "class_names": classes, "model_name": LONG[:120]}
    (folder / "wine.json").write_text(json.dumps({**METADATA, **metadata}))
    with Server(folder) as running:
        yield f"{running.url}/ui/"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("view", VIEWS)
def test_long_names_fit(visit: Visit, long_names: str, view: str, width: int) -> None:
    """However long names are, the page does not scroll sideways."""
    visitor = visit(long_names, width=width).open(view)
    if view == "try":
        visitor.has_sample()
        visitor.predict()
    elif view == "burst":
        visitor.page.get_by_label("Requests", exact=True).fill("5")
        visitor.button("Start").click()
        expect(visitor.view(view).locator(".facts")).to_be_visible()
    elif view == "models":
        visitor.button("Reload").click()
        expect(visitor.view(view).get_by_text("as loaded now")).to_be_visible()
    elif view == "health":
        expect(visitor.view(view)).to_contain_text(LONG[:120])
    else:
        expect(visitor.view(view).locator("tbody tr")).to_contain_text(LONG[:120])

    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
