"""What `ops/soak` reads in the report of tests that make up their input."""

from pathlib import Path

from bench.soak.longer_tests import run_tests
from bench.soak.scenario import Run

TESTS = """
import os

def test_one(record_property):
    record_property("requests", int(os.environ["NUM_REQUESTS"]))

def test_other(record_property):
    record_property("requests", 7)
    assert 1 == 2, "not so"
"""


def test_counts_are_added_and_a_failure_is_told(tmp_path: Path) -> None:
    """By the name of its test, with its reason."""
    path = tmp_path / "test_something.py"
    path.write_text(TESTS)

    report = run_tests(Run("name", tmp_path, quick=True), [str(path)], NUM_REQUESTS=5)

    assert (report.num_tests, report.counts) == (2, {"requests": 12})
    [told] = report.broken
    assert told.endswith("test_something.test_other: AssertionError: not so")


def test_tests_that_cannot_run_are_no_success(tmp_path: Path) -> None:
    """What pytest says is told in place of a failure."""
    report = run_tests(Run("name", tmp_path, quick=True), [str(tmp_path / "none.py")])

    assert report.num_tests == 0
    assert "none.py" in " ".join(report.broken)
