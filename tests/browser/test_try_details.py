"""*Try it*: what is easily wrong by a little: pastes, copies, codes and files of many rows."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.web.samples import METADATA, WINE_ROWS, wine_answers


@pytest.fixture
def visitor(visit: Visit, bare: str) -> Visitor:
    """At the view, with the sample loaded."""
    visitor = visit(bare).open()
    visitor.has_sample()
    return visitor


def test_all_of_a_thousand_rows_are_answered(visitor: Visitor) -> None:
    """Each row of a file has the class and the probabilities that ONNX Runtime gives it."""
    spread = np.random.default_rng(11).normal(1.0, 0.2, size=(1000, len(METADATA["features"])))
    rows = (np.asarray(WINE_ROWS[1]) * spread).round(3).tolist()
    visitor.upload("\n".join(",".join(map(str, row)) for row in rows))
    expect(visitor.button("Predict 1,000 rows")).to_be_visible()
    with visitor.page.expect_response("**/predict?*") as waiting:
        visitor.predict()

    labels, probabilities = wine_answers(rows)
    answer = waiting.value.json()
    assert answer["predictions"] == labels.tolist()
    np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-6)
    for page in range(49):
        visitor.button("Later answers").click()
        expect(visitor.answer).to_contain_text(f"{page * 20 + 21}–{page * 20 + 40} of 1,000")
    last = visitor.answer.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert last == [f"class_{label}" for label in labels[-20:]]


def test_a_number_with_a_comma_is_one_number(visitor: Visitor) -> None:
    """13,32 does not spread over two cells: it is left to the browser, and told by the server."""
    cell = visitor.cell(1, 0)
    visitor.paste(cell, "13,32")

    expect(visitor.cell(1, 1)).to_have_value(str(WINE_ROWS[0][1]))


def test_one_row_of_commas_is_a_row(visitor: Visitor) -> None:
    """A line of CSV goes into its row from wherever it is pasted."""
    visitor.paste(visitor.cell(2, 4), ",".join(map(str, WINE_ROWS[3])))
    visitor.predict()

    assert visitor.sent("/predict")["data"][1] == WINE_ROWS[3]


def test_where_the_clipboard_is_closed_all_is_selected(visit: Visit, bare: str) -> None:
    """Code that is too long to be shown is shown nevertheless, so that all of it is selected."""
    visitor = visit(bare)
    closed = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    visitor.page.add_init_script(closed)
    visitor.open().has_sample()
    visitor.upload("1,2,3,4,5,6,7,8,9,10\n" * 500)
    visitor.button("Copy").click()
    expect(visitor.view("try")).to_contain_text("the code is selected")

    selected = visitor.page.evaluate("getSelection().toString()")
    assert selected.count("[1,2,3,4,5,6,7,8,9,10]") == 500
    assert "which Copy takes too" not in selected


def test_no_code_of_what_cannot_be_asked(visit: Visit, zoo: str) -> None:
    """A model with two inputs shows no code, rather than that of the model before."""
    visitor = visit(zoo).open()
    visitor.has_sample()
    code = visitor.page.get_by_role("region", name="Code of the request")
    expect(code).to_be_visible()
    visitor.page.get_by_label("Model").first.select_option("pair")

    expect(code).to_be_hidden()


def test_an_upload_replaces_an_upload(visitor: Visitor) -> None:
    """The same file can be chosen again, and its rows take the place of those before."""
    for count in (3, 2, 2):
        visitor.upload("1,2,3,4,5,6,7,8,9,10\n" * count)
        expect(visitor.view("try")).to_contain_text(f"{count} rows loaded.")
        expect(visitor.button(f"Predict {count} rows")).to_be_visible()


def test_a_row_that_is_removed_takes_its_fault_away(visitor: Visitor) -> None:
    """After the bad row is gone nothing is marked, and the others are answered."""
    visitor.expects_status(422)
    visitor.cell(2, 3).fill("abc")
    visitor.button("Predict").click()
    expect(visitor.cell(2, 3)).to_have_attribute("aria-invalid", "true")
    visitor.button("Remove row 2").click()
    expect(visitor.page.locator("[aria-invalid]")).to_have_count(0)
    visitor.predict()

    assert visitor.sent("/predict")["data"] == [WINE_ROWS[0], *WINE_ROWS[2:]]


def test_a_batch_of_one_bad_row(visitor: Visitor) -> None:
    """Where no row is answered the reason is told in its place, and the page goes on."""
    for _ in range(len(WINE_ROWS) - 1):
        visitor.button("Remove row 2").click()
    visitor.cell(1, 0).fill("abc")
    visitor.batch()
    expect(visitor.answer).to_contain_text("expected float, found str")
    visitor.cell(1, 0).fill("13.3")
    visitor.batch()

    expect(visitor.answer.locator(".result")).to_have_text("class_2")


def test_the_body_is_what_was_typed(visitor: Visitor) -> None:
    """Numbers go out letter by letter: 1.50 is not made 1.5."""
    visitor.cell(1, 0).fill("1.50")
    visitor.predict()

    body = [r for r in visitor.requests if "/predict?" in r.url][-1].post_data or ""
    assert body.startswith('{"data":[[1.50,')
    assert json.loads(body)["data"][0][0] == 1.5
