"""What must hold: the targets of `targets.toml`, and how a run's figures are judged by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bench.machine import ROOT
from bench.markdown import number, table

PATH = ROOT / "bench" / "targets.toml"


class TargetError(ValueError):
    """The targets cannot be read."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure, and what it must be at most or at least.

    Attributes:
        what: Its name, by which the measurement knows it.
        seed: What users of such servers know, as text.
        how: Where the figure comes from, as text.
    """

    what: str
    most: float | None = None
    least: float | None = None
    unit: str = ""
    seed: str = ""
    how: str = ""

    def __post_init__(self) -> None:
        if (self.most is None) == (self.least is None):
            raise ValueError(f"{self.what}: expected either most or least")

    @property
    def demand(self) -> str:
        """Return the limit as tables have it."""
        sign, limit = ("≤", self.most) if self.least is None else ("≥", self.least)
        return f"{sign} {limit:,.12g} {self.unit}".rstrip()

    def is_met(self, value: float) -> bool:
        """Tell whether a figure is on the right side of the limit."""
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )


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

    @property
    def shown(self) -> str:
        """Return the figure with its unit."""
        if self.value is None:
            return "–"
        return f"{number(self.value) if self.value else '0'} {self.target.unit}".rstrip()


def read_targets() -> dict[str, list[Target]]:
    """Return the targets by measurement; those of the load suite are `suite`.

    Raises:
        TargetError: The file has another form.
    """
    try:
        return msgspec.toml.decode(PATH.read_bytes(), type=dict[str, list[Target]])
    except msgspec.MsgspecError as error:
        raise TargetError(f"{PATH.name}: {error}") from error


def judge(name: str, measured: Mapping[str, float | None]) -> list[Verdict]:
    """Judge the figures of a measurement, by their names.

    Raises:
        TargetError: One has no target.
    """
    targets = read_targets().get(name, [])
    if unknown := measured.keys() - {target.what for target in targets}:
        raise TargetError(f"{PATH.name}: expected {', '.join(unknown)} in {name}, found none")
    return [Verdict(target, measured.get(target.what)) for target in targets]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Return what a run prints of them."""
    rows = [(each.mark, each.target.what, each.target.demand, each.shown) for each in verdicts]
    return table(("", "target", "limit", "measured"), rows)
