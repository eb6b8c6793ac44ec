"""Large bodies of the Open Inference Protocol: read as small ones are, or refused."""

from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.infer_document import MAX_DOCUMENT_BYTES, MAX_KEYS
from ml_pipeline.engine.wire.infer_request import InferReader, InferRequest
from ml_pipeline.engine.wire.infer_schema import MAX_PARAMETERS
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.errors import BodyTooLarge, InferenceError, InvalidInput

MAX_ROWS = 10_000
ROWS = TensorSpec("x", "float32", (-1, 10))
OTHER = TensorSpec("other", "int64", (-1, 4))
WORDS = TensorSpec("words", "str", (-1, 2))
HALF = TensorSpec("half", "float16", (-1, 2))
SCORES = TensorSpec("scores", "float32", (-1, 2))
NUMBER = np.random.default_rng(5)


def reader(*inputs: TensorSpec) -> InferReader:
    """Of a model with these inputs and two outputs."""
    outputs = (SCORES, TensorSpec("labels", "int64", (-1,)))
    return InferReader(inputs or (ROWS,), outputs, (), MAX_ROWS)


def read(body: bytes, *inputs: TensorSpec, header: bytes | None = None) -> InferRequest:
    """What a body is, read in pieces."""
    return at_once(reader(*inputs).read_in_steps(body, header))


def tensor(spec: TensorSpec, shape: list[int], **fields: Any) -> dict[str, Any]:
    """One input as sent."""
    names = {"float32": "FP32", "int64": "INT64", "str": "BYTES", "float16": "FP16"}
    return {"name": spec.name, "shape": shape, "datatype": names[spec.dtype], **fields}


def dump(*tensors: dict[str, Any], **more: Any) -> bytes:
    """A body of JSON."""
    return msgspec.json.encode({"inputs": tensors, **more})


def values(spec: TensorSpec, rows: int) -> Any:
    """Random rows."""
    return NUMBER.integers(-1000, 1000, (rows, spec.shape[1]))


@pytest.mark.parametrize("form", ["flat", "nested", "both"])
def test_numbers_are_what_they_are_in_a_small_body(form: str) -> None:
    """Flat, nested, or some of each; with what stands beside them."""
    left, right = values(ROWS, 9000), values(OTHER, 9000)
    data = {
        "flat": left.ravel().tolist(),
        "nested": left.tolist(),
        "both": [left[:5].ravel().tolist(), *left[5:].ravel().tolist()],
    }[form]
    body = dump(
        tensor(OTHER, [9000, 4], data=right.ravel().tolist()),
        tensor(ROWS, [9000, 10], data=data, parameters={"a": 1}),
        id='"data":[1]',
        parameters={"timeout": 1500},
        outputs=[{"name": "labels"}],
    )

    found = read(body, ROWS, OTHER)

    assert list(found.inputs) == ["x", "other"]
    assert np.array_equal(found.inputs["x"], left)
    assert found.inputs["x"].dtype == np.float32
    assert np.array_equal(found.inputs["other"], right)
    assert (found.id, found.timeout_seconds) == ('"data":[1]', 0.0015)
    assert [output.index for output in found.outputs] == [1]


def test_strings_may_stand_beside_numbers() -> None:
    """They stay in the document, as far as it may be long."""
    words = [['"data":[1]', "}"], ["]", "\\"]] * 2000
    left = values(ROWS, 4000)
    body = dump(
        tensor(WORDS, [4000, 2], data=[word for row in words for word in row]),
        tensor(ROWS, [4000, 10], data=left.tolist()),
    )

    found = read(body, ROWS, WORDS)

    assert found.inputs["words"].tolist() == words
    assert np.array_equal(found.inputs["x"], left)


def test_binary_strings_are_read_in_pieces() -> None:
    """Each behind its length."""
    words = [f"word {number}" for number in range(18_000)]
    packed = b"".join(len(w).to_bytes(4, "little") + w.encode() for w in words)
    document = dump(tensor(WORDS, [9000, 2], parameters={"binary_data_size": len(packed)}))
    steps = reader(WORDS).read_in_steps(document + packed, b"%d" % len(document))
    pieces = 0

    while True:
        try:
            next(steps)
        except StopIteration as end:
            found = end.value
            break
        pieces += 1

    assert found.inputs["words"].ravel().tolist() == words
    assert pieces >= 4


MANY = values(ROWS, 9000).ravel().tolist()


