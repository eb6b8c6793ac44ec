"""What a measurement prints: Markdown tables, targets beside the numbers, where they come from.

Not here: what is known of the machine (`machine`).
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bench.machine import describe, disturbance, processor_time


@dataclass(frozen=True, slots=True)
class Target:
    """A number and what it has to be: at most the limit, or at least."""

    what: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the number is on the right side of its limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(slots=True)
class Report:
    """The text of one command, and the raw numbers behind it."""

    title: str
    command: str
    raw: dict[str, Any] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)
    _time_at_start: Mapping[str, float] = field(default_factory=processor_time)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; all columns but the first are numbers."""
        self._parts.append(markdown(header, rows))

    def note(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(text)

    def targets(self, targets: Sequence[Target]) -> None:
        """Add the table of targets."""
        rows = [
            (
                target.what,
                number(target.measured),
                f"{'≥' if target.at_least else '≤'} {number(target.limit)}",
                "ok" if target.met else "**missed**",
            )
            for target in targets
        ]
        self.table(("target", "measured", "limit", "verdict"), rows)

    def finish(self, json_path: Path | None) -> None:
        """Print everything, and keep the raw numbers where `json_path` says."""
        about = describe() | {"lost": disturbance(self._time_at_start), "command": self.command}
        facts = "\n".join(f"- {key}: {value}" for key, value in about.items())
        print("\n\n".join([f"## {self.title}", *self._parts, facts]))
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            json_path.write_text(json.dumps({"about": about, **self.raw}, indent=2) + "\n")


def parser(
    text: str | None, *, rounds: int, seconds: int | None = None, model: Path | None = None
) -> argparse.ArgumentParser:
    """Return the options of a command, with their defaults; a module's docstring is its help.

    `--seconds` and `--model` exist where they have a default.
    """
    options = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    if seconds is not None:
        options.add_argument(
            "--seconds", type=int, default=seconds, help="of one load (default: %(default)s)"
        )
    if model is not None:
        options.add_argument("--model", type=Path, default=model, help="default: the bundled one")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the raw numbers")
    return options


def begin(title: str, options: argparse.ArgumentParser) -> tuple[Report, argparse.Namespace]:
    """Read the command line; from here on SIGTERM unwinds, so that servers are stopped too."""
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, _unwind)
    command = shlex.join([f"bench/{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    return Report(title, command), arguments


def number(value: float) -> str:
    """Return `value` with three significant digits, thousands with commas."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; all columns but the first are numbers."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(map(_line, [header, marks, *rows]))


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _unwind(signal_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)
