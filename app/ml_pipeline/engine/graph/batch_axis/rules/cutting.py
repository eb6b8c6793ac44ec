"""Operators that cut axes, or add to their ends."""

from collections.abc import Sequence

from ml_pipeline.engine.graph.batch_axis.step import Step
from ml_pipeline.engine.graph.batch_axis.value import Mixed, NotUnderstood, Rows, Value, along

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
