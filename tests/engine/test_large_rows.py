"""Large bodies of `POST /predict` and `/predict/batch`: read as small ones are, or refused."""

from time import process_time
from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.batch_body import (
    MAX_PACKED_BATCH_BYTES,
    decode_batch,
    decode_batch_in_steps,
)
from ml_pipeline.engine.wire.codec import (
    DecodedRequest,
    RequestCodec,
    WireFormat,
)
from ml_pipeline.engine.wire.heavy import HEAVY_BYTES
from ml_pipeline.engine.wire.json_lists import MAX_LISTS
from ml_pipeline.engine.wire.large_packed import MAX_PACKED_BYTES
from ml_pipeline.engine.wire.large_rows import MAX_TEXT_BYTES, MAX_TEXT_QUOTES
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.errors import BodyTooLarge, InferenceError, InvalidInput, MalformedRequest

JSON, MSGPACK = WireFormat.JSON, WireFormat.MSGPACK
ROWS = TensorSpec("x", "float32", (-1, 10))
FREE = TensorSpec("x", "float32", (-1, -1))
CUBE = TensorSpec("x", "int64", (-1, 4, 5))
WORDS = TensorSpec("x", "str", (-1, 2))
NUMBER = np.random.default_rng(3)


def codec(spec: TensorSpec = ROWS, max_rows: int = 50_000) -> RequestCodec:
    """Of an input."""
    return RequestCodec(spec, max_rows)


def large(body: bytes, spec: TensorSpec = ROWS, wire_format: WireFormat = JSON) -> DecodedRequest:
    """What a body is, read in pieces."""
    return at_once(codec(spec).decode_in_steps(body, wire_format))


def rows(count: int = 20_000, shape: tuple[int, ...] = (10,)) -> Any:
    """Random rows, rounded so that they are what they seem in any dtype."""
    return NUMBER.integers(-1000, 1000, (count, *shape)).tolist()


def dump(data: Any, **more: Any) -> bytes:
    """A body of JSON."""
    return msgspec.json.encode({"data": data, **more})


@pytest.mark.parametrize(
    ("spec", "data"),
    [(ROWS, rows()), (FREE, rows(3, (40_000,))), (CUBE, rows(9_000, (4, 5)))],
    ids=["rows", "wide", "cube"],
)
@pytest.mark.parametrize("more", [{}, {"use_cache": False, "cache_ttl": 7}], ids=["", "more"])
def test_a_large_body_is_what_a_small_one_is(spec: TensorSpec, data: Any, more: Any) -> None:
    """Numbers of any rank, with what stands beside them."""
    body = dump(data, **more)
    wanted = codec(spec).decode(body, JSON)

    found = large(body, spec)

    assert len(body) > HEAVY_BYTES / 2
    assert found.inputs["x"].dtype == wanted.inputs["x"].dtype
    assert np.array_equal(found.inputs["x"], wanted.inputs["x"])
    assert (found.num_rows, found.use_cache, found.cache_ttl) == (
        wanted.num_rows,
        wanted.use_cache,
        wanted.cache_ttl,
    )


def test_keys_may_come_in_any_order() -> None:
    """And with space between."""
    text = msgspec.json.encode(rows())

    found = large(b' {\n "use_cache" : false ,\t"data" : %b ,\n "cache_ttl":9}\n' % text)

    assert (found.num_rows, found.use_cache, found.cache_ttl) == (20_000, False, 9)


def test_strings_are_read_too() -> None:
    """With brackets and quotes in them."""
    data = [['a],"', "\\"], ['{"data":[', "ä\n"]] * 4000

    found = large(dump(data, cache_ttl=5), WORDS)

    assert found.inputs["x"].tolist() == data
    assert found.cache_ttl == 5


TEXT = msgspec.json.encode(rows(2000))


