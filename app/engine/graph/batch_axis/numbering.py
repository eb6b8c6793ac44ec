"""Numbers of the rows, which exporters make to let each row read its own.

`Range(0, B)` differs from row to row and knows their order, so that computing with it couples rows.
Only to pick one's own row by it is harmless.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.engine.graph.batch_axis.step import Rule, Step
from app.engine.graph.batch_axis.value import BATCHES, Mixed, Rows, Value, along

KEEP = set("Unsqueeze Squeeze Reshape Expand Cast Identity Transpose Tile".split())
"""Operators that leave numbers as they are."""


def numbered(step: Step) -> list[Value]:
    """Make the numbers of all rows, if that is what a `Range` gives."""
    (value,) = step.results
    if value.shapes != tuple((batch,) for batch in BATCHES):
        raise Mixed("computes with the number of rows")
    return [replace(value, rows=Rows(0), numbers="each")]


def follow(step: Step, rule: Rule) -> list[Value]:
    """Follow a node of which an operand is numbers.

    Raises:
        Mixed: It computes with them.
    """
    x = step.x
    if step.operator in KEEP and x.numbers == "each":
        return _like(step, rule(step), "each")
    last = along(step.attribute("axis", -1), x.rank) == x.rank - 1
    if step.operator == "Concat" and x.numbers == "each" and last:
        return _like(step, rule(step), "first")
    if step.operator in ("Gather", "GatherND") and not x.numbers and x.rows == Rows(0):
        by = step.at(1)
        own = by.numbers == ("each" if step.operator == "Gather" else "first")
        at_front = not step.attribute("axis", 0) and not step.attribute("batch_dims", 0)
        if own and at_front:
            return _like(step, [by.rows], "")
    raise Mixed("computes with the numbers of the rows")


def _like(step: Step, found: Sequence[Rows | None], numbers: str) -> list[Value]:
    return [
        replace(value, rows=rows, numbers=numbers)  # type: ignore[arg-type]
        for value, rows in zip(step.results, found, strict=True)
    ]
