"""Requests of the Open Inference Protocol: bytes to tensors, and all that does not fit."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.infer_request import InferReader, InferRequest
from ml_pipeline.engine.wire.infer_schema import datatypes
from ml_pipeline.errors import InferenceError, InvalidInput, MalformedRequest

ROWS = TensorSpec("x", "float32", (-1, 3))
SCORES, LABELS = TensorSpec("scores", "float32", (-1, 2)), TensorSpec("labels", "int64", (-1,))


def read(
    document: Any,
    *tensors: bytes,
    inputs: tuple[TensorSpec, ...] = (ROWS,),
    outputs: tuple[TensorSpec, ...] = (SCORES, LABELS),
    header: bytes | None = None,
) -> InferRequest:
    """Read a body of JSON and the bytes behind it; with such bytes there is a header."""
    text = document if isinstance(document, bytes) else msgspec.json.encode(document)
    if tensors and header is None:
        header = b"%d" % len(text)
    return InferReader(inputs, outputs).read(text + b"".join(tensors), header)


def one(spec: TensorSpec, shape: Any, **fields: Any) -> dict[str, Any]:
    """A body with one input."""
    tensor = {"name": spec.name, "shape": shape, "datatype": datatypes[spec.dtype], **fields}
    return {"inputs": [tensor]}


@pytest.mark.parametrize(
    "data",
    [
        [1, 2.5, -3, 4, 5, 6],
        [[1, 2.5, -3], [4, 5, 6]],
        [[[1], 2.5], -3, [4, [5, [6]]]],
    ],
    ids=["flat", "nested", "mixed"],
)
def test_values_in_json_lie_row_by_row(data: list[Any]) -> None:
    """Flat, nested or both: the same array."""
    found = read(one(ROWS, [2, 3], data=data)).inputs["x"]

    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2.5, -3], [4, 5, 6]]


numeric = [name for name in datatypes if name not in ("str", "bfloat16")]


@pytest.mark.parametrize("dtype", numeric)
def test_bytes_are_the_array(dtype: str) -> None:
    """Each datatype of numbers travels as its own bytes, little-endian."""
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    spec = TensorSpec("x", dtype, (-1, 3))
    parameters = {"binary_data_size": values.nbytes}

    found = read(one(spec, [2, 3], parameters=parameters), values.tobytes(), inputs=(spec,))

    np.testing.assert_array_equal(found.inputs["x"], values)
    assert found.inputs["x"].dtype == values.dtype


@pytest.mark.parametrize("dtype", [name for name in numeric if name != "float16"])
def test_json_values_become_the_datatype(dtype: str) -> None:
    """Each datatype that JSON has a form for is read from it."""
    spec = TensorSpec("x", dtype, (-1,))
    data = [True, False] if dtype == "bool" else [1, 0]

    found = read(one(spec, [2], data=data), inputs=(spec,)).inputs["x"]

    assert (found.dtype, found.tolist()) == (np.dtype(dtype), data)


def test_aligned_bytes_are_not_copied() -> None:
    """A binary tensor is a view into the body."""
    values = np.arange(6, dtype=np.float32)
    document = msgspec.json.encode(one(ROWS, [2, 3], parameters={"binary_data_size": 24}))
    document += b" " * (-len(document) % 64)

    found = read(document, values.tobytes()).inputs["x"]

    assert found.base is not None
    assert not found.flags.writeable


def test_misaligned_bytes_are_read_right() -> None:
    """Whatever the length of the JSON, the values are those that were sent."""
    values = np.arange(6, dtype=np.float32)
    for padding in range(9):
        document = msgspec.json.encode(one(ROWS, [2, 3], parameters={"binary_data_size": 24}))

        found = read(document + b" " * padding, values.tobytes()).inputs["x"]

        assert found.ravel().tolist() == values.tolist()
        assert found.flags.aligned


def test_nan_and_infinity_pass_in_bytes() -> None:
    """Load generators send random bytes, of which some are no number."""
    values = np.array([[np.nan, np.inf, 1]], np.float32)

    found = read(one(ROWS, [1, 3], parameters={"binary_data_size": 12}), values.tobytes())

    np.testing.assert_array_equal(found.inputs["x"], values)


FREE = TensorSpec("x", "float32", (-1, -1))


@pytest.mark.parametrize(
    ("spec", "shape", "data"),
    [
        (ROWS, [0, 3], []),
        (FREE, [2, 0], []),
        (FREE, [2, 0], [[], []]),
        (TensorSpec("x", "str", (-1,)), [0], []),
        (TensorSpec("x", "float32", (0, 3)), [0, 3], []),
    ],
    ids=["rows", "inner", "nested", "strings", "fixed"],
)
def test_a_free_size_may_be_zero(spec: TensorSpec, shape: list[int], data: list[Any]) -> None:
    """In JSON and in bytes alike: an empty batch is one that ONNX Runtime takes."""
    in_json = read(one(spec, shape, data=data), inputs=(spec,)).inputs["x"]
    in_bytes = read(one(spec, shape, parameters={"binary_data_size": 0}), b"", inputs=(spec,))

    assert in_json.shape == in_bytes.inputs["x"].shape == tuple(shape)
    assert in_json.dtype == in_bytes.inputs["x"].dtype == spec.numpy_dtype


ANY = TensorSpec("x", "float32", (), ranked=False)


@pytest.mark.parametrize("spec", [FREE, ANY], ids=["free", "any"])
def test_sizes_beside_a_zero_are_bounded(spec: TensorSpec) -> None:
    """No bytes of the body stand for them, while a sum over none of them is as long as they say."""
    error = refusal(one(spec, [10**12, 0], data=[]), inputs=(spec,))

    assert error.detail.startswith("inputs.x.shape: expected sizes of at most 1048576 together")


def test_sizes_that_the_model_tells_may_be_large() -> None:
    """No pictures are as many, however large one is."""
    spec = TensorSpec("x", "float32", (-1, 3, 4096, 4096))

    found = read(one(spec, [0, 3, 4096, 4096], data=[]), inputs=(spec,)).inputs["x"]

    assert found.shape == (0, 3, 4096, 4096)


@pytest.mark.parametrize("shape", [[], [2], [1, 2], [0, 4]], ids=str)
def test_an_input_without_a_shape_takes_any(shape: list[int]) -> None:
    """Its file does not tell the number of dimensions."""
    values = np.ones(shape, np.float32)

    found = read(one(ANY, shape, data=values.ravel().tolist()), inputs=(ANY,)).inputs["x"]

    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("shape", "words"),
    [([1] * 65, "at most 64"), ([-1], "at least 0"), ([2, 2], "expected 4 values")],
    ids=["deep", "negative", "more"],
)
def test_an_input_without_a_shape_has_bounds(shape: list[int], words: str) -> None:
    """Those of an array, and of the values that are there."""
    assert words in refusal(one(ANY, shape, data=[1]), inputs=(ANY,)).detail


def test_raw_bytes_need_a_shape() -> None:
    """Which neither they nor such a model have."""
    detail = refusal(b"abcd", header=b"0", inputs=(ANY,)).detail

    assert detail == "body: expected JSON that gives the shape, found raw bytes"


def test_a_model_may_have_no_inputs() -> None:
    """It is asked with an empty list of them."""
    assert read({"inputs": []}, inputs=()).inputs == {}


WORDS = TensorSpec("words", "str", (-1, 2))


def strings(*texts: str) -> bytes:
    """Each behind its length."""
    return b"".join(len(t.encode()).to_bytes(4, "little") + t.encode() for t in texts)


def test_strings_come_in_json_and_bytes() -> None:
    """Both forms give the same strings, empty and beyond ASCII too."""
    texts = ["a", "", "ü€", "longer"]
    packed = strings(*texts)
    binary = one(WORDS, [2, 2], parameters={"binary_data_size": len(packed)})

    in_json = read(one(WORDS, [2, 2], data=texts), inputs=(WORDS,)).inputs["words"]
    in_bytes = read(binary, packed, inputs=(WORDS,)).inputs["words"]

    assert in_json.tolist() == in_bytes.tolist() == [["a", ""], ["ü€", "longer"]]


LEFT, RIGHT = TensorSpec("left", "float32", (-1, 1)), TensorSpec("right", "int64", (-1, 2))


def test_inputs_mix_json_and_bytes() -> None:
    """One request may hold both; the bytes lie in the order of the JSON."""
    left, right = np.array([[5]], np.float32), np.array([[7, 8]], np.int64)
    body = {
        "inputs": [
            {"name": "right", "shape": [1, 2], "datatype": "INT64",
             "parameters": {"binary_data_size": 16}},
            {"name": "left", "shape": [1, 1], "datatype": "FP32", "data": [5]},
        ]
    }  # fmt: skip

    found = read(body, right.tobytes(), inputs=(LEFT, RIGHT)).inputs

    assert list(found) == ["left", "right"]
    assert (found["left"].tolist(), found["right"].tolist()) == (left.tolist(), right.tolist())


def test_scalar_has_no_dimensions() -> None:
    """A tensor of shape [] has one value."""
    spec = TensorSpec("rate", "int64", ())

    assert read(one(spec, [], data=[16000]), inputs=(spec,)).inputs["rate"].shape == ()


def test_raw_body_is_the_input_alone() -> None:
    """With a header of 0 the body is one row of the only input, and all outputs come as bytes."""
    values = np.array([1, 2, 3], np.float32)

    found = InferReader((ROWS,), (SCORES, LABELS)).read(values.tobytes(), b"0")

    assert found.inputs["x"].tolist() == [[1, 2, 3]]
    assert [(o.index, o.binary) for o in found.outputs] == [(0, True), (1, True)]


def test_raw_body_settles_one_free_size() -> None:
    """Beside the rows one size may be open: the number of bytes tells."""
    spec = TensorSpec("x", "uint8", (-1, -1, 2))

    found = InferReader((spec,), (SCORES,)).read(bytes(range(6)), b"0")

    assert found.inputs["x"].shape == (1, 3, 2)


def test_raw_body_may_be_one_string() -> None:
    """For a model of one string the body is that string."""
    spec = TensorSpec("text", "str", (-1,))

    found = InferReader((spec,), (SCORES,)).read("wörd".encode(), b"0")

    assert found.inputs["text"].tolist() == ["wörd"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [(0, False), (1, False)]),
        ({"parameters": {"binary_data_output": True}}, [(0, True), (1, True)]),
        ({"outputs": [{"name": "labels"}]}, [(1, False)]),
        ({"outputs": [{"name": "labels", "parameters": {"binary_data": True}}]}, [(1, True)]),
        ({"outputs": [{"name": "labels"}, {"name": "scores"}]}, [(1, False), (0, False)]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [
                    {"name": "scores", "parameters": {"binary_data": False}},
                    {"name": "labels"},
                ],
            },
            [(0, False), (1, True)],
        ),
        ({"outputs": []}, [(0, False), (1, False)]),
    ],
)
def test_outputs_are_those_asked_for(
    fields: dict[str, Any], expected: list[tuple[int, bool]]
) -> None:
    """All by default; each as JSON or bytes, as it or the request says."""
    found = read({**one(ROWS, [1, 3], data=[1, 2, 3]), **fields})

    assert [(output.index, output.binary) for output in found.outputs] == expected


def test_parameters_say_how_long_and_how_soon() -> None:
    """`timeout` counts microseconds; unknown parameters and keys are ignored everywhere."""
    body = {
        **one(ROWS, [1, 3], data=[1, 2, 3]),
        "id": "ä-1",
        "model_name": "ignored",
        "parameters": {"timeout": 1500, "priority": 2, "use_cache": True, "other": "a"},
    }

    found = read(body)

    assert (found.id, found.timeout_seconds, found.priority) == ("ä-1", 0.0015, 2)
    assert found.use_cache is True


def test_what_is_not_said_is_none() -> None:
    """An empty id is none, and so are zeros, which clients send for nothing."""
    found = read(
        {**one(ROWS, [1, 3], data=[1, 2, 3]), "id": "", "parameters": {"timeout": 0, "priority": 0}}
    )

    assert (found.id, found.timeout_seconds, found.priority) == ("", None, None)
    assert found.use_cache is None


def refusal(*arguments: Any, **options: Any) -> InferenceError:
    """What a body is refused with."""
    with pytest.raises((InvalidInput, MalformedRequest)) as caught:
        read(*arguments, **options)
    return caught.value


@pytest.mark.parametrize("data", [[1.0, 2, -3e2, 4], [[1.0, 2], [-300, 4.0]]])
def test_a_whole_number_may_be_written_with_a_point(data: Any) -> None:
    """As programs write it whose numbers are all alike."""
    found = read(one(RIGHT, [2, 2], data=data), inputs=(RIGHT,)).inputs["right"]

    assert found.dtype == np.int64
    assert found.tolist() == [[1, 2], [-300, 4]]


@pytest.mark.parametrize("number", [1.5, 1e300])
def test_other_numbers_are_no_integers(number: float) -> None:
    """A half, and one out of the range."""
    error = refusal(one(RIGHT, [1, 2], data=[number, 1]), inputs=(RIGHT,))

    assert error.detail.startswith("inputs.right.data: expected")


def deep(depth: int, *, closed: bool) -> bytes:
    """A body whose data is so many brackets."""
    brackets = b"[" * depth + (b"]" * depth if closed else b"")
    return b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":%b}]}' % brackets


three = {"data": [1, 2, 3]}
bad_bodies: list[Any] = [
    pytest.param(b"", "body", id="nothing"),
    pytest.param(b"{", "body: expected JSON", id="cut"),
    pytest.param(b"[]", "expected object", id="list"),
    pytest.param(b"{}", "inputs: expected a value", id="no-inputs"),
    pytest.param({"inputs": []}, "inputs: expected 'x'", id="empty-inputs"),
    pytest.param({"inputs": 5}, "inputs", id="number"),
    pytest.param({"inputs": [5]}, r"inputs", id="list-of-numbers"),
    pytest.param(b'{"inputs":' + b"[" * 100_000, "inputs[0]", id="deep"),
    pytest.param(deep(100_000, closed=False), "body: expected JSON", id="deep-data"),
    pytest.param(deep(100_000, closed=True), "nesting too deep", id="deep-data-closed"),
    pytest.param(
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,1e999]}]}',
        "inputs.x.data: expected a number of at most 1.8e308",
        id="huge-number",
    ),
    pytest.param(
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,"\xff"]}]}',
        "inputs.x.data: expected strings in UTF-8",
        id="no-text-among-numbers",
    ),
    pytest.param(
        one(ROWS, [1] * 65, **three), "inputs[0].shape: expected at most 64", id="65-dimensions"
    ),
    pytest.param(deep(900, closed=True), "", id="deep-but-readable"),
    pytest.param(one(ROWS, [1, 3]), "neither", id="no-data"),
    pytest.param(one(ROWS, [1, 3], data=5), "values", id="data-is-a-number"),
    pytest.param(one(ROWS, [1, 3], data=None), "found NoneType", id="data-is-null"),
    pytest.param(one(ROWS, [1, 3], data={"a": 1}), "found dict", id="data-is-an-object"),
    pytest.param(one(ROWS, [1, 3], data=[1, 2]), "expected 3 values", id="too-few"),
    pytest.param(one(ROWS, [1, 3], data=[1, 2, 3, 4]), "found more", id="too-many"),
    pytest.param(one(ROWS, [1, 3], data=[1, "2", 3]), "found str", id="word"),
    pytest.param(one(ROWS, [1, 3], data=[1, None, 3]), "found NoneType", id="null"),
    pytest.param(one(ROWS, [1, 3], data=[1, 1e39, 3]), "range", id="too-large"),
    pytest.param(one(ROWS, [3], **three), "dimensions", id="rank"),
    pytest.param(one(ROWS, [1, 2], data=[1, 2]), "3 features", id="features"),
    pytest.param(one(ROWS, [0, 2], data=[]), "3 features", id="no-rows-of-others"),
    pytest.param(one(ROWS, [0, 3], data=[1]), "found 1", id="no-rows-but-a-value"),
    pytest.param(one(ROWS, [0, 3], data=[[1, 2, 3]]), "found more", id="no-rows-but-one"),
    pytest.param(one(ROWS, [-1, 3], **three), "at least 0 rows", id="negative"),
    pytest.param(one(ROWS, [1.5, 3], **three), "shape", id="fraction"),
    pytest.param(one(ROWS, ["1", 3], **three), "shape", id="word-in-shape"),
    pytest.param(one(ROWS, 3, **three), "shape", id="shape-is-a-number"),
    pytest.param(one(ROWS, [4_000_000_000, 3], **three), "12000000000 values", id="huge"),
    pytest.param(
        one(ROWS, [1, 3], data=[1, 2, 3], parameters={"binary_data_size": 0}), "both", id="both"
    ),
    pytest.param(one(ROWS, [1, 3], parameters={"binary_data_size": 12}), "to 0", id="no-bytes"),
    pytest.param(one(ROWS, [1, 3], parameters={"binary_data_size": -1}), "-1", id="size-negative"),
    pytest.param(one(ROWS, [1, 3], parameters={"binary_data_size": "12"}), "'12'", id="size-word"),
    pytest.param(one(ROWS, [1, 3], parameters={"binary_data_size": 1.5}), "1.5", id="size-float"),
    pytest.param(one(ROWS, [1, 3], parameters={"binary_data_size": True}), "True", id="size-bool"),
    pytest.param(one(ROWS, [1, 3], parameters=[]), "parameters", id="parameters-list"),
    pytest.param(
        {"inputs": [{"name": "y", "shape": [1, 3], "datatype": "FP32", **three}]},
        "inputs.y: expected one of x",
        id="unknown-input",
    ),
    pytest.param({"inputs": one(ROWS, [1, 3], **three)["inputs"] * 2}, "found twice", id="twice"),
    pytest.param(
        {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "fp32", **three}]},
        "expected FP32, found 'fp32'",
        id="datatype-case",
    ),
    pytest.param(
        {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "INT64", **three}]},
        "expected FP32, found 'INT64'",
        id="other-datatype",
    ),
    pytest.param(
        {**one(ROWS, [1, 3], **three), "outputs": [{"name": "no"}]},
        "outputs.no: expected one of scores, labels",
        id="unknown-output",
    ),
    pytest.param(
        {**one(ROWS, [1, 3], **three), "outputs": [{"name": "labels"}, {"name": "labels"}]},
        "twice",
        id="output-twice",
    ),
    pytest.param(
        {**one(ROWS, [1, 3], **three), "parameters": {"timeout": -5}}, "timeout", id="timeout"
    ),
    pytest.param(
        {**one(ROWS, [1, 3], **three), "parameters": {"priority": "high"}},
        "priority",
        id="priority",
    ),
    pytest.param(
        {**one(ROWS, [1, 3], **three), "parameters": {"use_cache": 1}}, "use_cache", id="use-cache"
    ),
    pytest.param(
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[NaN,1,2]}]}',
        "body: expected JSON",
        id="bare-nan",
    ),
    pytest.param(
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1e999,1,2]}]}',
        "",
        id="number-without-end",
    ),
    pytest.param(
        b'{"inputs":[{"name":"x","shape":[1' + b"0" * 6000 + b',3],"datatype":"FP32","data":[1]}]}',
        "",
        id="size-of-6000-digits",
    ),
    pytest.param(
        b'{"inputs":[{"name":"\xff","shape":[1,3],"datatype":"FP32","data":[1]}]}',
        "",
        id="not-utf8",
    ),
]


@pytest.mark.parametrize(("body", "told"), bad_bodies)
def test_bad_body_is_told_what_is_wrong(body: Any, told: str) -> None:
    """Each fault is an error of the caller, in words."""
    assert told in refusal(body).detail


@pytest.mark.parametrize(
    "header", [b"x", b"-1", b"1e3", b"", b"999999", b"9" * 400, b" 1", b"\xb2"]
)
def test_header_that_is_no_length_is_refused(header: bytes) -> None:
    """Negative, beyond the body, or no number at all."""
    error = refusal(one(ROWS, [1, 3], **three), header=header)

    assert error.detail.startswith("inference-header-content-length: expected 0 to ")


def test_header_within_the_json_cuts_it_off() -> None:
    """What the header calls JSON is read as such, and nothing else."""
    assert "body: expected JSON" in refusal(one(ROWS, [1, 3], **three), header=b"5").detail


binary = one(ROWS, [2, 3], parameters={"binary_data_size": 24})


@pytest.mark.parametrize(
    ("body", "tensors", "told"),
    [
        (binary, b"\0" * 23, "a whole number to 23, found 24"),
        (binary, b"\0" * 25, "found 1 bytes behind the tensors"),
        (one(ROWS, [2, 3], parameters={"binary_data_size": 20}), b"\0" * 20, "expected 24 bytes"),
        (
            one(ROWS, [2**62, 3], parameters={"binary_data_size": 0}),
            b"",
            "found 0",
        ),
        (one(ROWS, [1, 3], **three), b"\0" * 4, "found 4 bytes"),
    ],
    ids=["short", "left-over", "lying-size", "wraps-to-zero", "bytes-behind-json"],
)
def test_bytes_that_do_not_fill_the_shape_are_refused(
    body: dict[str, Any], tensors: bytes, told: str
) -> None:
    """Sizes are held against the bytes that are there, before anything is allocated."""
    document = msgspec.json.encode(body)

    assert told in refusal(document, tensors, header=b"%d" % len(document)).detail


@pytest.mark.parametrize("fields", [{"data": [1]}, {"parameters": {"binary_data_size": 0}}])
@pytest.mark.parametrize("sign", ["", "-"])
def test_size_of_4000_digits_is_refused_without_repeating_it(
    fields: dict[str, Any], sign: str
) -> None:
    """Python would refuse to write their product down."""
    document = msgspec.json.encode(one(ROWS, [123, 3], **fields))
    document = document.replace(b"123", sign.encode() + b"9" * 4000)

    assert len(refusal(document).detail) < 100


def test_product_that_wraps_around_is_no_size() -> None:
    """2³² × 2³² values are not none."""
    spec = TensorSpec("x", "float32", (-1, -1))
    body = one(spec, [2**32, 2**32], parameters={"binary_data_size": 0})

    assert f"expected {2**66} bytes" in refusal(body, b"", inputs=(spec,), header=None).detail


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (strings("abcd"), "expected 2 strings behind their lengths, found 8 bytes that end"),
        (strings("a", "b", "c"), "expected 2 strings, found more"),
        (strings("a", "b")[:-1], "end within number 1"),
        (strings("abcd") + b"\x01", "end within number 1"),
        (b"\xff\xff\xff\xffabcd", "end within number 0"),
        (b"\0\0\0\0\0\0\0", "expected 2 strings behind their lengths, found 7 bytes"),
        (strings("a") + b"\x01\0\0\0\xff", "UTF-8"),
    ],
    ids=["few", "many", "cut", "cut-length", "huge-length", "short", "no-utf8"],
)
def test_strings_that_do_not_add_up_are_refused(packed: bytes, told: str) -> None:
    """Each length is held against the bytes that are left."""
    body = one(WORDS, [1, 2], parameters={"binary_data_size": len(packed)})

    assert told in refusal(body, packed, inputs=(WORDS,)).detail


def test_booleans_are_bytes_of_zero_or_one() -> None:
    """Another byte is no boolean."""
    spec = TensorSpec("x", "bool", (-1,))
    body = one(spec, [2], parameters={"binary_data_size": 2})

    assert "0 or 1" in refusal(body, b"\x01\x02", inputs=(spec,)).detail


HALF = TensorSpec("x", "float16", (-1,))


def test_half_precision_has_no_json() -> None:
    """FP16 goes as bytes, both ways."""
    values = np.array([1.5], np.float16)
    in_bytes = one(HALF, [1], parameters={"binary_data_size": 2})

    assert "binary data" in refusal(one(HALF, [1], data=[1.5]), inputs=(HALF,)).detail
    assert (
        "binary_data true"
        in refusal(in_bytes, values.tobytes(), inputs=(HALF,), outputs=(HALF,)).detail
    )


@pytest.mark.parametrize("body", [b"", b"\0" * 11, b"\0" * 13], ids=["empty", "short", "long"])
def test_raw_body_of_another_size_is_refused(body: bytes) -> None:
    """One row is so many bytes."""
    with pytest.raises(InvalidInput, match="expected 12 bytes"):
        InferReader((ROWS,), (SCORES,)).read(body, b"0")


def test_raw_body_needs_one_input() -> None:
    """For several inputs nothing tells which the bytes are of."""
    with pytest.raises(InvalidInput, match="left, right"):
        InferReader((LEFT, RIGHT), (SCORES,)).read(b"\0" * 4, b"0")


def test_raw_body_with_two_open_sizes_is_refused() -> None:
    """Nothing tells where one ends."""
    spec = TensorSpec("x", "float32", (-1, -1, -1))

    with pytest.raises(InvalidInput, match="expected JSON that gives the shape"):
        InferReader((spec,), (SCORES,)).read(b"\0" * 16, b"0")


def test_datatypes_cover_every_dtype() -> None:
    """What a model may take has a name on the wire."""
    array: npt.NDArray[Any] = np.zeros(1)

    assert array.dtype.name in datatypes
    assert len(set(datatypes.values())) == len(datatypes)