@pytest.mark.parametrize(
    ("body", "spec", "error", "told"),
    [
        (dump(rows(2000, (11,))), ROWS, InvalidInput, "10 features in each row, found 11"),
        (
            dump([*rows(2000)[:-1], [1, 2]]),
            ROWS,
            InvalidInput,
            "data[1999]: expected 10 values as in data[0], found 2",
        ),
        (dump(rows(60_000, (1,))), FREE, InvalidInput, "at most 50000 rows, found 60000"),
        (dump(rows(60_000)), ROWS, InvalidInput, "at most 50000 rows, found 60000"),
        (dump(rows(2000, (5, 2))), ROWS, InvalidInput, "data[0][0]: expected float, found array"),
        (dump([[]] * 90_000), ROWS, InvalidInput, "data: expected at most 65536, found more"),
        (dump([*rows(2000), ["a"] * 10]), ROWS, InvalidInput, "data[2000][0]: expected float"),
        (dump(rows(2000), cache_ttl=0), ROWS, InvalidInput, "cache_ttl"),
        (dump(rows(2000), use_cache=1), ROWS, InvalidInput, "use_cache"),
        (b'{"data":%b,"data":%b}' % (TEXT, TEXT), ROWS, InferenceError, "data"),
        (b'{"data":%b,"use_cache":true,"use_cache":true}' % TEXT, ROWS, InvalidInput, "twice"),
        (dump(rows(2000), other=1), ROWS, InvalidInput, "found an unknown field"),
        (dump(rows(2000))[:-1], ROWS, MalformedRequest, "body: expected"),
        (dump(rows(2000)) + b"x", ROWS, MalformedRequest, "body: expected"),
        (TEXT, ROWS, InvalidInput, "body: expected object, found array"),
        (b"x" * HEAVY_BYTES, ROWS, MalformedRequest, "body: expected"),
        (dump([["a", 1]] * 5000), WORDS, InvalidInput, "data[0][1]: expected str, found int"),
        (dump([["a"]] * 5000), WORDS, InvalidInput, "2 features in each row, found 1"),
        (dump([[""] * 2] * (MAX_TEXT_QUOTES // 4 + 1)), WORDS, BodyTooLarge, "131072 strings"),
        (dump([["a" * MAX_TEXT_BYTES]]), WORDS, BodyTooLarge, f"{MAX_TEXT_BYTES} bytes"),
    ],
)
def test_a_bad_one_is_told_why(
    body: bytes, spec: TensorSpec, error: type[InferenceError], told: str
) -> None:
    """With the field, the expected and the found."""
    with pytest.raises(error) as caught:
        large(body, spec)

    assert told in caught.value.detail
    assert len(caught.value.detail) < 300


def test_a_packed_tensor_may_be_large() -> None:
    """It is a view of the body."""
    array = NUMBER.uniform(size=(40_000, 10)).astype("<f4")
    tensor = {"dtype": "float32", "shape": [40_000, 10], "data": array.tobytes()}

    found = large(msgspec.msgpack.encode({"use_cache": False, "data": tensor}), ROWS, MSGPACK)

    assert np.array_equal(found.inputs["x"], array)
    assert not found.use_cache


@pytest.mark.parametrize("spec", [ROWS, FREE], ids=["rows", "wide"])
@pytest.mark.parametrize("width", [10, 20, 70_000])
def test_packed_rows_of_floats_may_be_large(spec: TensorSpec, width: int) -> None:
    """They are taken by their places, with what stands on both sides of them."""
    array = NUMBER.uniform(-9, 9, (300_000 // width, width))
    body = msgspec.msgpack.encode({"use_cache": False, "data": array.tolist(), "cache_ttl": 7})

    if spec is ROWS and width != 10:
        with pytest.raises(InvalidInput, match=f"10 features in each row, found {width}"):
            large(body, spec, MSGPACK)
    else:
        found = large(body, spec, MSGPACK)
        assert np.array_equal(found.inputs["x"], array.astype(np.float32))
        assert (found.num_rows, found.use_cache, found.cache_ttl) == (len(array), False, 7)


FLOATS = [[0.5] * 10] * 9000


@pytest.mark.parametrize(
    ("data", "more", "error", "told"),
    [
        ([*FLOATS, [1] * 10], {}, BodyTooLarge, "of another kind"),
        ([*FLOATS, [0.5] * 9], {}, BodyTooLarge, "of another kind"),
        ([*FLOATS, [[0.5]] * 10], {}, BodyTooLarge, "of another kind"),
        ([*FLOATS, [1e39] * 10], {}, InvalidInput, "float32, found one out of its range"),
        ([*FLOATS, [float("nan")] * 10], {}, InvalidInput, "data[9000][0]: expected a finite"),
        (FLOATS * 6, {}, InvalidInput, "at most 50000 rows, found 54000"),
        (FLOATS, {"cache_ttl": 0}, InvalidInput, "cache_ttl: expected int >= 1, found 0"),
        (FLOATS, {"more": 1}, InvalidInput, "unknown field"),
    ],
)  # fmt: skip
def test_bad_packed_rows_are_told_why(
    data: Any, more: dict[str, int], error: type[InferenceError], told: str
) -> None:
    """With the field, the expected and the found."""
    with pytest.raises(error) as caught:
        large(msgspec.msgpack.encode({"data": data, **more}), ROWS, MSGPACK)

    assert told in caught.value.detail


def test_a_packed_key_that_is_no_text_is_malformed() -> None:
    """As in a small body."""
    body = msgspec.msgpack.encode({"data": FLOATS, "use_cache": True})

    with pytest.raises(MalformedRequest):
        large(body.replace(b"use_cache", b"use_cac\xff\xff"), ROWS, MSGPACK)


@pytest.mark.parametrize("cut", [1, 5, 8, 9, 100, 200_000])
def test_packed_rows_that_are_cut_off_are_refused(cut: int) -> None:
    """Wherever that is."""
    body = msgspec.msgpack.encode({"data": FLOATS})

    with pytest.raises(InferenceError):
        large(body[:-cut], ROWS, MSGPACK)
    with pytest.raises(InferenceError):
        large(body + b"\0" * cut, ROWS, MSGPACK)


@pytest.mark.parametrize("count", [50_001, 65_000, 2**32 - 1])
def test_packed_rows_are_counted_before_they_are_made(count: int) -> None:
    """By what their header says, whether there are so many or not."""
    body = b"\x81\xa4data\xdd" + count.to_bytes(4, "big") + b"\x91\xc1" * 50_000

    with pytest.raises(InvalidInput, match=f"data: expected at most 50000 rows, found {count}"):
        codec().decode(body, MSGPACK)


@pytest.mark.parametrize("size", [MAX_PACKED_BYTES + 1, 4_000_000])
def test_packed_lists_have_a_bound(size: int) -> None:
    """They are read in one go; the refusal names the form that needs no reading."""
    body = b"\x81\xa4data\xdd" + (9).to_bytes(4, "big") + b"\xda" + b"\1" * size

    for spec in (ROWS, CUBE, WORDS):
        with pytest.raises(BodyTooLarge, match="lists of at most 131072 bytes, rows of"):
            large(body, spec, MSGPACK)


@pytest.mark.parametrize(
    "body",
    [
        b"\x84" + b"\xa4data\x83" * 99_999,
        b"\xdf\0\1\0\0" + b"\xa4data\x90" * 99_999,
        b"\x90" * 200_000,
    ],
)
def test_packed_maps_of_many_keys_are_refused(body: bytes) -> None:
    """Before the first is read."""
    with pytest.raises(MalformedRequest, match="a map with data"):
        large(body, ROWS, MSGPACK)


@pytest.mark.parametrize("wire_format", WireFormat)
def test_lists_within_rows_are_as_long_as_the_models(wire_format: WireFormat) -> None:
    """A longer one is refused as soon as it is met; a short body says how long it was."""
    encode = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}[wire_format]

    with pytest.raises(InvalidInput, match="data: expected 10 features in each row, found 249"):
        codec().decode(encode({"data": rows(3, (249,))}), wire_format)
    told = (
        r"data\[0\]: expected at most 10, found more" if wire_format is JSON else "data: expected"
    )
    with pytest.raises(InferenceError, match=told):
        codec().decode(encode({"data": rows(9_000, (249,))}), wire_format)


def split(body: bytes, max_members: int = 10_000) -> list[bytes]:
    """Members of a large batch."""
    return [bytes(raw) for raw in at_once(decode_batch_in_steps(body, JSON, max_members))]


@pytest.mark.parametrize(
    "members",
    [
        [{"data": rows(3)}] * 5000,
        [{"data": rows(9000)}] * 3,
        [{"data": [['},{"data":[', '\\"},']], "use_cache": True}] * 9000,
        [{"data": [["},"] * 40_000]}, {"data": [["\\\\"]]}, 7, None],
        [{"data": rows(3)}, {"data": rows(9000)}],
        [{"data": rows(3)}, {"data": rows(9000)}, {"data": rows(2)}],
        [{"data": rows(3)}, 7, "},{", [], {"data": rows(9000)}, None, [{}], {"data": rows(1)}, 8],
    ],
    ids=["many", "long", "strings", "long-strings", "short-long", "short-long-short", "mixed"],
)
def test_a_batch_is_split_as_a_small_one_is(members: list[Any]) -> None:
    """Wherever its pieces end."""
    body = msgspec.json.encode({"requests": members})

    assert split(body) == [msgspec.json.encode(each) for each in members]
    assert split(body) == [bytes(raw) for raw in decode_batch(body, JSON)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"requests":[' + b"{}," * 20_000 + b"{}]}", "requests: expected at most 10000"),
        (b'{"requests":[' + b"{}," * 9_000 + b"{]}", "body: expected JSON, found: JSON is malf"),
        (b'{"requests":[' + b"{}," * 90_000 + b"]}", "requests: expected at most 10000"),
        (b'{"requests":[{}],"requests":[{}]}', "requests: expected once, found twice"),
        (b'{"requests":[{}],"more":1}', "more: expected one of requests, found an unknown field"),
        (b'{"requests":' + b"[" * 300_000, "body: expected JSON, found nesting too deep"),
        (b"[" * 300_000, "body: expected object, found array"),
        (b"", "body: expected JSON, found: Input data was truncated"),
        (b'{"requests":[' + b" " * 300_000 + b"]}", "requests: expected at least 1"),
        (b'{"requests":[{},]}', "body: expected JSON, found: JSON is malformed: trailing comma"),
        (b'{"requests":[,{}]}', "body: expected JSON, found: JSON is malformed"),
        (b'{"requests":[{},,{}]}', "body: expected JSON, found: JSON is malformed"),
        (b'{"requests":[{}{}]}', "body: expected JSON, found: JSON is malformed: expected ','"),
        (b'{"requests":[{}7]}', "body: expected JSON, found: JSON is malformed: expected ','"),
        (b'{"requests":[{"data":["}]}', "body: expected JSON, found: Input data was truncated"),
        (b'{\x0b"requests":[{}]}', "body: expected JSON, found: JSON is malformed"),
    ],
)
def test_a_bad_batch_is_told_why(body: bytes, told: str) -> None:
    """As a small one is; members answer for themselves."""
    with pytest.raises(InferenceError) as caught:
        split(body)
    with pytest.raises(InferenceError) as small:
        decode_batch(body, JSON, 10_000)

    assert caught.value.detail.startswith(told)
    assert caught.value.detail == small.value.detail or "at most" in told


def test_lists_with_a_fault_are_bounded_in_number() -> None:
    """To tell the first fault of very many would take long."""
    spec = TensorSpec("x", "float32", (-1, -1, -1))
    body = b'{"data":[[' + b"[]," * (MAX_LISTS + 1) + b'"a"]]}'

    with pytest.raises(BodyTooLarge, match=f"at most {MAX_LISTS} lists where they have a fault"):
        large(body, spec)


def test_too_many_rows_are_refused_at_the_first_too_many() -> None:
    """What stands behind it is not looked through."""
    body = b'{"data":[' + b"[1]," * 90_000 + b"nonsense"

    with pytest.raises(InvalidInput, match="data: expected at most 65536, found more"):
        large(body, FREE)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_members_that_are_too_deep_are_not_followed(opening: bytes) -> None:
    """They are refused where a reader of all of it would refuse them."""
    steps = decode_batch_in_steps(b'{"requests":[' + opening * 1_000_000, JSON, 10_000)
    turns: list[None] = []

    with pytest.raises(MalformedRequest, match="nesting too deep"):
        turns.extend(steps)
    assert len(turns) < 100


def test_strings_of_brackets_take_no_longer_than_others() -> None:
    """Each is looked through once: this took 3 s."""
    body = msgspec.json.encode({"requests": [{"data": ["},{" * 300_000]}]})
    started = process_time()

    assert len(split(body)) == 1
    assert process_time() - started < 0.5


def test_a_packed_batch_has_a_bound() -> None:
    """It is split in one go."""
    with pytest.raises(BodyTooLarge, match=f"at most {MAX_PACKED_BATCH_BYTES} bytes"):
        at_once(decode_batch_in_steps(b"\x80" * (MAX_PACKED_BATCH_BYTES + 1), MSGPACK, 10))
