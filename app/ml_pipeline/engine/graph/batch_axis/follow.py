"""Follows the rows through a graph, node by node in order of the data."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from onnx import GraphProto, ModelProto, NodeProto

from ml_pipeline.engine.graph.batch_axis import branches, folding, numbering, ordering
from ml_pipeline.engine.graph.batch_axis.operators import RULES
from ml_pipeline.engine.graph.batch_axis.sizes import Inference
from ml_pipeline.engine.graph.batch_axis.step import Step
from ml_pipeline.engine.graph.batch_axis.value import (
    BATCHES,
    Fault,
    Mixed,
    NotUnderstood,
    Rows,
    Value,
)
from ml_pipeline.engine.graph.nodes import attribute, domain_of, title

Scope = dict[str, Value]
"""What is known of each tensor by its name."""

PADS = {"Tokenizer": "pad_value", "StringSplit": ""}
"""Operators that fill rows up to the longest, and the attribute that says with what; else ""."""

SEE_NO_PADDING = {"TfIdfVectorizer", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
"""Operators that padding passes, or that take no notice of it (`rules.learned.ngrams`)."""

SEES_PADDING = "sees how far rows are padded up to the longest"

UNKNOWN = Value(fault=Fault("unknown", "", "is not followed"))


class Follower:
    """Follows graphs of one model.

    Args:
        model: Its functions inlined.
        sizes_are_guessed: Whether inputs leave sizes open that requests decide, beside the rows'.
    """

    def __init__(self, model: ModelProto, *, sizes_are_guessed: bool) -> None:
        self._sizes_are_guessed = sizes_are_guessed
        opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._versions = {"" if name == "ai.onnx" else name: opsets[name] for name in opsets}
        self._inference = Inference(self._versions)

    def graph(self, graph: GraphProto, scope: Scope) -> list[Value]:
        """Follow a graph, and give its outputs; `scope` holds what it can see, and is filled."""
        for tensor in graph.initializer:
            scope[tensor.name] = folding.of_tensor(tensor)
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = folding.of_sparse(sparse)
        for node in graph.node:
            for name, value in zip(node.output, self._node(node, scope), strict=True):
                if name:
                    scope[name] = value
        return [scope.get(output.name, UNKNOWN) for output in graph.output]

    def _node(self, node: NodeProto, scope: Scope) -> list[Value]:
        operands = [scope.get(name, UNKNOWN) if name else None for name in node.input]
        if (follow := branches.FOLLOWED.get(node.op_type)) is not None:
            return guarded(node, lambda: follow(self, node, operands, scope))
        if node.op_type == "Constant":
            return [folding.constant_of(node)]
        version = self._versions.get(domain_of(node), 1)
        if (folded := _folded(node, version, operands)) is not None:
            of_sizes = self._sizes_are_guessed and node.op_type in ("Shape", "Size")
            guessed = of_sizes or any(value is not None and value.guessed for value in operands)
            return [replace(value, guessed=guessed) for value in folded]
        results = guarded(node, lambda: self._inference.results(node, operands))
        if (fault := _inherited(operands) or results[0].fault) is not None:
            return [value.failed(fault) for value in results]
        step = Step(node, version, operands, results)
        return guarded(node, lambda: _settled(step), results)


def guarded(
    node: NodeProto, follow: Callable[[], list[Value]], results: Sequence[Value] = ()
) -> list[Value]:
    """Follow a node; what stands in the way is its outputs' fault, whose sizes may be known."""
    try:
        return follow()
    except Mixed as mixed:
        fault = Fault("coupled", title(node), str(mixed))
    except NotUnderstood as obstacle:
        fault = Fault("unknown", title(node), str(obstacle))
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        fault = Fault("unknown", title(node), f"is odd: {type(error).__name__}")
    return [value.failed(fault) for value in results or [Value()] * len(node.output)]


