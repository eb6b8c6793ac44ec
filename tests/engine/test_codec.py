"""Bytes ⇄ numpy: what is sent is what the model gets, and what it gives is what is answered.

Which bodies are refused, and in which words, is in test_explain.py.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml_pipeline.engine.signature.schema import ModelInfo, PredictResponse, WireTensor
from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.batch_body import decode_batch
from ml_pipeline.engine.wire.codec import (
    RequestCodec,
    WireFormat,
    encode,
    mark_cached,
    rows_for_wire,
    tensor_from_bytes,
)
from ml_pipeline.errors import InferenceError, InvalidInput

JSON, MSGPACK = WireFormat.JSON, WireFormat.MSGPACK
both_formats = pytest.mark.parametrize("wire_format", WireFormat, ids=lambda each: each.name)
write: dict[WireFormat, Callable[[Any], bytes]] = {
    JSON: msgspec.json.encode,
    MSGPACK: msgspec.msgpack.encode,
}
matrices = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def codec(
    dtype: str = "float32", shape: tuple[int, ...] = (-1, -1), max_rows: int = 1000
) -> RequestCodec:
    return RequestCodec(TensorSpec("x", dtype, shape), max_rows)


def raw(array: Array) -> dict[str, Any]:
    """A tensor in its raw form."""
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes()}


def packed(array: Array, **others: Any) -> bytes:
    """A MessagePack body with a raw tensor."""
    return msgspec.msgpack.encode({"data": raw(array), **others})


def same(one: Array, other: Array) -> bool:
    """Equal to the bit, with equal dtype and shape."""
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def refused_or_decoded(decode: Callable[[], object]) -> bool:
    """Whether a body ends in a result or one of our errors; any other exception is let out."""
    try:
        decode()
    except InferenceError:
        pass
    return True


@both_formats
def test_rows_become_the_models_array(wire_format: WireFormat) -> None:
    """Nested lists of numbers, whole ones included, arrive as float32 `[b, F]`."""
    request = codec().decode(write[wire_format]({"data": [[1, 2.5], [3.0, -4]]}), wire_format)

    assert same(request.inputs["x"], np.array([[1, 2.5], [3, -4]], np.float32))
    assert request.num_rows == 2


@both_formats
def test_options_have_defaults(wire_format: WireFormat) -> None:
    """A body of nothing but rows uses the cache for the server's time."""
    request = codec().decode(write[wire_format]({"data": [[1.0]]}), wire_format)

    assert (request.use_cache, request.cache_ttl) == (True, None)


@both_formats
@pytest.mark.parametrize("ttl", [1, 60, 30 * 24 * 3600])
def test_options_arrive(wire_format: WireFormat, ttl: int) -> None:
    """`use_cache` and `cache_ttl`, from 1 second to 30 days, are what the body says."""
    body = write[wire_format]({"data": [[1.0]], "use_cache": False, "cache_ttl": ttl})

    request = codec().decode(body, wire_format)

    assert (request.use_cache, request.cache_ttl) == (False, ttl)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float64", [[0.1, 1e300]]),
        ("float16", [[0.5, 65504.0]]),
        ("int64", [[-(2**63), 2**63 - 1]]),
        ("int32", [[-(2**31), 2**31 - 1]]),
        ("uint8", [[0, 255]]),
        ("bool", [[True, False]]),
        ("str", [["a", "data"], ['"', "\\"], ["", "ü😀"]]),
    ],
)
@both_formats
def test_each_dtype_arrives_unchanged(
    wire_format: WireFormat, dtype: str, values: list[list[Any]]
) -> None:
    """Nested lists fill an input of any dtype, up to the ends of its range."""
    request = codec(dtype, (-1, 2)).decode(write[wire_format]({"data": values}), wire_format)

    assert request.inputs["x"].dtype == np.dtype(object if dtype == "str" else dtype)
    assert request.inputs["x"].tolist() == values


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((-1,), [1.0, 2.0, 3.0]),
        ((-1, 1, 2), [[[1.0, 2.0]], [[3.0, 4.0]]]),
        ((-1, -1, 2), [[[1.0, 2.0], [3.0, 4.0]]]),
        ((2, 2), [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
@both_formats
def test_each_rank_arrives_unchanged(
    wire_format: WireFormat, shape: tuple[int, ...], values: list[Any]
) -> None:
    """Lists are nested as deep as the model's input has dimensions."""
    request = codec(shape=shape).decode(write[wire_format]({"data": values}), wire_format)

    assert same(request.inputs["x"], np.array(values, np.float32))
    assert request.num_rows == len(values)


@pytest.mark.parametrize("value", [1.5, 0.0])
@both_formats
def test_scalar_input_never_escapes_as_a_foreign_error(
    wire_format: WireFormat, value: float
) -> None:
    """A model whose input has rank 0 is answered with its value or with one of our errors."""
    scalar = codec(shape=())

    assert refused_or_decoded(
        lambda: scalar.decode(write[wire_format]({"data": value}), wire_format)
    )


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("int64", [[1.0, -2], [3e2, 9007199254740991.0]]), ("uint8", [[0.0, 255.0]])],
)
def test_a_whole_number_may_be_written_with_a_point(dtype: str, values: list[Any]) -> None:
    """As programs write it whose numbers are all alike."""
    request = codec(dtype, (-1, 2)).decode(write[JSON]({"data": values}), JSON)

    assert request.inputs["x"].dtype == np.dtype(dtype)
    assert request.inputs["x"].tolist() == values


