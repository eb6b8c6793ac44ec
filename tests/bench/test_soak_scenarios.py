"""What the server survives, in the short form of `ops/soak`; each scenario is one test."""

from pathlib import Path

import pytest

from bench import publish
from bench.machine import ROOT
from bench.soak.scenario import Finding, Run, Scenario
from bench.soak.scenarios import SCENARIOS
from bench.soak.table import kept, table

FAULTS = {
    *("kills", "hung_replica", "restarts", "lost_reload"),
    *("disk", "clock", "models", "descriptors"),
}
"""Scenarios in which something breaks that somebody may have to mend."""

TESTS = {"documented", "any_order", "streams", "bombs", "graphs", "backend"}
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


def test_each_is_published() -> None:
    """With the promise that the scenario holds the server to, in their order."""
    findings = kept()

    assert list(findings) == list(SCENARIOS)
    assert table(findings) in publish.PAGE.read_text()


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
    held, broken = table({scenario("a"): HELD, scenario("b"): BROKEN}).splitlines()[2:]

    assert held == "| promise of a | 100 requests | none lost | `a` |"
    assert "**missed:** one lost" in broken
