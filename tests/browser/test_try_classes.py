"""*Try it*: what classes are called, and numbers that are no probabilities."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests import models
from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import Server


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Models whose classes only the graph names, and models that have scores."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "marks.onnx").write_bytes(models.labelled_model((3, 5, 9)))
    (folder / "nearest.onnx").write_bytes(models.nearest_model())
    names = {"class_names": ["north", "east", "south"], "sample": [[1, 2], [3, 4]]}
    (folder / "nearest.json").write_text(json.dumps(names))
    (folder / "pairs.onnx").write_bytes(models.pairs_model())
    with Server(folder) as running:
        yield f"{running.url}/ui/"


def ask(visit: Visit, url: str, model: str) -> Visitor:
    """Open the page, choose a model and have its sample predicted."""
    visitor = visit(url).open()
    visitor.page.get_by_label("Model").first.select_option(model)
    visitor.has_sample()
    visitor.predict()
    return visitor


def test_classes_are_called_as_the_graph_calls_them(visit: Visit, classes: str) -> None:
    """Not by their place: a prediction of 3 stands beside "class 3"."""
    visitor = ask(visit, classes, "marks")

    names = visitor.answer.locator(".bars .name").all_inner_texts()
    assert names == ["class 3", "class 5", "class 9"]
    assert visitor.answer.locator(".result").inner_text() in ("3", "5", "9")


def test_the_models_page_lists_the_classes_of_the_graph(visit: Visit, classes: str) -> None:
    """Where the metadata has no names for them."""
    visitor = visit(classes).open("models")

    card = visitor.page.get_by_role("region", name="Model marks")
    expect(card).to_contain_text("3, 5, 9")


def test_distances_are_no_percentages(visit: Visit, classes: str) -> None:
    """They stand as numbers beside the names of their classes, without bars."""
    visitor = ask(visit, classes, "nearest")

    scores = visitor.answer.get_by_label("Scores")
    assert scores.locator("dt").all_inner_texts() == ["north", "east", "south"]
    assert scores.locator("dd").all_inner_texts() == ["2.24", "899", "7.07"]
    expect(visitor.answer.locator(".result")).to_have_text("north")
    expect(visitor.answer.get_by_role("progressbar")).to_have_count(0)
    region = visitor.answer.get_by_role("region", name="Answers by row")
    assert "Probability" not in region.inner_text()
    assert "%" not in scores.inner_text()


def test_scores_of_pairs_have_no_class(visit: Visit, classes: str) -> None:
    """They are counted."""
    visitor = ask(visit, classes, "pairs")

    names = visitor.answer.get_by_label("Scores").locator("dt").all_inner_texts()
    assert names == [f"score {number}" for number in range(1, 7)]