def test_no_whole_number_is_changed_by_one_with_a_point_beside_it() -> None:
    """Beyond 2**53 not every integer is a float; then it is refused."""
    with pytest.raises(InvalidInput, match=r"^data"):
        codec("int64", (-1, 1)).decode(b'{"data": [[1.0], [9007199254740993]]}', JSON)


@pytest.mark.parametrize("values", [[[1.5]], [[256.0]], [[-1.0]], [[1e300]], [[1.0], 1]])
def test_other_numbers_are_no_integers(values: Any) -> None:
    """A half, one out of the range, and lists that are ragged besides."""
    with pytest.raises(InvalidInput, match=r"^data"):
        codec("uint8", (-1, 1)).decode(write[JSON]({"data": values}), JSON)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_raw_tensor_of_each_dtype_arrives_unchanged(dtype: str) -> None:
    """Raw little-endian bytes are read as the model's dtype."""
    array = np.array([[0, 1], [1, 0], [1, 1]], dtype)

    request = codec(dtype, (-1, 2)).decode(packed(array), MSGPACK)

    assert same(request.inputs["x"], array)
    assert request.num_rows == 3


@pytest.mark.parametrize("shape", [(3,), (1, 6), (2, 3), (2, 3, 4), (1, 2, 1, 2)])
def test_raw_tensor_of_each_rank_arrives_unchanged(shape: tuple[int, ...]) -> None:
    """A raw tensor has the shape that it says."""
    array = np.random.default_rng(7).random(shape, np.float32)

    request = codec(shape=(-1,) * len(shape)).decode(packed(array), MSGPACK)

    assert same(request.inputs["x"], array)


@settings(max_examples=100, deadline=None)
@given(matrices)
def test_json_keeps_every_float32(matrix: Array) -> None:
    """Any finite float32 matrix sent as JSON decodes to the same bits, `-0.0` included."""
    request = codec().decode(write[JSON]({"data": matrix.tolist()}), JSON)

    assert same(request.inputs["x"], matrix)


@settings(max_examples=100, deadline=None)
@given(matrices)
def test_messagepack_keeps_every_float32(matrix: Array) -> None:
    """Any finite float32 matrix sent raw or as lists decodes to the same bits."""
    from_bytes = codec().decode(packed(matrix), MSGPACK)
    from_lists = codec().decode(write[MSGPACK]({"data": matrix.tolist()}), MSGPACK)

    assert same(from_bytes.inputs["x"], matrix)
    assert same(from_lists.inputs["x"], matrix)


@pytest.mark.parametrize("offset", range(8))
def test_alignment_of_the_bytes_does_not_matter(offset: int) -> None:
    """Raw bytes at any address are read right, and the array is aligned."""
    array = np.array([[1.5, -2.5], [3.5, 4.5]], np.float64)
    data = memoryview(b"\xff" * offset + array.tobytes())[offset:]

    decoded = tensor_from_bytes(WireTensor("float64", [2, 2], data), "float64")

    assert same(decoded, array)
    assert decoded.flags.aligned


@pytest.mark.parametrize("cache_ttl", [1, 200, 60_000, 2_000_000])
def test_place_of_the_tensor_in_the_body_does_not_matter(cache_ttl: int) -> None:
    """Fields of any length before the tensor shift its bytes and change nothing else."""
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    body = msgspec.msgpack.encode({"cache_ttl": cache_ttl, "data": raw(array)})

    assert same(codec().decode(body, MSGPACK).inputs["x"], array)