@pytest.mark.parametrize(
    ("body", "inputs", "error", "told"),
    [
        (dump(tensor(ROWS, [9000, 10], data=MANY[:-1])), (ROWS,), InvalidInput, "found 89999"),
        (dump(tensor(ROWS, [8999, 10], data=MANY)), (ROWS,), InvalidInput, "found more"),
        (dump(tensor(ROWS, [9000, 9], data=MANY)), (ROWS,), InvalidInput, "10 features"),
        (dump(tensor(ROWS, [20_000, 10], data=MANY)), (ROWS,), InvalidInput, "at most 10000 rows"),
        (dump(tensor(ROWS, [9000, 10], data=[*MANY, "a"])), (ROWS,), InferenceError, ""),
        (dump(tensor(ROWS, [9000, 10], data=[[]] * 90_000)), (ROWS,), InvalidInput, "data"),
        (dump(tensor(WORDS, [9000, 2], data=MANY)), (WORDS,), InvalidInput, "expected str"),
        (dump(tensor(HALF, [9000, 2], data=MANY)), (HALF,), InvalidInput, "binary data for FP16"),
        (dump(*[tensor(ROWS, [1, 10], data=[1])] * 900), (ROWS,), InvalidInput, "at most 1 with"),
        (dump(more={"data": MANY}), (ROWS,), InvalidInput, "expected 'x', found none"),
        (dump(tensor(ROWS, [1, 10], data=0), more={"data": MANY}), (ROWS,), InvalidInput, "data"),
        (b'{"inputs":[{"data":[' + b"1," * 99_999, (ROWS,), InferenceError, "was truncated"),
        (b'{"inputs":[{"data":' + b"[" * 999_999, (ROWS,), InferenceError, "too deep"),
    ],
)  # fmt: skip
def test_a_bad_one_is_told_why(
    body: bytes, inputs: tuple[TensorSpec, ...], error: type[InferenceError], told: str
) -> None:
    """With the tensor, the expected and the found."""
    with pytest.raises(error) as caught:
        read(body, *inputs)

    assert told in caught.value.detail
    assert len(caught.value.detail) < 300


def test_what_stands_beside_numbers_has_a_bound() -> None:
    """It is read in one go."""
    texts = ["a" * 1000] * 2000
    body = dump(tensor(WORDS, [1000, 2], data=texts))

    with pytest.raises(BodyTooLarge, match=f"at most {MAX_DOCUMENT_BYTES} bytes of JSON beside"):
        read(body, WORDS)


@pytest.mark.parametrize("place", ["request", "input", "output"])
@pytest.mark.parametrize(
    "parameters", [{"a": [[]]}, {"a": {"b": 1}}, {f"a{n}": 1 for n in range(MAX_PARAMETERS + 1)}]
)
def test_parameters_are_scalars_and_few(place: str, parameters: dict[str, Any]) -> None:
    """As the protocol has it: what is nested would be made for nobody."""
    own = {place: {"parameters": parameters}}
    body = dump(
        tensor(ROWS, [1, 10], data=[1] * 10, **own.get("input", {})),
        outputs=[{"name": "labels", **own.get("output", {})}],
        **own.get("request", {}),
    )

    with pytest.raises(InvalidInput, match="parameters"):
        reader().read(body, None)


@pytest.mark.parametrize("unit", ['"%x":1,', '"%x" : 1,', '"%x\\\\":1,', '"%x\\"":1,'])
def test_keys_are_few(unit: str) -> None:
    """However they are written; what looks like a key in a string is none."""
    keys = "".join(unit % number for number in range(MAX_KEYS))
    body = f'{{"parameters":{{{keys}"z":1}},"inputs":[]}}'.encode()
    word = '":' * 9
    words = dump(tensor(WORDS, [4000, 2], data=[word] * 8000))

    with pytest.raises(BodyTooLarge, match="at most 32768 keys"):
        read(body)
    assert read(words, WORDS).inputs["words"][3999, 1] == word


def test_rows_are_counted_by_their_shape() -> None:
    """Before any value is read, and whatever it is."""
    with pytest.raises(InvalidInput, match="at most 10000 rows, found 10001"):
        reader().read(dump(tensor(ROWS, [10_001, 10], data=["no number"])), None)


def test_outputs_are_as_many_as_the_models() -> None:
    """More must hold one twice."""
    body = dump(tensor(ROWS, [1, 10], data=[1] * 10), outputs=[{"name": "labels"}] * 3)

    with pytest.raises(InvalidInput, match="outputs: expected at most 2, found 3"):
        reader().read(body, None)
