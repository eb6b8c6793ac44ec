"""Every test has a lane, by a table that is up to date, and the unit lane starts no process."""

import subprocess
import sys

import pytest

from tests.lanes import LANES, LINES, SECONDS, TABLE, lane_of, paths_of, seconds_of
from tests.server import ROOT

SHORT = {"tests/a": "unit", "tests/a/test_b.py": "process", "tests/a/test_b.py::test_c": "stack"}


@pytest.mark.parametrize(
    ("test", "lane"),
    [
        ("tests/a/test_x.py::test_c", "unit"),
        ("tests/a/deep/test_b.py::test_c", "unit"),
        ("tests/a/test_b.py::test_x", "process"),
        ("tests/a/test_b.py::test_c[1-tests/a/test_b.py]", "stack"),
        ("tests/a/test_b.py::test_c_too", "process"),
    ],
)
def test_the_longest_line_that_fits_counts(test: str, lane: str) -> None:
    """Folders, modules and tests are told apart by where their names end."""
    assert lane_of(test, SHORT) == lane


def test_a_test_without_a_line_is_an_error() -> None:
    """A new folder has to be put into a lane before it can be run."""
    with pytest.raises(LookupError, match=r"expected a line for tests/ab/test_x\.py::test_c"):
        lane_of("tests/ab/test_x.py::test_c", SHORT)


@pytest.mark.parametrize(("line", "lane"), TABLE.items(), ids=TABLE)
def test_each_line_is_of_something_that_is_there(line: str, lane: str) -> None:
    """What was moved or renamed leaves no line behind, and no lane is misspelt."""
    path, _, function = line.partition("::")

    assert (ROOT / path).exists()
    assert f"def {function}(" in (ROOT / path).read_text() if function else True
    assert lane in LANES


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_is_found_where_its_tests_are(lane: str) -> None:
    """Each line of the table is within one of the paths that `ops/test` gives to pytest."""
    assert [line for line in LINES[lane] if not line.startswith(tuple(paths_of(lane)))] == []


def test_no_path_is_given_twice() -> None:
    """A module whose folder is in the lane as well would be collected a second time."""
    assert paths_of("unit").count("tests/engine") == 1
    assert [path for path in paths_of("unit") if path.startswith("tests/engine/")] == []


@pytest.mark.parametrize("line", SECONDS)
def test_what_may_take_longer_is_there(line: str) -> None:
    """And a test of it is told so, the others are not."""
    assert (ROOT / line).exists()
    assert seconds_of(f"{line}::test_x[1]") == SECONDS[line]
    assert seconds_of("tests/engine/test_x.py::test_x") is None


def test_a_unit_test_cannot_start_a_process() -> None:
    """One that tries is told which lane it is in."""
    with pytest.raises(RuntimeError, match="expected no process of its own in the unit lane"):
        subprocess.run([sys.executable, "--version"])


def test_each_test_has_one_lane(request: pytest.FixtureRequest) -> None:
    """Whatever was collected: as the table says, and no second one by a mark of its own."""
    for item in request.session.items:
        lanes = [mark.name for mark in item.iter_markers() if mark.name in LANES]
        assert lanes == [lane_of(item.nodeid)], item.nodeid
