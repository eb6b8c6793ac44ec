"""docs/benchmarks.md, written whole: the text in `published/`, and the reports that are kept there.

A run keeps its report with `--publish`, as `published/NAME.md`, or what `ops/soak` finds as
`published/soak.json`. The page's own text is `published/benchmarks.md`, in which `$NAME` is the
place of a report.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from bench.machine import ROOT

FOLDER = ROOT / "bench" / "published"
PAGE = ROOT / "docs" / "benchmarks.md"
TEXT = "benchmarks"


def keep(name: str, report: str, *, folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Keep a report in place of the one before, and write the page anew."""
    (folder / f"{name}.md").write_text(report.strip() + "\n")
    page.write_text(render(folder))


def render(folder: Path = FOLDER) -> str:
    """Return the page.

    Raises:
        KeyError: Its text names a report that there is not.
    """
    reports = {path.stem: path.read_text().strip() for path in folder.glob("*.md")}
    return Template(reports.pop(TEXT)).substitute(reports) + "\n"