def test_raw_tensor_is_a_view() -> None:
    """Aligned bytes are not copied."""
    data = memoryview(np.arange(4, dtype=np.float32).tobytes())

    decoded = tensor_from_bytes(WireTensor("float32", [2, 2], data), "float32")

    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))


def test_most_rows_are_accepted() -> None:
    """A request may have max_rows rows."""
    request = codec(max_rows=3).decode(b'{"data": [[1], [2], [3]]}', JSON)

    assert request.num_rows == 3


@both_formats
def test_members_of_a_batch_decode_as_bodies_do(wire_format: WireFormat) -> None:
    """Each member comes out raw, in order, and decodes as if it had been sent alone."""
    bodies = [{"data": [[1.0]]}, {"data": [[2.0]], "use_cache": False}]

    members = decode_batch(write[wire_format]({"requests": bodies}), wire_format)

    decoded = [codec().decode(member, wire_format) for member in members]
    assert [request.inputs["x"].tolist() for request in decoded] == [[[1.0]], [[2.0]]]
    assert [request.use_cache for request in decoded] == [True, False]


@both_formats
def test_bad_member_does_not_spoil_the_batch(wire_format: WireFormat) -> None:
    """A batch is split without a look into its members."""
    body = write[wire_format]({"requests": [{"data": "nonsense"}, 7, {"data": [[1.0]]}]})

    assert len(decode_batch(body, wire_format)) == 3


def test_raw_tensors_travel_in_batches() -> None:
    """A member may hold raw bytes; they are read from where they lie in the batch."""
    array = np.array([[1.5, 2.5]], np.float32)
    body = msgspec.msgpack.encode({"requests": [{"data": raw(array)}, {"data": raw(array * 2)}]})

    first, second = decode_batch(body, MSGPACK)

    assert same(codec().decode(first, MSGPACK).inputs["x"], array)
    assert same(codec().decode(second, MSGPACK).inputs["x"], array * 2)


def read_back(wire: bytes, wire_format: WireFormat) -> Any:
    """An output as a client reads it."""
    if wire_format is JSON:
        return msgspec.json.decode(wire)
    read: Any = msgspec.msgpack.decode(wire)
    if isinstance(read, dict):
        return np.frombuffer(read["data"], read["dtype"]).reshape(read["shape"]).tolist()
    return read


def some_answer(wire_format: WireFormat, cached: bool) -> PredictResponse:
    scores = np.array([[0.25, 0.75]], np.float32)
    info = ModelInfo("iris", "1", 1e-5, [1, 4], cached)
    return PredictResponse(
        rows_for_wire(np.array([1]), wire_format),
        rows_for_wire(scores, wire_format),
        None,
        ["versicolor"],
        info,
    )


@both_formats
def test_marked_answer_is_the_one_encoded_as_cached(wire_format: WireFormat) -> None:
    """Marking a fresh answer gives the bytes of encoding it with `cached` true."""
    fresh = encode(some_answer(wire_format, cached=False), wire_format)

    marked = mark_cached(fresh, wire_format)

    assert marked == encode(some_answer(wire_format, cached=True), wire_format)
    assert marked != fresh


def test_json_answer_is_lists() -> None:
    """In JSON each output is nested lists."""
    answer = msgspec.json.decode(encode(some_answer(JSON, cached=False), JSON))

    assert answer["predictions"] == [1]
    assert answer["probabilities"] == [[0.25, 0.75]]
    assert answer["labels"] == ["versicolor"]
    assert answer["model_info"]["cached"] is False


def test_messagepack_answer_can_be_sent_back() -> None:
    """In MessagePack an output is the raw tensor that a request takes."""
    answer = msgspec.msgpack.decode(encode(some_answer(MSGPACK, cached=False), MSGPACK))

    body = msgspec.msgpack.encode({"data": answer["probabilities"]})

    assert codec().decode(body, MSGPACK).inputs["x"].tolist() == [[0.25, 0.75]]


def test_json_has_no_nan() -> None:
    """A NaN that a model gives is null on the wire, and the document stays JSON."""
    assert write[JSON](rows_for_wire(np.array([1.0, np.nan]), JSON)) == b"[1.0,null]"


@both_formats
@pytest.mark.parametrize(
    "output",
    [
        np.array([1, 2]),
        np.array([[0.5], [1.5]], np.float16),
        np.array([True, False]),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.zeros((1, 2, 3)),
        np.zeros((2, 0, 4), np.float32),
        np.array(3.0, np.float32),
        np.array(["a", "ü"], object),
    ],
    ids=["int64", "float16", "bool", "transposed", "rank 3", "no values", "scalar", "strings"],
)
def test_each_output_arrives_unchanged(wire_format: WireFormat, output: Array) -> None:
    """Outputs of any dtype, layout and size are read back as they were given."""
    wire = write[wire_format](rows_for_wire(output, wire_format))

    assert read_back(wire, wire_format) == output.tolist()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(WireFormat))
