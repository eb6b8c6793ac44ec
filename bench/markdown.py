"""How reports write numbers and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def number(value: float) -> str:
    """Return `value` with three significant digits, thousands with commas."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> str:
    """Return a table; its first columns, so many, are words, the others numbers."""
    marks = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in [header, marks, *rows])


def facts(about: Mapping[str, str]) -> str:
    """Return a list of what is known, by name."""
    return "\n".join(f"- {name}: {value}" for name, value in about.items())
