"""What the server survives, in the short form of `ops/soak`; each scenario is one test."""

from pathlib import Path

import pytest

from bench.project_python import ROOT
from bench.soak.scenario import Finding, Run, Scenario
from bench.soak.scenarios import SCENARIOS
from bench.soak.table import HEADER, TableError, fill_in, read_rows, row
from bench.targets import README

FAULTS = {
    *("kills", "hung_replica", "restarts", "lost_reload"),
    *("disk", "clock", "models", "descriptors"),
}
"""Scenarios in which something breaks that somebody may have to mend."""

TESTS = {"documented", "any_order", "streams", "graphs", "backend"}
"""Scenarios that are tests of other folders with more input; `tensors` is one too, and is run."""

HELD = Finding("100 requests", "none lost", [])
BROKEN = Finding("100 requests", "one lost", ["lost: expected 0, found 1"])


@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if each.name not in TESTS],
    ids=lambda scenario: scenario.name,
)
def test_every_promise_holds(scenario: Scenario, tmp_path: Path) -> None:
    """In the short form, on this machine."""
    finding = scenario.run(Run(scenario.name, tmp_path, quick=True))

    assert finding.broken == []


def test_the_readme_has_a_row_for_each() -> None:
    """With the promise that the scenario holds the server to, in their order."""
    rows = read_rows(README.read_text())

    assert list(rows) == [scenario.name for scenario in SCENARIOS]
    assert [scenario.promise for scenario in SCENARIOS] == [
        line.split("|")[1].strip() for line in rows.values()
    ]


def test_the_runbook_knows_each_fault() -> None:
    """All but a million requests and random graphs, which are none: by the scenario's name."""
    runbook = (ROOT / "ops" / "runbook.md").read_text()

    assert [each.name for each in SCENARIOS if f"`{each.name}`" not in runbook] == [
        "million",
        "graphs",
    ]


def scenario(name: str) -> Scenario:
    """Give one that does nothing."""
    return Scenario(name, f"promise of {name}", lambda _: HELD)


def test_a_row_tells_what_broke() -> None:
    """And one that held does not."""
    assert row(scenario("a"), HELD) == "| promise of a | 100 requests | none lost | `a` |"
    assert "**missed:** one lost" in row(scenario("a"), BROKEN)


def test_rows_of_a_run_are_written_and_others_stay(tmp_path: Path) -> None:
    """Also one that is new; one whose scenario is gone goes."""
    one, other, gone = scenario("one"), scenario("other"), scenario("gone")
    path = tmp_path / "README.md"
    old = [row(other, BROKEN), row(gone, HELD)]
    path.write_text("\n".join(["Before.", "", *HEADER, *old, "", "After."]))

    fill_in(path, [one, other], {one: HELD})

    assert path.read_text().splitlines() == [
        *("Before.", "", *HEADER),
        *(row(one, HELD), row(other, BROKEN), "", "After."),
    ]


def test_a_readme_without_the_table_is_told() -> None:
    """And nothing is written."""
    with pytest.raises(TableError, match="expected a table"):
        read_rows("| another | table |\n|---|---|\n")
