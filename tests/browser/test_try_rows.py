"""*Try it*: rows from a keyboard, a spreadsheet and a file."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor
from tests.web.samples import METADATA, WINE_ROWS, wine_answers

FEATURES: list[str] = METADATA["features"]


@pytest.fixture
def visitor(visit: Visit, bare: str) -> Visitor:
    """At the view, with the sample loaded."""
    visitor = visit(bare).open()
    visitor.has_sample()
    return visitor


def csv(rows: list[list[float]], separator: str = ",") -> str:
    """Write rows as a spreadsheet would."""
    return "".join(separator.join(map(str, row)) + "\r\n" for row in rows)


def test_a_row_is_added_and_removed(visitor: Visitor) -> None:
    """A new row is empty and has the focus; a row that is removed is not sent."""
    visitor.button("Add a row").click()
    expect(visitor.cell(6, 0)).to_be_focused()
    visitor.button("Remove row 6").click()
    visitor.button("Remove row 1").click()
    visitor.predict()

    assert visitor.sent("/predict")["data"] == WINE_ROWS[1:]


def test_cells_from_a_spreadsheet_are_pasted(visitor: Visitor) -> None:
    """Cells go in from the one that has the focus on, and rows that are missing are made."""
    visitor.paste(visitor.cell(5, 8), "7.5\t100\n8.5\t200\n")

    expect(visitor.cell(5, 8)).to_have_value("7.5")
    expect(visitor.cell(5, 9)).to_have_value("100")
    expect(visitor.cell(6, 8)).to_have_value("8.5")
    expect(visitor.cell(6, 7)).to_have_value("")
    expect(visitor.cell(5, 7)).to_have_value(str(WINE_ROWS[4][7]))


def test_a_paste_with_names_goes_by_names(visitor: Visitor) -> None:
    """A header in another order puts each value under its feature, and tells what has no place."""
    names = [*reversed(FEATURES), "price"]
    values = [*reversed(WINE_ROWS[2]), 9.99]
    visitor.paste(visitor.cell(1, 3), "\t".join(names) + "\n" + "\t".join(map(str, values)))
    visitor.predict()

    assert visitor.sent("/predict")["data"][0] == WINE_ROWS[2]
    expect(visitor.view("try")).to_contain_text("the model has no such feature: price")


def test_one_value_is_pasted_as_ever(visitor: Visitor) -> None:
    """A single value is left to the browser, which puts it where the cursor is."""
    cell = visitor.cell(1, 0)
    prevented = cell.evaluate(
        """(element) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "7");
          const options = { clipboardData, bubbles: true, cancelable: true };
          return !element.dispatchEvent(new ClipboardEvent("paste", options));
        }"""
    )

    assert prevented is False


def test_a_file_of_a_thousand_rows(visitor: Visitor) -> None:
    """All of a CSV file's rows are answered as ONNX Runtime answers them, and shown by pages."""
    spread = np.random.default_rng(7).normal(1.0, 0.2, size=(1000, len(FEATURES)))
    rows = (np.asarray(WINE_ROWS[0]) * spread).round(3).tolist()
    visitor.upload(",".join(FEATURES) + "\n" + csv(rows))
    expect(visitor.view("try")).to_contain_text("1,000 rows loaded.")
    visitor.predict()

    expected = [f"class_{label}" for label in wine_answers(rows)[0]]
    lines = visitor.answer.locator("tbody tr td:nth-child(2)")
    assert lines.all_inner_texts() == expected[:20]
    visitor.button("Later answers").click()
    assert lines.all_inner_texts() == expected[20:40]
    expect(visitor.answer).to_contain_text("21–40 of 1,000")
    expect(visitor.view("try").locator(".cells tbody tr")).to_have_count(20)


def test_a_fault_far_down_is_gone_to(visitor: Visitor) -> None:
    """The page of the row that an error names is shown."""
    visitor.expects_status(422)
    rows = [[str(value) for value in WINE_ROWS[0]] for _ in range(300)]
    rows[249][9] = "many"
    visitor.upload("\n".join(",".join(row) for row in rows))
    visitor.button("Predict").click()

    expect(visitor.cell(250, 9)).to_be_focused()
    expect(visitor.cell(250, 9)).to_have_attribute("aria-invalid", "true")


def test_a_file_as_europe_writes_it(visitor: Visitor) -> None:
    """Semicolons separate, and a comma is the decimal point."""
    visitor.upload(csv(WINE_ROWS[1:3], ";").replace(".", ","))
    expect(visitor.view("try")).to_contain_text("2 rows loaded.")
    visitor.predict()

    assert visitor.sent("/predict")["data"] == WINE_ROWS[1:3]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2,3\n", "Row 1: expected 10 cells, found 3."),
        (csv(WINE_ROWS[:2]) + "1,2\n", "Row 3: expected 10 cells, found 2."),
        ("\n\n", "The file has no rows."),
    ],
)
def test_a_file_that_does_not_fit(visitor: Visitor, text: str, told: str) -> None:
    """It is told why, and the table is as it was."""
    visitor.upload(text)

    expect(visitor.view("try")).to_contain_text(told)
    expect(visitor.cell(1, 0)).to_have_value(str(WINE_ROWS[0][0]))


def test_a_header_of_other_names(visitor: Visitor) -> None:
    """Names that are not the model's are dropped, which is told; columns count from the left."""
    header = ",".join(f"column {index}" for index in range(10))
    visitor.upload(f"{header}\n{csv(WINE_ROWS[3:4])}")
    expect(visitor.view("try")).to_contain_text("was taken as a header")
    visitor.predict()

    assert visitor.sent("/predict")["data"] == WINE_ROWS[3:4]
