"""Modules of the page that need no page: each is imported in the browser and asked."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Browser, bare: str) -> Iterator[Call]:
    """Call a function of a module with JSON, and give what it returns."""
    page = browser.new_page()
    page.goto(bare)

    def ask(module: str, function: str, *arguments: Any) -> Any:
        script = """async ([module, name, given]) => {
          const found = await import(new URL(`js/${module}.js`, location.href));
          return found[name](...given);
        }"""
        return page.evaluate(script, [module, function, list(arguments)])

    yield ask
    page.close()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2", [["a", "b"], ["1", "2"]]),
        ("\ufeffa,b\n", [["a", "b"]]),
        ("1\t2\n3\t4\n", [["1", "2"], ["3", "4"]]),
        ("1;2,5;-3,25\n", [["1", "2.5", "-3.25"]]),
        ("1,5\t2,5\n", [["1.5", "2.5"]]),
        ('"a,b","say ""hi"""\n', [["a,b", 'say "hi"']]),
        ('"two\nlines",x\n', [["two\nlines", "x"]]),
        ("1, 2 ,3\n\n\n4,5,6\n", [["1", "2", "3"], ["4", "5", "6"]]),
        ("1,,3\n", [["1", "", "3"]]),
        (",\n", []),
        ("", []),
        ("7\n8\n", [["7"], ["8"]]),
        ('"a;b",c\n', [["a;b", "c"]]),
    ],
)
def test_csv(call: Call, text: str, rows: list[list[str]]) -> None:
    """Files and clipboards are split into cells (RFC 4180, and what spreadsheets make of it)."""
    assert call("try/csv", "parse", text) == rows


@pytest.mark.parametrize(
    ("rows", "arranged"),
    [
        ([["1", "2"]], [["1", "2"]]),
        ([["b", "a"], ["1", "2"]], [["2", "1"]]),
        ([["B", "A"], ["1", "2"]], [["2", "1"]]),
        ([["b", "x", "a"], ["1", "9", "2"]], [["2", "1"]]),
        ([["b", "a"], ["1"]], [["", "1"]]),
        ([["height", "width"], ["1", "2"]], [["1", "2"]]),
        ([["", "width"], ["1", "2"]], [["", "width"], ["1", "2"]]),
        ([], []),
    ],
)
def test_columns_by_name(call: Call, rows: list[list[str]], arranged: list[list[str]]) -> None:
    """A header tells the order; one of other names is dropped; what may be data is kept."""
    assert call("try/csv", "arrange", rows, ["a", "b"], False)["rows"] == arranged


def test_words_keep_their_commas(call: Call) -> None:
    """In a file of words a comma separates; in what is pasted only a tab does."""
    text = "good, ok\nbad, 1,5\n"

    assert call("try/csv", "parse", text, True) == [["good", "ok"], ["bad", "1", "5"]]
    assert call("try/csv", "parse", text, True, True) == [["good, ok"], ["bad, 1,5"]]
    assert call("try/csv", "parse", "1,5\tx\n", True, True) == [["1,5", "x"]]


@pytest.mark.parametrize(
    "first", [["1,5", "2,5"], ["true", "FALSE"], ["nan", "-inf"], ["1e5", ".5"]]
)
def test_data_is_no_header(call: Call, first: list[str]) -> None:
    """A first row of values is kept, however they are spelt."""
    assert call("try/csv", "arrange", [first, ["1", "2"]], ["a", "b"], False)["rows"][0] == first


def test_columns_of_one_name_count_from_the_left(call: Call) -> None:
    """Names that differ in case alone are told apart; those that do not differ tell nothing."""
    rows = [["AB", "Ab"], ["1", "2"]]

    assert call("try/csv", "arrange", rows, ["Ab", "AB"], False)["rows"] == [["2", "1"]]
    assert call("try/csv", "arrange", rows, ["ab", "ab"], False)["rows"] == [["1", "2"]]


def test_rows_that_do_not_fit_their_header(call: Call) -> None:
    """A row of more cells than the header has names is told, rather than cut."""
    found = call("try/csv", "arrange", [["a", "b"], ["1", "5", "2", "5"]], ["a", "b"], False)

    assert found["fault"] == "Row 1: expected 2 cells, found 4."


