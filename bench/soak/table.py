"""The README's table of what the server survives: a row a scenario, written by `ops/soak`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.soak.scenario import Finding, Scenario

HEADER = ("| promise | tried | found | `ops/soak` |", "|---|---|---|---|")


class TableError(ValueError):
    """The README has no such table."""


def row(scenario: Scenario, finding: Finding) -> str:
    """Return the row of a scenario; one that broke its promise says so."""
    found = f"**missed:** {finding.found}" if finding.broken else finding.found
    return f"| {scenario.promise} | {finding.tried} | {found} | `{scenario.name}` |"


def read_rows(text: str) -> dict[str, str]:
    """Return the rows of the table in a README's text, by the name of their scenario.

    Raises:
        TableError: There is none.
    """
    lines = text.splitlines()
    if HEADER[0] not in lines:
        raise TableError(f"README.md: expected a table that begins with {HEADER[0]}")
    rows = {}
    for line in lines[lines.index(HEADER[0]) + 2 :]:
        if not line.startswith("|"):
            break
        rows[line.split("|")[-2].strip(" `")] = line
    return rows


def fill_in(
    path: Path, scenarios: Sequence[Scenario], findings: Mapping[Scenario, Finding]
) -> None:
    """Write the table: what this run has found, else the row that was there."""
    text = path.read_text()
    rows = read_rows(text)
    new = [
        row(each, findings[each]) if each in findings else rows[each.name]
        for each in scenarios
        if each in findings or each.name in rows
    ]
    path.write_text(text.replace("\n".join([*HEADER, *rows.values()]), "\n".join([*HEADER, *new])))
