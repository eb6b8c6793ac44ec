"""Operators that pick, place or cut elements by number."""

from collections.abc import Sequence
from math import prod
from typing import Any

from app.engine.graph.batch_axis.step import Step
from app.engine.graph.batch_axis.value import Array, Mixed, NotUnderstood, Rows, Value, along

LARGEST_BATCH = 65_536
"""Rows in a run at most, whatever is set: a slice that ends later takes all of them."""


def slice_(step: Step) -> Sequence[Rows | None]:
    """A part of some axes; along the rows all of them, for any number of rows."""
    step.only(0)
    rows = step.x.rows
    assert rows is not None
    axes = step.constant(3, "axes")
    starts = step.may_be_at(1)
    count = len(step.attribute("starts") or ()) if starts is None else starts.shape[0]
    named = list(range(count)) if axes is None else [int(axis) for axis in axes]
    for place, axis in enumerate(named):
        if along(axis, step.x.rank) == rows.axis:
            _check_whole(step, place, rows)
        elif any(value and value.counts and not _same(value, place) for value in step.operands):
            raise Mixed("cuts by the number of rows")
    return [rows]


def _same(value: Value, place: int) -> bool:
    """Whether an element is the same for any number of rows."""
    return value.data is not None and len({int(array[place]) for array in value.data}) == 1


def _check_whole(step: Step, place: int, rows: Rows) -> None:
    """Refuse a slice along the rows that leaves some out, or turns them round."""
    for start, stop, stride, size in _bounds(step, place, rows):
        whole = start in (0, -size) and stride == 1
        ends_late = stop >= LARGEST_BATCH * rows.outer * rows.inner
        if not (whole and (ends_late or (stop == size and _counted(step)))):
            raise Mixed("takes a part of the batch")


def _counted(step: Step) -> bool:
    """Whether the end of the slice comes of the number of rows."""
    end = step.may_be_at(2)
    return end is not None and end.counts


def _bounds(step: Step, place: int, rows: Rows) -> list[tuple[int, int, int, int]]:
    """Start, stop, stride and size for each number of rows."""
    shapes, found = step.x.shapes or (), []
    for world, shape in enumerate(shapes):
        start, stop = (_element(step, at, name, world, place) for at, name in _ENDS)
        stride = step.may_be_at(4)
        step_size = 1 if stride is None else _element(step, 4, "steps", world, place)
        found.append((start, stop, step_size, shape[rows.axis]))
    return found


_ENDS = ((1, "starts"), (2, "ends"))


def _element(step: Step, at: int, name: str, world: int, place: int) -> int:
    value = step.may_be_at(at)
    if value is None:
        return int(step.attribute(name)[place])
    if value.data is None:
        raise NotUnderstood(f"takes its {name} from what the graph does not tell")
    return int(value.data[world][place])


def pad(step: Step) -> Sequence[Rows | None]:
    """Adds to both ends of axes; to the rows' nothing."""
    step.only(0)
    rows, pads, axes = step.x.rows, step.constant(1, "pads"), step.constant(3, "axes")
    assert rows is not None
    if pads is None:
        raise NotUnderstood("lacks its pads")
    padded = (
        list(range(step.x.rank)) if axes is None else [along(int(a), step.x.rank) for a in axes]
    )
    half = len(pads) // 2
    for place, axis in enumerate(padded):
        if axis == rows.axis and (pads[place] or pads[place + half]):
            raise Mixed("adds rows of its own to the batch")
    return [rows]


def crop(step: Step) -> Sequence[Rows | None]:
    """Cuts or pads axes at both ends (CenterCropPad), all of them unless some are named."""
    step.only(0)
    rows, axes = step.x.rows, step.attribute("axes") or range(step.x.rank)
    assert rows is not None
    if rows.axis in [along(axis, step.x.rank) for axis in axes]:
        raise Mixed("takes a part of the batch, or adds to it")
    return [rows]


def gather(step: Step) -> Sequence[Rows | None]:
    """Whole slices along an axis, by number: of a table by row, or of each row by a constant."""
    step.only(0, 1)
    axis = step.axis("gather_axis" if step.operator == "GatherBlockQuantized" else "axis", 0)
    rows, by_rows = step.x.rows, step.rows_at(1)
    if rows is not None and by_rows is not None:
        raise Mixed("picks among all rows")
    if by_rows is not None:
        return [by_rows.moved(axis + by_rows.axis)]
    assert rows is not None
    if rows.axis == axis:
        raise Mixed("picks a place in the batch")
    return [rows if rows.axis < axis else rows.moved(rows.axis + step.at(1).rank - 1)]


def gather_elements(step: Step) -> Sequence[Rows | None]:
    """Elements along an axis, by numbers of the same shape."""
    return _within_rows(step, "axis", 0)


