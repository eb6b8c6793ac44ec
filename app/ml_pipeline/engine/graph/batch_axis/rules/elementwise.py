"""Operators that work on one element at a time, with broadcasting."""

from collections.abc import Sequence

from ml_pipeline.engine.graph.batch_axis.step import Rule, Step
from ml_pipeline.engine.graph.batch_axis.value import Mixed, NotUnderstood, Rows, Shape, Value


def elementwise(step: Step) -> Sequence[Rows | None]:
    """All operands are broadcast against each other, their last axes aligned."""
    return [aligned(step.operands, max(value.rank for value in step.operands if value))]


def of_first(*others: int) -> Rule:
    """Like the first operand, element by element; `others` may hold rows too, and are broadcast."""

    def rule(step: Step) -> Sequence[Rows | None]:
        step.only(0, *others)
        chosen = [step.may_be_at(place) for place in (0, *others)]
        return step.everywhere(aligned(chosen, step.x.rank))

    return rule


def like_first(step: Step) -> Sequence[Rows | None]:
    """Like the first operand; of the others only the kind of their elements matters."""
    return [step.x.rows]


def dropout(step: Step) -> Sequence[Rows | None]:
    """Nothing, unless it trains; then it draws."""
    training = step.constant(2, "training_mode") if step.may_be_at(2) is not None else None
    if training is not None and training.any():
        raise NotUnderstood("draws at random")
    return step.everywhere(step.x.rows)


def aligned(operands: Sequence[Value | None], rank: int) -> Rows | None:
    """Where the rows are in a tensor of `rank` axes that these are broadcast to.

    Raises:
        Mixed: Rows of one operand would meet other rows of another.
    """
    found: set[Rows] = set()
    for value in operands:
        if value is not None and value.rows is not None:
            found.add(value.rows.moved(value.rows.axis + rank - value.rank))
    if len(found) > 1:
        raise Mixed("has rows along two axes")
    if not found:
        return None
    (rows,) = found
    for value in operands:
        if value is not None and value.rows is None:
            _refuse_by_row(value, rows.axis - (rank - value.rank))
    return rows


def _refuse_by_row(value: Value, axis: int) -> None:
    """Refuse an operand without rows that would not be the same for each of them."""
    if value.counts:
        raise Mixed("computes with the number of rows")
    shape: Shape = value.shape
    if 0 <= axis < len(shape) and shape[axis] != 1:
        raise Mixed("has a constant along the rows")


def quantised(step: Step) -> Sequence[Rows | None]:
    """One scale for all, or one along an axis that is not the rows'."""
    step.only(0)
    rows, scale = step.x.rows, step.at(1)
    assert rows is not None
    if scale.shape not in ((), (1,)):
        blocked = scale.rank == step.x.rank and scale.rank > 1
        axis = step.axis("axis", 1)
        size = scale.shape[rows.axis] if blocked else scale.shape[0] if axis == rows.axis else 1
        if size != 1:
            raise Mixed("has a scale for each place in the batch")
    return [rows]


def alternate(start: int, stride: int) -> Rule:
    """Operands that are broadcast stand at every `stride`-th place, scales between them."""

    def rule(step: Step) -> Sequence[Rows | None]:
        places = range(start, len(step.operands), stride)
        step.only(*places)
        return [aligned([step.may_be_at(p) for p in places], len(step.result_shape()))]

    return rule
