"""Operators that pick or place elements by number, or order them."""

from collections.abc import Sequence
from math import prod
from typing import Any

from ml_pipeline.engine.graph.batch_axis.step import Step
from ml_pipeline.engine.graph.batch_axis.value import Array, Mixed, NotUnderstood, Rows, along


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


def by_element(step: Step) -> Sequence[Rows | None]:
    """Elements read or written along an axis, by numbers of the same shape.

    Nothing is broadcast: each operand has the rows in the same place.
    """
    axis = step.axis("axis", 0)
    places = {value.rows for value in step.operands if value is not None}
    if len(places) > 1:
        raise Mixed("reads and writes other rows than its own")
    (rows,) = places
    if rows is None or rows.axis == axis:
        raise Mixed("picks among all rows")
    return [rows]


def gather_nd(step: Step) -> Sequence[Rows | None]:
    """Slices by tuples of numbers: of a table, of each row by its own, or of each row the same."""
    batch_axes, rows, by_rows = step.attribute("batch_dims", 0), step.x.rows, step.rows_at(1)
    if rows is None and by_rows is not None:
        if by_rows.axis == step.at(1).rank - 1:
            raise Mixed("picks by numbers of several rows")
        return [by_rows]
    depth, stack = step.at(1).shape[-1], step.at(1).rank - 1
    if rows is not None and by_rows is None and rows.axis >= batch_axes + depth:
        return [rows.moved(rows.axis - batch_axes - depth + stack)]
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
    return [rows]


def one_hot(step: Step) -> Sequence[Rows | None]:
    """A new axis with one entry a number."""
    step.only(0)
    rows = step.x.rows
    assert rows is not None
    axis = step.axis("axis", -1, step.x.rank + 1)
    return [rows if rows.axis < axis else rows.moved(rows.axis + 1)]


def top_k(step: Step) -> Sequence[Rows | None]:
    """The largest along an axis, in order."""
    most = step.may_be_at(1)
    if most is not None and most.counts:
        raise Mixed("computes with the number of rows")
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
    own = of_lengths is None or (rows == of_lengths.moved(batch))
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
