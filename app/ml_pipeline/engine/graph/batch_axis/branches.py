"""`If`, `Loop` and `Scan`: nodes that hold graphs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from onnx import GraphProto, NodeProto

from ml_pipeline.engine.graph.batch_axis.value import (
    BATCHES,
    Mixed,
    NotUnderstood,
    Rows,
    Shape,
    Value,
)
from ml_pipeline.engine.graph.nodes import attribute

Operands = Sequence[Value | None]
Scope = dict[str, Value]


class Follower(Protocol):
    """Follows graphs."""

    def graph(self, graph: GraphProto, scope: Scope) -> list[Value]:
        """Follow a graph, and give its outputs."""


MOST_ROUNDS = 4
"""In which what a loop carries has to settle: rows move once, or the loop mixes them."""

ROUNDS = 7
"""Taken for how often a loop runs that does not tell: any size that is not the batch's does."""


def follow_if(follower: Follower, node: NodeProto, operands: Operands, scope: Scope) -> list[Value]:
    """Follow the branch that is taken; both where a request decides which, but not its rows."""
    condition = operands[0]
    assert condition is not None
    if condition.fault is not None:
        return [Value(fault=condition.fault)] * len(node.output)
    if condition.rows is not None:
        raise Mixed("chooses for all rows by their values")
    if condition.counts:
        raise Mixed("chooses by the number of rows")
    branches = [attribute(node, name) for name in ("then_branch", "else_branch")]
    if condition.constant is not None and not condition.guessed:
        branches = branches[:1] if condition.constant.reshape(-1)[0] else branches[1:]
    taken = [follower.graph(branch, dict(scope)) for branch in branches]
    return [_joined(values) for values in zip(*taken, strict=True)]


def _joined(values: Sequence[Value]) -> Value:
    """What is known whichever of these it is."""
    first = values[0]
    faults = [value.fault for value in values if value.fault is not None]
    if faults:
        return Value(fault=min(faults, key=lambda fault: fault.verdict))
    if len({(v.rows, v.shapes, v.order, v.padding, v.numbers) for v in values}) > 1:
        raise NotUnderstood("has branches of different shapes")
    counts = any(value.counts for value in values)
    if first.data is not None and first.rows is None:
        return Value(kind=first.kind, shapes=first.shapes, counts=counts)
    return replace(first, data=None, counts=counts)


def follow_loop(
    follower: Follower, node: NodeProto, operands: Operands, scope: Scope
) -> list[Value]:
    """Go round until what is carried has settled; how often it runs must not depend on rows."""
    body = attribute(node, "body")
    for decider in operands[:2]:
        if decider is None:
            continue
        if decider.fault is not None:
            return [Value(fault=decider.fault)] * len(node.output)
        if decider.rows is not None or decider.counts:
            raise Mixed("runs as often as the rows say")
    carried = [_unsettled(value) for value in operands[2:]]
    for _ in range(MOST_ROUNDS):
        inner = dict(scope)
        counter = Value(kind=7, shapes=((),) * len(BATCHES))
        going = Value(kind=9, shapes=((),) * len(BATCHES))
        for given, value in zip(body.input, [counter, going, *carried], strict=True):
            inner[given.name] = value
        goes_on, *results = follower.graph(body, inner)
        after = [_unsettled(value) for value in results[: len(carried)]]
        if [_place(value) for value in after] == [_place(value) for value in carried]:
            if goes_on.fault is not None:
                return [Value(fault=goes_on.fault)] * len(node.output)
            if goes_on.rows is not None or goes_on.counts:
                raise Mixed("ends when the rows say so")
            rounds = _rounds(operands[0])
            return [*after, *(_stacked(value, rounds) for value in results[len(carried) :])]
        carried = after
    raise NotUnderstood("moves rows from round to round")


def _rounds(most: Value | None) -> int:
    """How often a loop runs, if that is a number and the loop does not end before."""
    return ROUNDS if most is None or most.constant is None else int(most.constant.item())


def _unsettled(value: Value | None) -> Value:
    """What is carried from round to round has elements that nobody knows."""
    if value is None:
        raise NotUnderstood("lacks what it carries")
    return replace(value, data=None)


def _place(value: Value) -> tuple[object, ...]:
    hidden = value.numbers, value.padding, value.order
    return value.rows, value.shapes, value.fault, value.counts, *hidden


def _stacked(value: Value, rounds: int) -> Value:
    """What is gathered from all rounds, along a new first axis."""
    rows = None if value.rows is None else value.rows.moved(value.rows.axis + 1)
    shapes = value.shapes and tuple((rounds, *shape) for shape in value.shapes)
    return replace(value, rows=rows, shapes=shapes or None, data=None)


def follow_scan(
    follower: Follower, node: NodeProto, operands: Operands, scope: Scope
) -> list[Value]:
    """Go along an axis of some operands; rows stay apart unless it is theirs."""
    body, num_scanned = attribute(node, "body"), attribute(node, "num_scan_inputs")
    values = [value for value in operands if value is not None]
    if len(values) != len(body.input):
        raise NotUnderstood("has a batch of its own, as in its first version")
    for name in ("scan_input_axes", "scan_input_directions", "scan_output_axes"):
        if any(attribute(node, name) or ()):
            raise NotUnderstood("goes along another axis than the first, or backwards")
    states, scanned = values[:-num_scanned], values[-num_scanned:]
    if any(value.rows is not None and value.rows.axis == 0 for value in scanned):
        raise Mixed("goes along the batch")
    slices = [_slice(value) for value in scanned]
    carried = [_unsettled(value) for value in states]
    for _ in range(MOST_ROUNDS):
        inner = dict(scope)
        for given, value in zip(body.input, [*carried, *slices], strict=True):
            inner[given.name] = value
        results = follower.graph(body, inner)
        after = [_unsettled(value) for value in results[: len(carried)]]
        if [_place(value) for value in after] == [_place(value) for value in carried]:
            length = scanned[0].shape[0]
            return [*after, *(_stacked(value, length) for value in results[len(carried) :])]
        carried = after
    raise NotUnderstood("moves rows from round to round")


def _slice(value: Value) -> Value:
    """One round's part of what is scanned."""
    rows = None if value.rows is None else Rows(value.rows.axis - 1, *value.rows[1:])
    shapes: tuple[Shape, ...] | None = value.shapes and tuple(s[1:] for s in value.shapes)
    return replace(value, rows=rows, shapes=shapes, data=None)


FOLLOWED = {"If": follow_if, "Loop": follow_loop, "Scan": follow_scan}
"""By operator."""
