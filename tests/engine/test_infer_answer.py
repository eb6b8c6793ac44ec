"""Answers of the Open Inference Protocol: outputs to bytes, with and without an id."""

from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.heavy import HEAVY_BYTES
from ml_pipeline.engine.wire.infer_answer import InferReply, WrittenOutput, with_id, write_answer
from ml_pipeline.engine.wire.infer_schema import datatypes

SCORES = np.array([[0.25, 0.75], [1, 0]], np.float32)
LABELS = np.array([1, 0], np.int64)


def written(*outputs: tuple[Any, bool], request_id: str = "") -> InferReply:
    """An answer with outputs called o0, o1…"""
    specs = [
        TensorSpec(f"o{i}", "str" if a.dtype.hasobject else a.dtype.name, (-1,) * a.ndim)
        for i, (a, _) in enumerate(outputs)
    ]
    parts = [
        WrittenOutput(spec, array, binary)
        for spec, (array, binary) in zip(specs, outputs, strict=True)
    ]
    return with_id(write_answer("wine", "3", parts), request_id)


def test_json_answer_is_flat_and_has_no_parameters() -> None:
    """C++ clients count the outermost elements, and take parameters for a fault."""
    body, json_length, _ = written((SCORES, False), (LABELS, False))

    assert json_length is None
    assert msgspec.json.decode(body) == {
        "model_name": "wine",
        "model_version": "3",
        "outputs": [
            {"name": "o0", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 1, 0]},
            {"name": "o1", "datatype": "INT64", "shape": [2], "data": [1, 0]},
        ],
    }


def test_id_is_repeated_in_both_forms() -> None:
    """Quotes and all."""
    in_json = written((LABELS, False), request_id='ä "1"')
    in_bytes = written((LABELS, True), request_id='ä "1"')

    assert msgspec.json.decode(in_json.body)["id"] == 'ä "1"'
    assert msgspec.json.decode(in_bytes.body[: in_bytes.json_length])["id"] == 'ä "1"'


def test_bytes_follow_the_json_in_its_order() -> None:
    """JSON outputs have data, binary ones a size and their bytes."""
    body, json_length, _ = written((SCORES, True), (LABELS, False), (LABELS, True))

    outputs = msgspec.json.decode(body[:json_length])["outputs"]
    assert outputs[0] == {
        "name": "o0", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}
    }  # fmt: skip
    assert outputs[1]["data"] == [1, 0]
    assert outputs[2]["parameters"] == {"binary_data_size": 16}
    assert json_length is not None
    assert body[json_length:] == SCORES.tobytes() + LABELS.tobytes()


@pytest.mark.parametrize("dtype", [name for name in datatypes if name not in ("str", "bfloat16")])
def test_every_datatype_is_written_as_its_bytes(dtype: str) -> None:
    """Little-endian, row by row, also where the rows are a part of a batch."""
    values = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)[1:, :1]

    body, json_length, _ = written((values, True))

    assert body[json_length:] == values.tobytes()


def test_strings_are_written_behind_their_lengths() -> None:
    """And as strings in JSON."""
    words = np.array(["a", "", "ü€"], dtype=object)

    in_json = written((words, False))
    body, json_length, _ = written((words, True))

    assert msgspec.json.decode(in_json.body)["outputs"][0]["data"] == ["a", "", "ü€"]
    assert body[json_length:] == b"\1\0\0\0a" + b"\0\0\0\0" + b"\5\0\0\0" + "ü€".encode()


def test_nan_is_null_in_json() -> None:
    """JSON has no NaN; clients read null as one."""
    body, _, _ = written((np.array([np.nan, np.inf, 1.0]), False))

    assert b'"data":[null,null,1.0]' in body


def test_scalar_and_empty_outputs_are_written() -> None:
    """No dimensions is one value; a size of 0 is none."""
    body, json_length, _ = written(
        (np.array(5, np.int32), True), (np.zeros((0, 3), np.float32), True)
    )

    outputs = msgspec.json.decode(body[:json_length])["outputs"]
    assert [(output["shape"], output["parameters"]) for output in outputs] == [
        ([], {"binary_data_size": 4}),
        ([0, 3], {"binary_data_size": 0}),
    ]
    assert body[json_length:] == b"\5\0\0\0"


def test_answer_without_outputs_is_one() -> None:
    """A client may ask for none."""
    assert msgspec.json.decode(written().body)["outputs"] == []


@pytest.mark.parametrize("binary", [(False,), (True,), (False, True)], ids=str)
def test_a_long_answer_is_not_copied(binary: tuple[bool, ...]) -> None:
    """With its id in it, it is what a short one is, and of its parts the long ones are views."""
    spec = TensorSpec("y", "int64", (-1,))
    array = np.arange(HEAVY_BYTES)
    answer = write_answer("wine", "3", [WrittenOutput(spec, array, each) for each in binary])

    body, json_length, rest = with_id(answer, "me")

    whole = b"".join((body, *rest))
    document = msgspec.json.decode(whole[:json_length])
    assert document["id"] == "me"
    assert [output.get("data", array.tolist()) for output in document["outputs"]] == [
        array.tolist()
    ] * len(binary)
    behind = b"" if json_length is None else whole[json_length:]
    assert behind == (array.tobytes() if True in binary else b"")
    assert all(part.obj is answer for part in (body, *rest) if isinstance(part, memoryview))
    assert sum(len(part) for part in (body, *rest) if isinstance(part, bytes)) < 100
