"""ONNX's own backend suite: its models, with the inputs and outputs that were recorded for them.

They come with the `onnx` package: models of single operators as code that makes them, others as
files. Arrays are as the server has them: bfloat16 as the uint16 of the same bits.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests

from ml_pipeline.engine.graph.nodes import must_be_given

Array = npt.NDArray[Any]
Tensors = dict[str, Array]

FOLDERS = ("simple", "pytorch-converted", "pytorch-operator")
RTOL, ATOL = 1e-3, 1e-7
"""How far an answer may be from the recorded one: the suite's own."""


class DataSet(NamedTuple):
    """Inputs by name, and outputs in the order of the graph; None for what is no tensor."""

    inputs: dict[str, Array | None]
    outputs: list[Array | None]


class Case(NamedTuple):
    """A model of the suite: its kind and name there, its file, and what was recorded."""

    name: str
    model: bytes
    data: list[DataSet]


def all_cases() -> list[Case]:
    """Make and read all cases, in the same order each time; 10 s."""
    return [*_of_operators(), *_of_files(), *_light()]


def _of_operators() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they compute is not for us to mend
        tests = load_model_tests(kind="node")
    for test in tests:
        assert test.model is not None
        names = [each.name for each in test.model.graph.input]
        data = [
            DataSet(dict(zip(names, map(_value, given), strict=False)), [_value(o) for o in got])
            for given, got in test.data_sets or ()
        ]
        yield Case(f"node/{test.name}", test.model.SerializeToString(), data)


def _of_files() -> Iterator[Case]:
    for kind in FOLDERS:
        for path in sorted(Path(DATA_DIR, kind).glob("*/model.onnx")):
            model = onnx.load(path)
            inputs, outputs = must_be_given(model.graph), model.graph.output
            data = [
                DataSet(
                    {each.name: _read(folder, "input", i, each) for i, each in enumerate(inputs)},
                    [_read(folder, "output", i, each) for i, each in enumerate(outputs)],
                )
                for folder in sorted(path.parent.glob("test_data_set_*"))
            ]
            yield Case(f"{kind}/{path.parent.name}", path.read_bytes(), data)


def _light() -> Iterator[Case]:
    """Networks whose weights are made by their graphs; their only input counts from 0 to 1."""
    for path in sorted(Path(DATA_DIR, "light").glob("*.onnx")):
        model = onnx.load(path)
        [given] = must_be_given(model.graph)
        shape = [size.dim_value for size in given.type.tensor_type.shape.dim]
        count = np.prod(shape)
        values = (np.arange(count).reshape(shape) / count).astype(np.float32)
        recorded = onnx.load_tensor(path.with_name(f"{path.stem}_output_0.pb"))
        data = DataSet({given.name: values}, [_value(recorded)])
        yield Case(f"light/{path.stem}", path.read_bytes(), [data])


def _read(folder: Path, kind: str, index: int, described: onnx.ValueInfoProto) -> Array | None:
    path = folder / f"{kind}_{index}.pb"
    if not described.type.HasField("tensor_type") or not path.exists():
        return None
    return _value(onnx.load_tensor(path))


def _value(value: Any) -> Array | None:
    if value is None or isinstance(value, list | dict):
        return None
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return array.view(np.uint16)
    return array.astype(object) if array.dtype.kind in "SU" else array


def differs(found: Sequence[Any], expected: Sequence[Any], rtol: float, atol: float) -> str:
    """Tell where outputs are not the expected ones; empty if they are."""
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        if np.shape(one) != np.shape(other):
            return f"output {place}: expected shape {np.shape(other)}, found {np.shape(one)}"
        if one.dtype.kind == "f":
            with np.errstate(all="ignore"):
                same = np.isclose(one, other, rtol=rtol, atol=atol, equal_nan=True)
        else:
            same = np.asarray(one == other)
        if not same.all():
            at = tuple(np.argwhere(~same)[0]) if same.ndim else ()
            return f"output {place}{list(map(int, at))}: expected {other[at]}, found {one[at]}"
    return ""
