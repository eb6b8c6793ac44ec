"""Integers beyond 2^53, which a JavaScript number would round, on their way through the page."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests import models
from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.server import Server

ODD = 9007199254740993
LEAST = -(2**63)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Models that answer with the integers they were asked: `rows` and `cubes`."""
    folder = tmp_path_factory.mktemp("exact")
    for name, shape in (("rows", [None, 2]), ("cubes", [None, 1, 2])):
        content = models.graph(
            [models.node("Identity", ["x"], ["y"])],
            [models.tensor("x", "int64", shape)],
            [models.tensor("y", "int64", shape)],
        )
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "rows.json").write_text(json.dumps({"sample": [[ODD, LEAST]]}))
    (folder / "cubes.json").write_text(json.dumps({"sample": [[[ODD, LEAST]]]}))
    with Server(folder) as running:
        yield f"{running.url}/ui/"


def choose(visit: Visit, url: str, model: str) -> Visitor:
    """At the view, with the sample of a model."""
    visitor = visit(url).open()
    visitor.page.get_by_label("Model").first.select_option(model)
    return visitor


def sent(visitor: Visitor) -> str:
    """The last body, as it was on the wire."""
    return [r for r in visitor.requests if "/predict?" in r.url][-1].post_data or ""


def test_a_sample_of_long_integers(visit: Visit, exact: str) -> None:
    """Cells have each digit that the server gave, and the answer has each digit of the cells."""
    visitor = choose(visit, exact, "rows")
    expect(visitor.cell(1, 0)).to_have_value(str(ODD))
    visitor.predict()

    assert json.loads(sent(visitor))["data"] == [[ODD, LEAST]]
    expect(visitor.answer.locator(".result")).to_have_text(f"[{ODD},{LEAST}]")


def test_long_integers_typed_as_json(visit: Visit, exact: str) -> None:
    """The field for JSON neither rounds the sample nor what is typed."""
    visitor = choose(visit, exact, "cubes")
    field = visitor.page.get_by_label("Rows as JSON")
    expect(field).to_have_value(f"[[[{ODD},{LEAST}]]]")
    field.fill(f"[[[{ODD + 2}, 1]]]")
    visitor.predict()

    assert json.loads(sent(visitor))["data"] == [[[ODD + 2, 1]]]
    expect(visitor.answer.locator(".result")).to_have_text(f"[[{ODD + 2},1]]")


@pytest.mark.parametrize("model", ["rows", "cubes"])
def test_a_burst_of_long_integers(visit: Visit, exact: str, model: str) -> None:
    """What a burst sends is the sample, digit by digit."""
    visitor = visit(exact).open("burst")
    visitor.page.get_by_label("Model").select_option(model)
    visitor.page.get_by_label("Requests", exact=True).fill("3")
    visitor.button("Start").click()
    expect(visitor.view("burst")).to_contain_text("3 of 3")

    assert f"{ODD},{LEAST}" in sent(visitor)
