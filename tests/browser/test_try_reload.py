"""*Try it*: an answer is its model's that gave it, also while the page still describes another."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import Server
from tests.web.samples import METADATA, WINE_ROWS, wine_answers, write_wine

NAMES = ["red", "white", "none"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server looks for its model."""
    write_wine(tmp_path / "models", "1")
    return tmp_path / "models"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """One that serves version 1, whose classes are class_0 to class_2."""
    with Server(folder) as running:
        yield running


@pytest.fixture
def visitor(visit: Visit, server: Server) -> Visitor:
    """At the view, with the sample loaded, and a row that is the third class."""
    visitor = visit(f"{server.url}/ui/").open()
    visitor.has_sample()
    visitor.paste(visitor.cell(1, 0), "\t".join(map(str, WINE_ROWS[0])))
    return visitor


def reload_as(server: Server, folder: Path, version: str) -> None:
    """Serve a version whose classes have other names."""
    metadata = {**METADATA, "model_version": version, "class_names": NAMES}
    (folder / "wine.json").write_text(json.dumps(metadata))
    answer = server.client.post("/models/reload")
    assert answer.status_code == 200, answer.text


@contextmanager
def behind(visitor: Visitor) -> Iterator[None]:
    """Let the page not hear of other models until the end."""
    held: list[Route] = []
    visitor.page.route("**/models", lambda route: held.append(route))
    yield
    visitor.page.route("**/models", lambda route: route.continue_())  # the later one counts
    for route in held:
        route.continue_()


def test_an_answer_of_a_version_that_the_page_has_not_heard_of(
    visitor: Visitor, server: Server, folder: Path
) -> None:
    """It has its own version and its own label, and no column is called as another version's."""
    with behind(visitor):
        reload_as(server, folder, "2")
        visitor.predict()

        expect(visitor.answer).to_contain_text("wine, version 2")
        expect(visitor.answer).not_to_contain_text("version 1")
        expect(visitor.answer.locator(".result")).to_have_text(NAMES[2])
        names = visitor.answer.locator(".bars .name").all_inner_texts()
        assert names == ["column 1", "column 2", "column 3"]
        expect(visitor.answer.locator(".note")).to_contain_text("not what this page describes")


def test_an_answer_of_the_version_that_the_page_has_heard_of(
    visitor: Visitor, server: Server, folder: Path
) -> None:
    """Once it has, its columns are named."""
    with behind(visitor):
        reload_as(server, folder, "2")
    choice = visitor.view("try").get_by_label("Model").locator("option")
    expect(choice).to_have_text("wine (version 2)")
    visitor.predict()

    expect(visitor.answer.locator(".bars .name")).to_have_text(NAMES)
    expect(visitor.answer.locator(".note")).to_have_count(0)


def test_members_of_a_batch_that_two_versions_have_answered(visitor: Visitor) -> None:
    """As amid a reload: both are told, and each row is drawn as its own model's."""

    def mixed(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        content["results"][1]["model_info"]["model_version"] = "2"
        route.fulfill(response=answer, json=content)

    visitor.page.route("**/predict/batch?*", mixed)
    visitor.batch()

    expect(visitor.answer).to_contain_text("wine, version 1 · wine, version 2 · request")
    expect(visitor.answer.locator(".bars .name").first).to_have_text("class_0")
    visitor.answer.get_by_role("button", name="Show row 2").click()
    expect(visitor.answer.locator(".bars .name").first).to_have_text("column 1")
    expect(visitor.answer.locator(".result")).to_have_text(f"class_{label_of(1)}")


def label_of(row: int) -> int:
    """Class of a row of the sample, as the bundled model has it."""
    return int(wine_answers(WINE_ROWS)[0][row])