def scatter_elements(step: Step) -> Sequence[Rows | None]:
    """Elements put along an axis, by numbers of the same shape."""
    return _within_rows(step, "axis", 0)


def _within_rows(step: Step, name: str, default: int) -> Sequence[Rows | None]:
    """All operands have each row in the same place, and the numbers point along another axis."""
    axis = step.axis(name, default)
    places = {value.rows for value in step.operands if value is not None}
    if len(places) > 1:
        raise Mixed("reads and writes other rows than its own")
    (rows,) = places
    if rows is None or rows.axis == axis:
        raise Mixed("picks among all rows")
    return [rows]


def gather_nd(step: Step) -> Sequence[Rows | None]:
    """Slices by tuples of numbers; those of a row must come from that row."""
    batch_axes, rows, by_rows = step.attribute("batch_dims", 0), step.x.rows, step.rows_at(1)
    if rows is None and by_rows is not None:
        if by_rows.axis == step.at(1).rank - 1:
            raise Mixed("picks by numbers of several rows")
        return [by_rows]
    if rows != by_rows or rows is None or rows.axis >= batch_axes:
        raise Mixed("picks among all rows")
    return [rows]


def scatter_nd(step: Step) -> Sequence[Rows | None]:
    """Slices put by tuples of numbers; the same places in each row, which lies in every slice."""
    data, indices = step.x, step.at(1)
    if indices.rows is not None or data.rows is None:
        raise Mixed("writes to other rows than its own")
    depth, stack = indices.shape[-1], indices.rank - 1
    if data.rows.axis < depth:
        raise Mixed("writes to a place in the batch")
    if step.rows_at(2) != data.rows.moved(data.rows.axis - depth + stack):
        raise Mixed("has a constant along the rows")
    return [data.rows]


def feature_extractor(step: Step) -> Sequence[Rows | None]:
    """Columns by number, along the last axis (ai.onnx.ml)."""
    rows, by_rows = step.x.rows, step.rows_at(1)
    if by_rows is not None:
        if rows is not None:
            raise Mixed("picks among all rows")
        result = step.result_shape()
        flat = len(result) - 1
        outer = prod(step.at(1).shape[: by_rows.axis]) * by_rows.outer
        inner = prod(step.at(1).shape[by_rows.axis + 1 :]) * by_rows.inner
        return [Rows(flat, outer, inner)]
    assert rows is not None
    if rows.axis == step.x.rank - 1:
        raise Mixed("picks a place in the batch")
    return [rows]


def compress(step: Step) -> Sequence[Rows | None]:
    """Keeps the slices of which a condition holds."""
    step.only(0)
    rows = step.x.rows
    if step.attribute("axis") is None or rows is None or rows.axis == step.axis("axis", 0):
        raise Mixed("keeps a part of the batch")
    raise NotUnderstood("keeps as many as the graph does not tell")


def one_hot(step: Step) -> Sequence[Rows | None]:
    """A new axis with one entry a number."""
    step.only(0)
    rows = step.x.rows
    assert rows is not None
    axis = step.axis("axis", -1, step.x.rank + 1)
    return [rows if rows.axis < axis else rows.moved(rows.axis + 1)]


def top_k(step: Step) -> Sequence[Rows | None]:
    """The largest along an axis, in order."""
    step.constant(1, "k")
    return _along_other(step, step.axis("axis", -1))


def cumulative(step: Step) -> Sequence[Rows | None]:
    """Sums or products up to each place of an axis."""
    axis = step.constant(1, "axis")
    if axis is None:
        raise NotUnderstood("lacks its axis")
    return _along_other(step, along(int(_scalar(axis)), step.x.rank))


def _along_other(step: Step, axis: int) -> Sequence[Rows | None]:
    step.only(0)
    rows = step.x.rows
    if rows is not None and rows.axis == axis:
        raise Mixed("orders or adds up rows of the batch")
    return step.everywhere(rows)


def _scalar(array: Array) -> Any:
    return array.reshape(-1)[0]


def reverse_sequence(step: Step) -> Sequence[Rows | None]:
    """The first elements of each row turned round, as many as its length says."""
    batch, time = step.attribute("batch_axis", 1), step.attribute("time_axis", 0)
    rows, of_lengths = step.x.rows, step.rows_at(1)
    own = of_lengths is None or (rows is not None and rows.axis == batch)
    if rows is None or rows.axis == time or not own:
        raise Mixed("turns rows of the batch round")
    if of_lengths is None and rows.axis == batch:
        raise Mixed("has a constant along the rows")
    return [rows]


def triangle(step: Step) -> Sequence[Rows | None]:
    """One half of the last two axes."""
    step.only(0)
    rows = step.x.rows
    if rows is not None and rows.axis >= step.x.rank - 2:
        raise Mixed("cuts a triangle out of the batch")
    return [rows]
