"""Numbers of the rows, which exporters make to let each row read its own.

`Range(0, B)` differs from row to row and knows their order, so that computing with it couples rows.
Only to pick one's own row by it is harmless.
"""

from collections.abc import Sequence
from dataclasses import replace

from onnx import TensorProto

from ml_pipeline.engine.graph.batch_axis.step import Rule, Step
from ml_pipeline.engine.graph.batch_axis.value import BATCHES, Mixed, Rows, Value, along

KEEP = set("Unsqueeze Squeeze Reshape Expand Identity Transpose Tile".split())
"""Operators that leave numbers as they are."""

WHOLE = (TensorProto.INT32, TensorProto.INT64)
"""Kinds that hold every number."""

BY_NUMBER = {"Gather", "GatherND", "ScatterND"}
"""Operators that pick, or write, whole rows by their numbers in the second operand."""


def numbered(step: Step) -> list[Value]:
    """Make the numbers of all rows, if that is what a `Range` gives: 0, 1, 2, …."""
    (value,) = step.results
    start, delta = step.at(0).constant, step.at(2).constant
    from_0_by_1 = start is not None and delta is not None and [start, delta] == [0, 1]
    if not from_0_by_1 or value.shapes != tuple((batch,) for batch in BATCHES):
        raise Mixed("computes with the number of rows")
    return [replace(value, rows=Rows(0), numbers="each")]


def follow(step: Step, rule: Rule) -> list[Value]:
    """Follow a node of which an operand is numbers.

    Raises:
        Mixed: It computes with them.
    """
    x = step.x
    numbered_too = [v.numbers for v in step.operands[1:] if v is not None and v.numbers]
    if x.numbers == "each" and not numbered_too:
        if step.operator in KEEP or (step.operator == "Cast" and step.attribute("to") in WHOLE):
            return _like(step, rule(step), "each")
        if step.operator == "Concat" and _is_first(step):
            return _like(step, rule(step), "first")
    if step.operator in BY_NUMBER and _its_own(step):
        return _like(step, [step.rows_at(1)], "")
    raise Mixed("computes with the numbers of the rows")


def _its_own(step: Step) -> bool:
    """Whether a node picks, or writes, each row by its own number."""
    by, updates = step.at(1), step.may_be_at(2)
    if step.x.numbers or step.x.rows != Rows(0) or by.rows is None:
        return False
    if step.attribute("axis", 0) or step.attribute("batch_dims", 0):
        return False
    if updates is not None and (updates.numbers or not updates.rows == by.rows == Rows(0)):
        return False
    alone = by.numbers == "each" and by.rows.axis < by.rank - 1 and by.shape[-1] == 1
    return by.numbers == "each" if step.operator == "Gather" else alone or by.numbers == "first"


def _is_first(step: Step) -> bool:
    """Whether a `Concat` puts numbers before what else there is on the last axis."""
    last, rows = step.x.rank - 1, step.x.rows
    named = along(step.attribute("axis", 0), step.x.rank)
    return rows is not None and rows.axis < named == last and step.x.shape[last] == 1


def _like(step: Step, found: Sequence[Rows | None], numbers: str) -> list[Value]:
    return [
        replace(value, rows=rows, numbers=numbers)  # type: ignore[arg-type]
        for value, rows in zip(step.results, found, strict=True)
    ]
