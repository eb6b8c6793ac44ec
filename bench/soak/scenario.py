"""What a scenario of `ops/soak` is: something that is done to a server, and what must hold then.

Not here: which scenarios there are (`scenarios`), and what is made of their findings (`command`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Finding(msgspec.Struct, frozen=True):
    """What a scenario has found.

    Attributes:
        tried: What was done, with figures, as the table has it.
        found: What came of it, with figures, likewise.
        broken: Each promise that did not hold, in words with expected and found; empty = all held.
    """

    tried: str
    found: str
    broken: list[str]


class Run:
    """One run of a scenario.

    Args:
        name: Of the scenario, for its progress line.
        folder: An empty one of its own, gone afterwards.
        quick: The short form, for tests: the same promises, less time.
    """

    def __init__(self, name: str, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self._name = name

    def choose(self, long: T, short: T) -> T:
        """Give the one for this form."""
        return short if self.quick else long

    def progress(self, text: str) -> None:
        """Show a line on a terminal that the next one replaces."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self._name}: {text}", end="", file=sys.stderr, flush=True)


class Scenario(msgspec.Struct, frozen=True):
    """One row of the table.

    Attributes:
        name: As in `ops/soak NAME …`.
        promise: What it holds the server to, as the table's first column has it.
        run: Does it.
    """

    name: str
    promise: str
    run: Callable[[Run], Finding]


def equal(what: str, found: object, expected: object) -> list[str]:
    """Give what is broken where two are not the same, in words; else nothing."""
    return [] if found == expected else [f"{what}: expected {expected}, found {found}"]


def at_most(what: str, found: float, most: float, unit: str = "") -> list[str]:
    """Give what is broken where a figure is above its limit, in words; else nothing."""
    if found <= most:
        return []
    return [f"{what}: expected {most:.3g}{unit} at most, found {found:.3g}{unit}"]


def at_least(what: str, found: float, least: float, unit: str = "") -> list[str]:
    """Give what is broken where a figure is below its limit, in words; else nothing."""
    if found >= least:
        return []
    return [f"{what}: expected {least:.3g}{unit} at least, found {found:.3g}{unit}"]