@example(b"", JSON)
@example(b"", MSGPACK)
@example(b"\x81\xa4data\xdd\xff\xff\xff\xff", MSGPACK)
@example(b"\x81\xa4data\xc6\xff\xff\xff\xff", MSGPACK)
@example(b'{"data":[[1]],"\\ud800":1}', JSON)
@example(b'\xef\xbb\xbf{"data":[[1]]}', JSON)
@example(b'{"\xff":1}', JSON)
def test_random_bytes_raise_only_our_errors(body: bytes, wire_format: WireFormat) -> None:
    """Whatever arrives, decoding ends in a request or in an InferenceError."""
    assert refused_or_decoded(lambda: codec().decode(body, wire_format))
    assert refused_or_decoded(lambda: decode_batch(body, wire_format))


@pytest.mark.parametrize(
    "member",
    [
        b'"\\n\xff"',
        b'{"data": [["\\n", "\xff"]]}',
        b'{"requests": ["\xff"]}',
        b"1" + b"0" * 5000 + b', "\\n"',
        b'"\\ud800"',
        b'"\xed\xa0\x80", {"requests": 1}',
    ],
    ids=["not UTF-8", "data not UTF-8", "key twice", "5000 digits", "surrogate", "raw surrogate"],
)
def test_odd_members_raise_only_our_errors(member: bytes) -> None:
    """Members are not looked into, so a batch is split or refused by us, whatever they hold."""
    body = b'{"requests": [' + member + b"]}"

    assert refused_or_decoded(lambda: decode_batch(body, JSON))


def test_members_nested_to_the_limit_raise_only_our_errors() -> None:
    """No depth of nesting is too much for one reader of the body and not for another."""
    limit = sys.getrecursionlimit()

    for depth in range(limit - 200, limit + 10):
        nested = b"[" * depth + b"]" * depth
        body = b'{"requests": [' + nested + b', "\\n"]}'
        assert refused_or_decoded(partial(decode_batch, body, JSON))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(WireFormat),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 200),
)
def test_damaged_bodies_raise_only_our_errors(
    wire_format: WireFormat, damages: list[tuple[int, int]], length: int
) -> None:
    """A valid body with bytes exchanged and its end cut off is decoded or refused by us."""
    content = {"data": [[1.5, 2.0], [3, 4]], "use_cache": True, "cache_ttl": 60}
    body = bytearray(write[wire_format](content))
    for place, byte in damages:
        body[place % len(body)] = byte
    damaged = bytes(body[: max(length, 1)])

    assert refused_or_decoded(lambda: codec().decode(damaged, wire_format))
    assert refused_or_decoded(lambda: decode_batch(damaged, wire_format))


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    anything,
    scalars,
    st.sampled_from(["float32", "int32", "bool", "str"]),
    st.sampled_from(WireFormat),
)
def test_any_value_raises_only_our_errors(
    data: Any, option: Any, dtype: str, wire_format: WireFormat
) -> None:
    """Well-formed bodies with anything at all in their fields are decoded or refused by us."""
    body = write[wire_format]({"data": data, "cache_ttl": option})

    assert refused_or_decoded(lambda: codec(dtype).decode(body, wire_format))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["float32", "int32", "bool", "str", "object", "O", ""]),
    st.lists(
        st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**32, 2**62, 2**63 - 1, 2**64 - 1]),
        max_size=5,
    ),
    st.binary(max_size=32),
)
def test_any_tensor_header_raises_only_our_errors(
    dtype: str, shape: list[int], data: bytes
) -> None:
    """A raw tensor that says anything at all of itself is decoded or refused by us."""
    body = msgspec.msgpack.encode({"data": {"dtype": dtype, "shape": shape, "data": data}})

    assert refused_or_decoded(lambda: codec("float32").decode(body, MSGPACK))
    assert refused_or_decoded(lambda: codec("bool").decode(body, MSGPACK))


def test_raw_booleans_are_zero_or_one() -> None:
    """A raw boolean of 2 never reaches a model, which would read it as the number 2."""
    body = msgspec.msgpack.encode({"data": {"dtype": "bool", "shape": [1, 2], "data": b"\x02\x01"}})

    with pytest.raises(InvalidInput, match="data: expected booleans as bytes of 0 or 1"):
        codec("bool").decode(body, MSGPACK)