@pytest.mark.parametrize(
    ("text", "dtype", "written"),
    [
        ("1", "float32", "1"),
        ("-1.5e-3", "float32", "-1.5e-3"),
        ("+2", "float32", "2"),
        (".5", "float32", "0.5"),
        ("-.5", "float32", "-0.5"),
        ("3.", "float32", "3"),
        ("9007199254740993", "int64", "9007199254740993"),
        ("007", "float32", '"007"'),
        ("1,5", "float32", '"1,5"'),
        ("NaN", "float32", '"NaN"'),
        ("0x10", "int64", '"0x10"'),
        ("", "float32", "null"),
        ("", "str", '""'),
        ("1", "str", '"1"'),
        ('a"b\\', "str", '"a\\"b\\\\"'),
        ("TRUE", "bool", "true"),
        ("true", "float32", '"true"'),
    ],
)
def test_a_cell_as_json(call: Call, text: str, dtype: str, written: str) -> None:
    """Numbers go out as they were typed, and what is none as a string, for the server to name."""
    assert call("try/body", "cellJson", text, dtype) == written


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        ({"useCache": True, "ttl": ""}, {}),
        ({"useCache": True, "ttl": " 60 "}, {"cache_ttl": 60}),
        ({"useCache": True, "ttl": "soon"}, {"cache_ttl": "soon"}),
        ({"useCache": False, "ttl": "60"}, {"use_cache": False}),
    ],
)
def test_bodies(call: Call, choice: dict[str, Any], more: dict[str, Any]) -> None:
    """One request has all rows; a batch has a request a row, each with the same options."""
    one = json.loads(call("try/body", "predictBody", ["[1]", "[2]"], choice))
    many = json.loads(call("try/body", "batchBody", ["[1]", "[2]"], choice))

    assert one == {"data": [[1], [2]], **more}
    assert many == {"requests": [{"data": [[1]], **more}, {"data": [[2]], **more}]}


@pytest.mark.parametrize(
    ("detail", "batch", "place"),
    [
        ("data[3][2]: expected float, found str", False, ("data", 3, 2)),
        ("data[3]: expected 10 features", False, ("data", 3, None)),
        ("data: expected 10 features in each row, found 2", False, ("data", None, None)),
        ("cache_ttl: expected int, found str", False, ("cache_ttl", None, None)),
        ("requests[7].data[0][2]: expected float", True, ("data", 7, 2)),
        ("requests[7].cache_ttl: expected int", True, ("cache_ttl", 7, None)),
        ("body: expected JSON", False, ("other", None, None)),
        ("", False, ("other", None, None)),
    ],
)
def test_where_an_error_is(call: Call, detail: str, batch: bool, place: tuple[Any, ...]) -> None:
    """The server's names of fields lead to a row and a column."""
    found = call("try/place", "placeOf", detail, batch)

    assert (found["field"], found["row"], found["column"]) == place


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("number", 0, "0"),
        ("number", 1234.5, "1,235"),
        ("number", 0.012345, "0.0123"),
        ("number", None, "–"),
        ("seconds", 0.0000214, "21.4 µs"),
        ("seconds", 0.0042, "4.2 ms"),
        ("seconds", 12.34, "12.3 s"),
        ("seconds", None, "–"),
        ("percent", 0.5, "50 %"),
        ("percent", None, "–"),
        ("probability", 0.99756, "99.8 %"),
        ("probability", 0.0001, "< 0.1 %"),
        ("probability", 0, "0.0 %"),
        ("uptime", 59, "59 s"),
        ("uptime", 3661, "1 h 1 min"),
        ("uptime", 86_400, "1 d 0 h"),
        ("uptime", None, "–"),
    ],
)
def test_numbers_for_people(call: Call, function: str, value: float | None, text: str) -> None:
    """Three digits, the unit that fits, and a dash for what is not known."""
    assert call("format", function, value) == text


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([3], 0.99, 3), ([4, 1, 3, 2], 0.5, 2), ([4, 1, 3, 2], 1, 4)],
)
def test_quantiles(call: Call, values: list[float], share: float, found: float | None) -> None:
    """A quantile is a value that was measured; of nothing it is not known."""
    assert call("burst/burst", "quantile", values, share) == found


def test_a_histogram_holds_every_value(call: Call) -> None:
    """Bins follow each other without a gap, and each value is in one that spans it."""
    values = [0.0011, 0.0012, 0.0019, 0.02, 0.5]
    bins = call("burst/burst", "histogram", values)

    assert sum(each["count"] for each in bins) == len(values)
    for one, next_one in pairwise(bins):
        assert one["to"] == pytest.approx(next_one["from"])
    assert bins[0]["from"] <= min(values) < bins[0]["to"]
    assert bins[-1]["from"] <= max(values) < bins[-1]["to"]


def test_server_timing(call: Call) -> None:
    """Phases are read by name; what is no phase is left out."""
    header = "decode;dur=0.021, cache;dur=0.010, total;dur=1.5, odd, x;desc=y"

    found = call("try/timeline", "parseServerTiming", header)
    assert found == {"decode": 0.021, "cache": 0.010, "total": 1.5}