def _folded(node: NodeProto, version: int, operands: Sequence[Value | None]) -> list[Value] | None:
    first = operands[0] if operands else None
    if node.op_type in ("Shape", "Size") and not domain_of(node) and first is not None:
        if first.padding is not None:
            return [Value(fault=Fault("coupled", title(node), SEES_PADDING))]
        found = folding.shape_of(node, first)
        return None if found is None else [found]
    if any(value is not None and (value.fault or value.rows) for value in operands):
        return None
    return folding.fold(node, version, operands)


def _inherited(operands: Sequence[Value | None]) -> Fault | None:
    """The operands' own fault; one that is understood says more."""
    faults = [value.fault for value in operands if value is not None and value.fault is not None]
    return min(faults, key=lambda fault: fault.verdict, default=None)


def _settled(step: Step) -> list[Value]:
    """Apply the operator's rule, and hold what it says against the sizes."""
    rule = RULES.get(step.domain, {}).get(step.operator)
    counting = [(i, v) for i, v in enumerate(step.operands) if v is not None and v.counts]
    counts = bool(counting)
    if not step.with_rows and not (counts and step.operator in MAKE_ROWS):
        return [_checked(step, replace(value, counts=counts)) for value in step.results]
    if step.operator == "Range":
        return numbering.numbered(step)
    if rule is None:
        raise NotUnderstood("is an operator that is not followed")
    if (sorted_or_back := ordering.follow(step)) is not None:
        return [_checked(step, value) for value in sorted_or_back]
    sizes = MAY_COUNT.get(step.operator, ())
    if any(value.hidden or place not in sizes for place, value in counting):
        raise Mixed("computes with the number of rows")
    if any(value is not None and value.numbers for value in step.operands):
        return [_checked(step, value) for value in numbering.follow(step, rule)]
    padded = any(value is not None and value.padding is not None for value in step.operands)
    if padded and step.operator not in SEE_NO_PADDING:
        # How far is not known, so that the sizes are not, either.
        return [Value(fault=Fault("coupled", title(step.node), SEES_PADDING))] * step.num_outputs
    return [_checked(step, value) for value in _with_rows(step, rule(step))]


MAY_COUNT = {
    "AffineGrid": (1,),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (3,),
    "Slice": (1, 2),
    "Tile": (1,),
    "TopK": (1,),
}
"""Operators that may learn how many rows there are, and the operands that tell them sizes."""

MAKE_ROWS = {"ConstantOfShape", "Expand", "Tile", "Range", "EyeLike"}
"""Operators that make rows out of the number of rows."""


def _with_rows(step: Step, found: Sequence[Rows | None]) -> list[Value]:
    order = ordering.common(step)
    pairs = zip(step.results, found, strict=False)
    values = [replace(value, rows=rows, order=order) for value, rows in pairs]
    for value in step.results[len(values) :]:
        fault = Fault("unknown", title(step.node), "has an output that is not followed")
        values.append(value.failed(fault))
    if step.operator in PADS:
        padding = attribute(step.node, PADS[step.operator], "") if PADS[step.operator] else ""
        values[0] = replace(values[0], padding=padding)
    elif step.operator in SEE_NO_PADDING and step.operator != "TfIdfVectorizer":
        values = [replace(value, padding=step.x.padding) for value in values]
    return values


def _checked(step: Step, value: Value) -> Value:
    """Hold the rows against the sizes for each number of rows: whatever a rule has missed shows.

    Sizes that differ although nothing is known to depend on the rows show what was missed, too.
    """
    if value.fault is not None:
        return value
    if value.shapes is None:
        if value.rows is None and not step.with_rows:
            return value
        return value.failed(Fault("unknown", title(step.node), "gives sizes that nobody knows"))
    if len({len(shape) for shape in value.shapes}) > 1:
        return value.failed(Fault("coupled", title(step.node), FOLLOWS_NOT))
    rows = value.rows
    for batch, shape in zip(BATCHES, value.shapes, strict=True):
        expected = list(value.shapes[-1])
        if rows is not None:
            expected[rows.axis] = rows.outer * batch * rows.inner
        if list(shape) != expected:
            return value.failed(Fault("coupled", title(step.node), FOLLOWS_NOT))
    return value


FOLLOWS_NOT = "gives a size that does not follow the number of rows"
