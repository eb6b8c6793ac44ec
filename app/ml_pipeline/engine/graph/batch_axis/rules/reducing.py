"""Operators that reduce or normalise along axes."""

from collections.abc import Sequence

from ml_pipeline.engine.graph.batch_axis.rules.elementwise import aligned
from ml_pipeline.engine.graph.batch_axis.step import Rule, Step
from ml_pipeline.engine.graph.batch_axis.value import Mixed, Rows, along


def reduce_(step: Step) -> Sequence[Rows | None]:
    """Some axes become one element, all of them where none is named."""
    step.only(0)
    rows, axes = step.x.rows, step.constant(1, "axes")
    assert rows is not None
    if axes is None or len(axes) == 0:
        if step.attribute("noop_with_empty_axes", 0):
            return [rows]
        raise Mixed("reduces the whole batch to one number")
    reduced = [along(int(axis), step.x.rank) for axis in axes]
    return [_reduced(rows, reduced, bool(step.attribute("keepdims", 1)))]


def arg(step: Step) -> Sequence[Rows | None]:
    """The place of the largest or smallest along one axis, by default the first."""
    step.only(0)
    rows = step.x.rows
    assert rows is not None
    return [_reduced(rows, [step.axis("axis", 0)], bool(step.attribute("keepdims", 1)))]


def _reduced(rows: Rows, axes: Sequence[int], keep: bool) -> Rows:
    if rows.axis in axes:
        raise Mixed("reduces over the batch")
    return rows if keep else rows.moved(rows.axis - sum(axis < rows.axis for axis in axes))


def along_axis(default: int) -> Rule:
    """Normalises along one axis."""

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(0)
        _check_apart(step.x.rows, [step.axis("axis", default)])
        return [step.x.rows]

    return rule


def softmax(step: Step) -> Sequence[Rows | None]:
    """Along one axis; before version 13 along all from that axis on. QLinearSoftmax names it."""
    step.only(0)
    version = step.attribute("opset", 13) if step.domain else step.version
    old = version < 13
    axis = step.axis("axis", 1 if old else -1)
    _check_apart(step.x.rows, range(axis, step.x.rank) if old else [axis])
    return [step.x.rows]


def _check_apart(rows: Rows | None, axes: Sequence[int]) -> None:
    if rows is not None and rows.axis in axes:
        raise Mixed("normalises over the batch")


def from_axis(*broadcast: int) -> Rule:
    """Normalises from an axis on to the last; `broadcast` are added to the first operand before."""

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(0, *broadcast)
        axis = step.axis("axis", -1)
        places = [step.may_be_at(place) for place in (0, *broadcast)]
        rows = aligned(places, step.x.rank)
        _check_apart(rows, range(axis, step.x.rank))
        return step.everywhere(rows)

    return rule


def batch_norm(step: Step) -> Sequence[Rows | None]:
    """By known mean and variance; those of the batch are taken in training alone."""
    step.only(0)
    rows = step.x.rows
    assert rows is not None
    in_training = step.attribute("training_mode", 0) or (step.version < 14 and step.num_outputs > 1)
    if in_training or rows.axis == 1:
        raise Mixed("normalises over the batch")
    return [rows]


def mean_variance(step: Step) -> Sequence[Rows | None]:
    """Over axes that hold the batch unless others are named."""
    step.only(0)
    axes = [along(axis, step.x.rank) for axis in step.attribute("axes") or (0, 2, 3)]
    _check_apart(step.x.rows, axes)
    return [step.x.rows]


def loss(step: Step) -> Sequence[Rows | None]:
    """A loss a row, unless it is averaged or added up."""
    step.only(0, 1)
    if step.attribute("reduction", "mean") != "none":
        raise Mixed("adds up over the batch")
    rows = step.x.rows
    if rows is None or rows.axis != 0 or step.rows_at(1) != rows:
        raise Mixed("has rows in different places")
    return step.everywhere(rows)


def fourier(step: Step) -> Sequence[Rows | None]:
    """A transform along an axis that an operand names, or an attribute before version 20."""
    step.only(0)
    axis = step.constant(2, "axis")
    at = (-2 if step.version >= 20 else 1) if axis is None else axis
    _check_apart(step.x.rows, [along(int(at), step.x.rank)])
    return [step.x.rows]
