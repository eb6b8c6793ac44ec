"""Operators that give the same elements another shape, or repeat them."""

from collections.abc import Sequence
from math import prod

from ml_pipeline.engine.graph.batch_axis.rules.elementwise import aligned
from ml_pipeline.engine.graph.batch_axis.step import Step
from ml_pipeline.engine.graph.batch_axis.value import (
    Mixed,
    NotUnderstood,
    P,
    Rows,
    Shape,
    Value,
    along,
)


def reshape(step: Step) -> Sequence[Rows | None]:
    """Find the axis that holds the same blocks as before; none does where rows are cut across."""
    step.only(0)
    rows, shape, result = step.x.rows, step.x.shape, step.result_shape()
    assert rows is not None
    no_axes = step.operator == "Squeeze" and step.constant(1, "axes") is None
    if no_axes and rows.outer * rows.inner == 1:
        raise Mixed("drops the axis of the rows where there is one row")
    return [reshaped(rows, shape, result)]


def reshaped(rows: Rows, shape: Shape, result: Shape) -> Rows:
    """Where rows are after a reshape from `shape` to `result`; row-major, so blocks stay blocks."""
    if prod(shape) != prod(result):
        raise NotUnderstood("has sizes that do not fit what was assumed of the free ones")
    outer = rows.outer * prod(shape[: rows.axis])
    inner = rows.inner * prod(shape[rows.axis + 1 :])
    for axis, size in enumerate(result):
        before, after = prod(result[:axis]), prod(result[axis + 1 :])
        if before and after and not (outer % before or inner % after):
            found = Rows(axis, outer // before, inner // after)
            if found.outer * P * found.inner == size:
                return found
    raise Mixed("cuts across rows")


def transpose(step: Step) -> Sequence[Rows | None]:
    """Axes are permuted, reversed by default."""
    rows = step.x.rows
    assert rows is not None
    order = list(step.attribute("perm") or reversed(range(step.x.rank)))
    return [rows.moved(order.index(rows.axis))]


def expand(step: Step) -> Sequence[Rows | None]:
    """Axes of size 1 are repeated; those of the rows stay."""
    step.only(0)
    if step.x.rows is None:
        return [_repeated(step.x, step.result_shape())]
    return [aligned([step.x], len(step.result_shape()))]


def tile(step: Step) -> Sequence[Rows | None]:
    """Whole axes are repeated, one copy behind the other."""
    step.only(0)
    rows = step.x.rows
    if rows is None:
        return [_repeated(step.x, step.result_shape())]
    repeats = step.at(1).constant
    if repeats is None:
        raise NotUnderstood("repeats rows as often as the graph does not tell")
    return [Rows(rows.axis, rows.outer * int(repeats[rows.axis]), rows.inner)]


def _repeated(value: Value, result: Shape) -> Rows | None:
    """Copies of what is the same for all rows, one a row."""
    found = [axis for axis, size in enumerate(result) if size and size % P == 0]
    if not found:
        return None
    if len(found) > 1:
        raise Mixed("makes a table of rows by rows")
    (axis,) = found
    own = axis - (len(result) - value.rank)
    size = value.shape[own] if own >= 0 else 1
    return Rows(axis, result[axis] // P // size, size)


def uniform(step: Step) -> Sequence[Rows | None]:
    """The same number everywhere, in a shape that may hold the number of rows."""
    step.only()
    return [_repeated(Value(shapes=((),)), step.result_shape())]


def concatenate(step: Step) -> Sequence[Rows | None]:
    """Behind each other along an axis."""
    return _concatenated(step, step.operands)


def concatenate_quantised(step: Step) -> Sequence[Rows | None]:
    """The same; scale and zero point stand behind each operand."""
    places = range(2, len(step.operands), 3)
    step.only(*places)
    return _concatenated(step, [step.at(place) for place in places])


def _concatenated(step: Step, operands: Sequence[Value | None]) -> Sequence[Rows | None]:
    values = [value for value in operands if value is not None]
    with_rows = [value for value in values if value.rows is not None]
    axis = along(int(step.attribute("axis", 0)), with_rows[0].rank)
    places = {value.rows for value in with_rows}
    if len(places) > 1:
        raise Mixed("has rows along two axes")
    (rows,) = places
    assert rows is not None
    if len(with_rows) < len(values):
        raise Mixed("has a constant along the rows")
    return [rows if rows.axis != axis else Rows(axis, rows.outer * len(values), rows.inner)]


def split(step: Step) -> Sequence[Rows | None]:
    """Cut along an axis."""
    step.only(0)
    rows = step.x.rows
    if rows is not None and rows.axis == step.axis("axis", 0):
        raise Mixed("splits the batch")
    return step.everywhere(rows)
