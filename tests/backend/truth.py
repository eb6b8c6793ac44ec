"""What ONNX Runtime alone says of a model: asked in a process of its own, as some end theirs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import onnxruntime as ort

from ml_pipeline.engine.signature.bfloat import run_with_bfloats
from ml_pipeline.engine.signature.tensor import TensorSpec, type_names
from tests.backend.suite import ATOL, RTOL, Array, Case, Tensors, differs

ort.set_default_logger_severity(4)


class Truth(NamedTuple):
    """What ONNX Runtime does with a case.

    Attributes:
        refused: Why it does not load or run it; empty if it does.
        types: Of all inputs and outputs.
        answers: Outputs of each data set.
        random: Whether it answers the same in two ways.
    """

    refused: str
    types: Sequence[str] = ()
    answers: Sequence[list[Any]] = ()
    random: bool = False


class Plain:
    """An `InferenceSession` with everything default but its threads."""

    def __init__(self, model: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = ort.InferenceSession(model, options)
        given = [*self._session.get_inputs(), *self._session.get_overridable_initializers()]
        self.types = [each.type for each in (*given, *self._session.get_outputs())]
        self._specs = [
            TensorSpec(each.name, type_names[each.type], ())
            for each in given
            if each.type in type_names
        ]

    def run(self, inputs: Tensors) -> list[Any]:
        """Give the outputs, bfloat16 as uint16."""
        if "tensor(bfloat16)" not in self.types:
            return list(self._session.run(None, inputs))
        names = [each.name for each in self._session.get_outputs()]
        return list(run_with_bfloats(self._session, names, inputs, self._specs))


def ask(case: Case) -> Truth:
    """Load a case's model and run its data sets."""
    try:
        plain = Plain(case.model)
    except Exception as error:
        return Truth(f"load: {first_line(error)}")
    if unknown_types(plain.types):
        return Truth("", plain.types)
    try:
        # Thrice: the first two draws of a Dropout are equal, as its generator takes 0 for 1.
        first, _, third = ([plain.run(given(d.inputs)) for d in case.data] for _ in range(3))
        random = any(differs(a, b, RTOL, ATOL) for a, b in zip(first, third, strict=True))
        return Truth("", plain.types, first, random)
    except Exception as error:
        return Truth(f"run: {first_line(error)}", plain.types)


def given(inputs: dict[str, Array | None]) -> Tensors:
    """Leave out what is not given."""
    return {name: value for name, value in inputs.items() if value is not None}


def first_line(error: Exception) -> str:
    """Say it shortly."""
    return str(error).strip().split("\n")[0][:120]


def unknown_types(types: Sequence[str]) -> list[str]:
    """Pick those that the server has no form for."""
    return sorted({each for each in types if each not in type_names})
