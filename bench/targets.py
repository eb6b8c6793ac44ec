"""The README's table of targets: the one place where they stand, read, judged and filled in.

A row is `| what ≤ limit unit | seed figure | ours | how measured |`. What it measures is decided in
`suite.checks`, by its `what`; a test fails if a row has no check, or a check no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.project_python import ROOT
from bench.report import number
from bench.suite.results import Results

README = ROOT / "README.md"
HEADER = "| target | seed figure | ours | how measured |"
CELL = re.compile(r"(?P<what>.+) (?P<sign>[≤≥]) (?P<limit>\d[\d,]*(?:\.\d+)?)(?: (?P<unit>.+))?")

Check = Callable[[Results], float | None]


class TargetError(ValueError):
    """The table cannot be read."""


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the table: what must be at most, or at least, the limit.

    Attributes:
        seed: What users of such servers know, as text.
        how: Where the figure comes from, as text.
    """

    what: str
    sign: str
    limit: float
    unit: str
    seed: str
    how: str

    @property
    def demand(self) -> str:
        """Return the limit as the table has it."""
        return f"{self.sign} {self.limit:,.12g}{f' {self.unit}' if self.unit else ''}"

    def is_met(self, value: float) -> bool:
        """Tell whether a figure is on the right side of the limit."""
        return value >= self.limit if self.sign == "≥" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and the figure of a run: None if that run did not measure it."""

    target: Target
    value: float | None

    @property
    def missed(self) -> bool:
        """Whether it was measured and is on the wrong side."""
        return self.value is not None and not self.target.is_met(self.value)

    @property
    def mark(self) -> str:
        """Return ✓, ✗, or – for what was not measured."""
        if self.value is None:
            return "–"
        return "✗" if self.missed else "✓"


def read_targets(text: str) -> list[Target]:
    """Return the rows of the table in a README's text.

    Raises:
        TargetError: There is no table, or one of its rows is not of the form above.
    """
    lines = text.splitlines()
    if HEADER not in lines:
        raise TargetError(f"README.md: expected a table that begins with {HEADER}")
    targets = []
    for line in lines[lines.index(HEADER) + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        found = CELL.fullmatch(cells[0]) if len(cells) == HEADER.count("|") - 1 else None
        if found is None:
            raise TargetError(
                f"README.md: expected | what ≤ limit unit | … | … | … |, found {line}"
            )
        limit = float(found["limit"].replace(",", ""))
        targets.append(
            Target(found["what"], found["sign"], limit, found["unit"] or "", cells[1], cells[3])
        )
    return targets


def judge(
    targets: Sequence[Target], checks: Mapping[str, Check], results: Results
) -> list[Verdict]:
    """Measure every target; KeyError for one without a check."""
    return [Verdict(target, checks[target.what](results)) for target in targets]


def fill_in(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write the figures of a run into the table's column `ours`; what it has not measured stays."""
    text = path.read_text()
    for verdict in verdicts:
        if verdict.value is None:
            continue
        target = verdict.target
        start = re.escape(f"| {target.what} {target.sign} ")
        pattern = rf"(?m)^({start}[^|]+\|[^|]*\|)[^|]*(\|)"  # the seed figure may be empty
        shown = f"**missed:** {shown_value(verdict)}" if verdict.missed else shown_value(verdict)
        text = re.sub(pattern, lambda found, new=shown: f"{found[1]} {new} {found[2]}", text)  # type: ignore[misc]
    path.write_text(text)


def shown_value(verdict: Verdict) -> str:
    """Return the figure with its unit."""
    if verdict.value is None:
        return "–"
    shown = number(verdict.value) if verdict.value else "0"
    return f"{shown} {verdict.target.unit}".rstrip()
