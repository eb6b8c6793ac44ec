"""The suite's models with their first sizes freed, and what neighbours in a run do to a request.

A variant keeps as inputs those whose first size is freed; the others become weights of their
recorded values, as a model in service has them. `verdict_of` runs requests together and apart with
ONNX Runtime alone, which is what the verdict of the graph reader must not contradict:

    for variant, truth in truths(all_variants(all_cases())): ...
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from ml_pipeline.engine.graph.nodes import must_be_given
from tests.backend.isolated import ask_all
from tests.backend.suite import Array, Case, Tensors, differs
from tests.backend.truth import Plain, first_line, unknown_types

NUM_REQUESTS = 8
RTOL, ATOL = 1e-5, 1e-7
"""Within which rows run together equal rows run apart; the latter as some linear operators differ
in their last bits between sizes of a batch."""

MOST_BYTES = 50_000_000
"""Of a model: larger ones take too long to be asked 8 times."""


class Variant(NamedTuple):
    """A model with a free first size.

    Attributes:
        name: The case's, and which inputs were freed: `shared` or `first`.
        model: The file.
        requests: Inputs of each, with different numbers of rows.
    """

    name: str
    model: bytes
    requests: list[Tensors]


Verdict = Literal["apart", "couples", "refuses", "random"]


class Mixing(NamedTuple):
    """What rows that share a run do to each other.

    Attributes:
        verdict: `apart`: no answer changes. `couples`: one does, or has another number of rows, or
            the run is refused. `refuses`: fewer than two requests run even alone. `random`: the
            same request alone is answered in two ways.
        why: Where it shows, for people.
        requests: Those that run alone.
        answers: Of each of them, alone.
    """

    verdict: Verdict
    why: str = ""
    requests: Sequence[Tensors] = ()
    answers: Sequence[list[Any]] = ()


def all_variants(cases: Iterable[Case]) -> Iterator[Variant]:
    """Make the variants of each case that has any."""
    for case in cases:
        if len(case.model) < MOST_BYTES and not case.name.startswith("light/"):
            yield from variants_of(case)


def variants_of(case: Case) -> Iterator[Variant]:
    """Free all inputs whose first size is the first input's, and then that one alone."""
    inputs = case.data[0].inputs if case.data else {}
    values = {name: value for name, value in inputs.items() if value is not None}
    ranked = [name for name, value in values.items() if value.ndim]
    if len(values) < len(inputs) or not ranked:
        return
    first = ranked[0]
    shared = [name for name in ranked if len(values[name]) == len(values[first])]
    for label, names in (("shared", shared), ("first", [first])):
        if label == "shared" or len(shared) > 1:
            model = _freed(onnx.load_from_string(case.model), values, names)
            if model is not None:
                drawn = np.random.default_rng(len(case.name))
                requests = [
                    {name: draw_rows(values[name], 1 + k % 3, k, drawn) for name in names}
                    for k in range(NUM_REQUESTS)
                ]
                yield Variant(f"{case.name}/{label}", model, requests)


def _freed(model: onnx.ModelProto, values: Tensors, names: list[str]) -> bytes | None:
    """Free the first sizes of some inputs, and make the others weights; shapes are told no more."""
    graph = model.graph
    kept = []
    for described in must_be_given(graph):
        if not described.type.HasField("tensor_type"):
            return None
        if described.name in names:
            size = described.type.tensor_type.shape.dim
            if not size:
                return None
            size[0].Clear()
            size[0].dim_param = "rows"
            kept.append(described)
        elif described.name in values:
            dtype = described.type.tensor_type.elem_type
            graph.initializer.append(_weight(values[described.name], described.name, dtype))
    del graph.input[:], graph.value_info[:]
    graph.input.extend(kept)
    for output in graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    model.ir_version = max(model.ir_version, 4)  # before, each weight had to be an input too
    content: bytes = model.SerializeToString()
    return content


def _weight(value: Array, name: str, dtype: int) -> onnx.TensorProto:
    if dtype == onnx.TensorProto.BFLOAT16:
        return onnx.helper.make_tensor(name, dtype, value.shape, value.tobytes(), raw=True)
    return numpy_helper.from_array(value, name)


def draw_rows(recorded: Array, num_rows: int, turn: int, drawn: np.random.Generator) -> Array:
    """Draw rows of the recorded values in another order; floats of another scale each turn.

    Args:
        recorded: Values `[b, …]`; with none at all there are none to draw.
        num_rows: How many.
        turn: Decides the scale.
        drawn: Where chance comes from.
    """
    shape = (num_rows, *recorded.shape[1:])
    if not recorded.size:
        return np.zeros(shape, recorded.dtype)
    rows = drawn.choice(recorded.ravel(), shape)
    if rows.dtype.kind == "f":
        noise = 1 + 0.1 * drawn.standard_normal(shape)
        rows = (rows * noise * (1.0, 1.0, 0.01, 30.0)[turn % 4]).astype(recorded.dtype)
    return np.asarray(rows)


def verdict_of(variant: Variant) -> Mixing:
    """Run requests alone, all together, and by twos; in this process."""
    try:
        plain = Plain(variant.model)
    except Exception as error:
        return Mixing("refuses", f"load: {first_line(error)}")
    if types := unknown_types(plain.types):
        return Mixing("refuses", f"types: {', '.join(types)}")
    requests, answers, why = [], [], ""
    for request in variant.requests:
        try:
            answers.append(plain.run(request))
            requests.append(request)
        except Exception as error:
            why = f"run: {first_line(error)}"
    if len(requests) < 2:
        return Mixing("refuses", why)
    if any(differs(plain.run(r), a, 0, 0) for r, a in zip(requests, answers, strict=True)):
        return Mixing("random", "", requests, answers)
    groups = [list(range(len(requests))), *map(list, combinations(range(len(requests)), 2))]
    for group in groups:
        members = [requests[i] for i in group]
        if why := _mixed(plain, members, [answers[i] for i in group]):
            return Mixing("couples", f"requests {group}: {why}", requests, answers)
    return Mixing("apart", "", requests, answers)


def _mixed(plain: Plain, requests: list[Tensors], apart: list[list[Any]]) -> str:
    """Tell how requests run together are answered otherwise than apart; empty if they are not."""
    rows = [len(next(iter(request.values()))) for request in requests]
    inputs = {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}
    try:
        together = plain.run(inputs)
    except Exception as error:
        return f"refused together: {first_line(error)}"
    start = 0
    for num_rows, alone in zip(rows, apart, strict=True):
        stop = start + num_rows
        for place, (output, own) in enumerate(zip(together, alone, strict=True)):
            if np.shape(output)[:1] != (sum(rows),) or np.shape(own)[:1] != (num_rows,):
                return (
                    f"output {place}: shape {np.shape(output)} for {sum(rows)} rows, "
                    f"{np.shape(own)} for {num_rows}"
                )
        if where := differs([output[start:stop] for output in together], alone, RTOL, ATOL):
            return where
        start = stop
    return ""


def truths(variants: Iterable[Variant]) -> Iterator[tuple[Variant, Mixing | str]]:
    """Ask of each in a process of its own; a text where that ended or hung."""
    yield from ask_all(verdict_of, variants)
