"""*Try it*: a prediction as a person makes it, and what the page tells of it."""

import time

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.web.samples import WINE_ROWS, fresh_row


@pytest.fixture
def visitor(visit: Visit, url: str) -> Visitor:
    """At the view, with the sample loaded."""
    visitor = visit(url).open()
    visitor.has_sample()
    return visitor


def type_row(visitor: Visitor, row: int, values: list[float]) -> None:
    """Fill in a row."""
    for column, value in enumerate(values):
        visitor.cell(row, column).fill(str(value))


def only_one_row(visitor: Visitor) -> None:
    """Remove all rows but the first."""
    for _ in range(len(WINE_ROWS) - 1):
        visitor.button("Remove row 2").click()


def test_the_page_opens_with_real_rows(visitor: Visitor) -> None:
    """The sample is there without a click, under the names of the features."""
    headers = visitor.page.get_by_role("region", name="Rows to predict").get_by_role("columnheader")

    assert visitor.cell(1, 0).input_value() == str(WINE_ROWS[0][0])
    assert headers.all_inner_texts()[1:3] == ["alcohol", "malic_acid"]


def test_a_prediction_shows_its_class(visitor: Visitor) -> None:
    """One click on Predict gives the class of the first row, and a bar for each class."""
    visitor.predict()

    expect(visitor.answer.locator(".result")).to_have_text("class_2")
    bars = visitor.answer.get_by_role("progressbar")
    assert [float(bar.get_attribute("value") or "") for bar in bars.all()] == pytest.approx(
        [0.0016139, 0.0008215, 0.9975645], abs=1e-6
    )


def test_each_row_has_its_answer(visitor: Visitor) -> None:
    """With several rows each is listed, and a click on one shows its probabilities."""
    visitor.predict()
    visitor.button("Show row 3").click()

    cells = visitor.answer.get_by_role("region", name="Answers by row").get_by_role("cell")
    assert cells.all_inner_texts()[::3] == ["class_2", "class_0", "class_1", "class_0", "class_2"]
    expect(visitor.answer.locator(".result")).to_have_text("class_1")


def test_the_cache_state_is_told_in_words(visitor: Visitor) -> None:
    """The first time it is computed; the second time it comes from a cache."""
    only_one_row(visitor)
    type_row(visitor, 1, fresh_row())
    visitor.predict()
    first = visitor.answer.inner_text()
    visitor.predict()

    assert "miss – computed, and now in the cache" in first
    assert "not computed" in visitor.answer.inner_text()


def test_without_the_cache(visitor: Visitor) -> None:
    """With the box unchecked the cache is passed by, and seconds make no sense."""
    visitor.page.get_by_label("Use the cache").first.uncheck()
    visitor.predict()

    expect(visitor.answer).to_contain_text("bypass")
    expect(visitor.page.get_by_label("for").first).to_be_disabled()
    assert visitor.sent("/predict")["use_cache"] is False


def test_the_time_line_has_every_phase(visitor: Visitor) -> None:
    """It shows what `Server-Timing` tells, what is left of it, and the way there and back."""
    visitor.predict()
    text = visitor.answer.locator(".timeline").inner_text()

    for phase in ("decode", "cache", "queue", "run", "rest", "server", "network"):
        assert f"\n{phase} " in text
    widths = visitor.answer.locator(".timeline svg").nth(1).locator("rect")
    total = sum(float(each.get_attribute("width") or "") for each in widths.all())
    assert total == pytest.approx(1000, abs=1)


def test_a_batch_answers_each_row_by_itself(visitor: Visitor) -> None:
    """Batch sends each row as a request of its own, in one call, and counts the cache states."""
    visitor.batch()

    sent = visitor.sent("/predict/batch")
    assert [len(member["data"]) for member in sent["requests"]] == [1] * len(WINE_ROWS)
    expect(visitor.answer.locator("tbody tr")).to_have_count(len(WINE_ROWS))
    expect(visitor.answer).to_contain_text("×")


def test_seconds_in_the_cache(visitor: Visitor) -> None:
    """What is typed is sent as `cache_ttl`."""
    visitor.page.get_by_label("for").first.fill("60")
    visitor.predict()

    assert visitor.sent("/predict")["cache_ttl"] == 60


