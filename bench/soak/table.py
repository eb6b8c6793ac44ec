"""The table of what the server survives: a row a scenario, as `ops/soak` prints and keeps it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bench import markdown, publish
from bench.soak.scenario import Finding, Scenario
from bench.soak.scenarios import SCENARIOS

HEADER = ("promise", "tried", "found", "`ops/soak`")
KEPT = publish.FOLDER / "soak.json"


def table(findings: Mapping[Scenario, Finding]) -> str:
    """Return the table; a row whose scenario broke its promise says so."""
    rows = []
    for scenario, finding in findings.items():
        found = f"**missed:** {finding.found}" if finding.broken else finding.found
        rows.append((scenario.promise, finding.tried, found, f"`{scenario.name}`"))
    return markdown.table(HEADER, rows, words=len(HEADER))


def kept() -> dict[Scenario, Finding]:
    """Return what is published, in the order of scenarios."""
    known = msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Finding])
    return {scenario: known[scenario.name] for scenario in SCENARIOS if scenario.name in known}


def keep(findings: Mapping[Scenario, Finding]) -> None:
    """Publish what a run has found; what others have found of other scenarios stays."""
    everything = {**kept(), **findings}
    named = {each.name: everything[each] for each in SCENARIOS if each in everything}
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(named)) + b"\n")
    publish.keep("soak", table(kept()))
