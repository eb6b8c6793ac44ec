"""Do the rows of a batch stay apart? Shown from the graph, refuted by it, or neither.

The rows are followed from the inputs to the outputs (`follow.py`); each operator says where they
are behind it, and whether they stay apart (`operators.py` and `rules/`). Where every output has the
rows along its first axis, one by one, an answer does not depend on its neighbours.

What "apart" means: the same function of its own row, computed by the same kernels. Some kernels
round the last bit of a float differently in larger batches.
"""

from collections.abc import Iterator

from onnx import ModelProto, ValueInfoProto

from ml_pipeline.engine.graph.batch_axis.follow import Follower
from ml_pipeline.engine.graph.batch_axis.value import BATCHES, Fault, Rows, Value
from ml_pipeline.engine.graph.nodes import must_be_given
from ml_pipeline.engine.graph.report import Batching

GUESSES = (320, 48, 16, 224)
"""What free inner sizes are taken for, until one lets the graph be followed: a model of images
takes multiples of 32, one of text lines a height of 48. Not 1, at which every axis looks alike."""


def judge(model: ModelProto) -> Batching:
    """Follow the rows, with other sizes for what the inputs leave open while they do not fit."""
    if (reason := _first_size_not_free(model)) is not None:
        return Batching("coupled", "", reason)
    verdict = Batching()
    for guess, apart in _guesses(model):
        verdict = _judge(model, guess, apart)
        if verdict.verdict != "unknown":
            return verdict
    return verdict


def _guesses(model: ModelProto) -> Iterator[tuple[int, int]]:
    """A size, and how far those of other names are from it."""
    free = any(
        size.dim_value < 1
        for given in must_be_given(model.graph)
        for size in given.type.tensor_type.shape.dim[1:]
    )
    if not free:
        yield 0, 0
        return
    for guess in GUESSES:
        yield guess, 32
        yield guess, 0


def _first_size_not_free(model: ModelProto) -> str | None:
    given = must_be_given(model.graph)
    if not given:
        return "the model has no input"
    for each in given:
        tensor = each.type.tensor_type
        if not tensor.HasField("shape"):
            return None  # any rank: followed as unknown
        if not tensor.shape.dim or tensor.shape.dim[0].dim_value > 0:
            return f"input {each.name} has no free first dimension"
    return None


def _judge(model: ModelProto, guess: int, apart: int) -> Batching:
    sizes: dict[str, int] = {}
    scope = {each.name: _input(each, sizes, guess, apart) for each in must_be_given(model.graph)}
    outputs = Follower(model, sizes_are_guessed=guess > 0).graph(model.graph, scope)
    faults = [_fault(o.name, v) for o, v in zip(model.graph.output, outputs, strict=True)]
    fault = min((f for f in faults if f is not None), key=lambda f: f.verdict, default=None)
    if fault is None:
        return Batching("independent", "", "each row is followed through the graph by itself")
    return Batching(fault.verdict, fault.node, fault.reason)


def _input(given: ValueInfoProto, sizes: dict[str, int], guess: int, apart: int) -> Value:
    tensor = given.type.tensor_type
    if not tensor.HasField("shape"):
        return Value(fault=Fault("unknown", "", f"input {given.name} may have any rank"))
    inner = []
    for axis, size in enumerate(tensor.shape.dim[1:], 1):
        name = size.dim_param or f"{given.name} {axis}"
        free = sizes.setdefault(name, guess + apart * len(sizes)) if size.dim_value < 1 else 0
        inner.append(free or size.dim_value)
    shapes = tuple((batch, *inner) for batch in BATCHES)
    return Value(kind=tensor.elem_type, shapes=shapes, rows=Rows(0))


def _fault(name: str, value: Value) -> Fault | None:
    if value.fault is not None:
        return value.fault
    if value.padding is not None:
        return Fault("coupled", "", f"output {name} is padded up to the longest row of the batch")
    if value.numbers:
        return Fault("coupled", "", f"output {name} gives the numbers of the rows")
    if value.order:
        return Fault("coupled", "", f"output {name} has the rows in another order")
    if value.rows == Rows(0):
        return None
    return Fault("coupled", "", f"output {name} does not have one row for each row of the input")