@pytest.mark.parametrize("text", ["0", "soon", "1.5"])
def test_seconds_that_make_no_sense(visitor: Visitor, text: str) -> None:
    """The server's words are shown, and the field that they name is marked."""
    visitor.expects_status(422)
    field = visitor.page.get_by_label("for").first
    field.fill(text)
    visitor.button("Predict").click()

    expect(visitor.problem).to_contain_text("cache_ttl: expected")
    expect(field).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(("text", "found"), [("abc", "found str"), ("", "found null")])
def test_an_error_is_shown_at_its_cell(visitor: Visitor, text: str, found: str) -> None:
    """A cell that is no number is marked and has the focus; no other one is marked."""
    visitor.expects_status(422)
    visitor.cell(3, 4).fill(text)
    visitor.button("Predict").click()

    expect(visitor.problem).to_contain_text("data[2][4]: expected float")
    expect(visitor.problem).to_contain_text(found)
    expect(visitor.cell(3, 4)).to_have_attribute("aria-invalid", "true")
    expect(visitor.cell(3, 4)).to_be_focused()
    expect(visitor.page.locator("[aria-invalid]")).to_have_count(1)


def test_an_error_names_the_cell_as_the_table_does(visitor: Visitor) -> None:
    """Before the server's words, which count from zero, stand the row and the column one sees."""
    visitor.expects_status(422)
    visitor.cell(3, 4).fill("abc")
    visitor.button("Predict").click()

    expect(visitor.problem).to_contain_text("Row 3, flavanoids: data[2][4]: expected float")


def test_an_answer_to_something_else_says_so(visitor: Visitor) -> None:
    """After a change the answer is called one to another request, until there is a new one."""
    changed = visitor.page.get_by_text("The request has changed since this answer.")
    visitor.predict()
    expect(changed).to_be_hidden()
    visitor.cell(1, 1).fill("3")
    expect(changed).to_be_visible()
    visitor.predict()

    expect(changed).to_be_hidden()


def test_an_answer_that_is_slower_than_who_types(visitor: Visitor) -> None:
    """An answer to rows that have changed meanwhile says so, and takes no focus away."""

    def answer_late(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    visitor.page.route("**/predict?*", answer_late)
    visitor.button("Predict").click()
    visitor.cell(2, 2).fill("99")

    expect(visitor.page.get_by_text("The request has changed since this answer.")).to_be_visible()
    expect(visitor.cell(2, 2)).to_be_focused()


def test_an_answer_that_is_not_the_servers(visitor: Visitor) -> None:
    """A page to log in, with status 200, is told, and Predict can be pressed again."""
    page = {"status": 200, "content_type": "text/html", "body": "<h1>Log in</h1>"}
    visitor.page.route("**/predict?*", lambda route: route.fulfill(**page))
    visitor.button("Predict").click()
    expect(visitor.problem).to_contain_text("What answered is not the server")
    visitor.page.unroute("**/predict?*")
    visitor.predict()

    expect(visitor.problem).to_be_hidden()


def test_an_error_goes_with_its_cause(visitor: Visitor) -> None:
    """When the cell is set right the next answer takes the problem away."""
    visitor.expects_status(422)
    visitor.cell(1, 1).fill("x")
    visitor.button("Predict").click()
    expect(visitor.problem).to_be_visible()
    visitor.cell(1, 1).fill("3.24")
    visitor.predict()

    expect(visitor.problem).to_be_hidden()
    expect(visitor.page.locator("[aria-invalid]")).to_have_count(0)


def test_a_bad_member_of_a_batch(visitor: Visitor) -> None:
    """Its row is marked and told, and the others are answered."""
    visitor.cell(2, 0).fill("abc")
    visitor.batch()

    expect(visitor.answer.locator("tbody tr").nth(1)).to_contain_text("expected float, found str")
    expect(visitor.answer.locator("tbody tr").nth(2)).to_contain_text("class_1")
    expect(visitor.cell(2, 0)).to_have_attribute("aria-invalid", "true")


def test_load_sample_brings_the_rows_back(visitor: Visitor) -> None:
    """What was typed over is the sample again."""
    visitor.cell(1, 0).fill("1")
    visitor.button("Load sample").click()

    expect(visitor.cell(1, 0)).to_have_value(str(WINE_ROWS[0][0]))
