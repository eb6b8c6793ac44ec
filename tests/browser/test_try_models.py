"""*Try it*: models that are no table of floats, and names that somebody made up."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import models
from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import Server
from tests.web.samples import METADATA, WINE

HTML = ["<img src=x onerror=alert(1)>", "<b>bold</b>", "<script>alert(2)</script>"]


@pytest.fixture
def visitor(visit: Visit, zoo: str) -> Visitor:
    """At the view, with models of every kind to choose from."""
    visitor = visit(zoo).open()
    expect(visitor.page.get_by_label("Model").first.locator("option")).to_have_count(10)
    return visitor


def choose(visitor: Visitor, model: str) -> None:
    """Choose a model."""
    visitor.page.get_by_label("Model").first.select_option(model)


def test_every_model_can_be_chosen(visitor: Visitor) -> None:
    """Each loaded model stands in the list, with its version."""
    options = visitor.page.get_by_label("Model").first.locator("option").all_inner_texts()

    assert "price (version 1)" in options
    assert len(options) == 10


def test_a_regressor_gives_a_value(visitor: Visitor) -> None:
    """A model without classes shows its value, and no bars."""
    choose(visitor, "price")
    visitor.has_sample()
    visitor.predict()

    float(visitor.answer.locator(".result").inner_text().strip("[]"))
    expect(visitor.answer.get_by_role("progressbar")).to_have_count(0)


def test_words_are_sent_as_words(visitor: Visitor) -> None:
    """Cells of a model of strings go out as strings, whatever they look like."""
    choose(visitor, "a word")
    expect(visitor.cell(1, 0)).to_have_value("it's")
    visitor.cell(1, 0).fill("12")
    visitor.predict()

    assert visitor.sent("/predict")["data"] == [["12", "$HOME `b`"]]


def test_whole_numbers_keep_their_digits(visitor: Visitor) -> None:
    """An integer beyond 2^53 arrives as it was typed."""
    choose(visitor, "whole")
    visitor.has_sample()
    visitor.cell(1, 0).fill("9007199254740993")
    visitor.predict()

    sent = [request for request in visitor.requests if "/predict?" in request.url][-1].post_data
    assert sent is not None
    assert "9007199254740993" in sent


def test_other_shapes_are_json(visitor: Visitor) -> None:
    """A model of rank 1 has a field for JSON with its sample in it, and answers."""
    choose(visitor, "flat")
    field = visitor.page.get_by_label("Rows as JSON")
    expect(field).not_to_have_value("")
    field.fill("[1.5, 2]")
    visitor.predict()

    assert visitor.sent("/predict")["data"] == [1.5, 2]
    assert visitor.answer.locator("tbody td:nth-child(2)").all_inner_texts() == ["3", "4"]


@pytest.mark.parametrize("text", ["[1, 2", "{}", ""])
def test_what_is_no_json_is_told(visitor: Visitor, text: str) -> None:
    """It is marked at the field and not sent."""
    choose(visitor, "flat")
    field = visitor.page.get_by_label("Rows as JSON")
    expect(field).not_to_have_value("")
    field.fill(text)
    visitor.button("Predict").click()

    expect(visitor.problem).to_contain_text("Not JSON")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert not [request for request in visitor.requests if "/predict?" in request.url]


def test_a_model_that_this_route_does_not_take(visitor: Visitor) -> None:
    """One with two inputs is told, and cannot be asked."""
    choose(visitor, "pair")

    expect(visitor.view("try")).to_contain_text("This model has 2 inputs")
    expect(visitor.button("Predict")).to_be_disabled()
    expect(visitor.button("Batch")).to_be_disabled()


def test_a_run_that_fails_is_told(visitor: Visitor) -> None:
    """A model that refuses a value shows the server's problem, with its status."""
    visitor.expects_status(500)
    choose(visitor, "brittle")
    visitor.has_sample()
    visitor.cell(1, 0).fill("1")
    visitor.button("Predict").click()

    expect(visitor.problem).to_contain_text("(500)")


def test_a_model_that_draws_is_never_cached(visitor: Visitor) -> None:
    """A graph with random numbers passes the cache by, and that is told."""
    choose(visitor, "dice")
    visitor.has_sample()
    visitor.predict()

    expect(visitor.answer).to_contain_text("bypass")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model whose names are HTML."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    (folder / "wine.onnx").write_bytes(WINE.read_bytes())
    names = [*HTML, *METADATA["features"][3:]]
    metadata = {**METADATA, "features": names, "class_names": HTML, "model_name": HTML[0]}
    (folder / "wine.json").write_text(json.dumps(metadata))
    (folder / "other.onnx").write_bytes(models.scale_model())
    with Server(folder) as running:
        yield f"{running.url}/ui/"


@pytest.mark.parametrize("view", ["try", "models", "live", "burst"])
def test_names_are_text(visit: Visit, hostile: str, view: str) -> None:
    """HTML in names of models, features and classes is shown letter by letter and never run."""
    visitor = visit(hostile)
    visitor.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    visitor.open(view)
    expect(visitor.view(view)).to_contain_text(HTML[0])

    assert visitor.page.locator("main img, main b, main script").count() == 0


def test_names_are_text_in_an_answer(visit: Visit, hostile: str) -> None:
    """The class that an answer names is text too."""
    visitor = visit(hostile).open()
    choose(visitor, HTML[0])
    visitor.has_sample()
    visitor.predict()

    expect(visitor.answer.locator(".result")).to_have_text(HTML[2])
    assert visitor.page.locator("main img, main b, main script").count() == 0
