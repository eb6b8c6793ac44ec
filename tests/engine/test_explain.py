"""Bodies that are refused: which error each is, and that its message says field, expected, found.

What is right about the rest is in test_codec.py.
"""

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.signature.schema import PredictBody, WireTensor
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.batch_body import decode_batch
from ml_pipeline.engine.wire.codec import RequestCodec, WireFormat, tensor_from_bytes
from ml_pipeline.engine.wire.explain import explain_decode_error, explain_rows
from ml_pipeline.errors import InferenceError, InvalidInput, MalformedRequest

JSON, MSGPACK = WireFormat.JSON, WireFormat.MSGPACK
pack = msgspec.msgpack.encode
DEEP = 100_000
SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Fault(NamedTuple):
    """A bad body, and what must be said of it."""

    body: bytes
    field: str
    expected: str
    found: str


def codec(dtype: str = "float32", shape: tuple[int, ...] = (-1, 2)) -> RequestCodec:
    return RequestCodec(TensorSpec("x", dtype, shape), max_rows=3)


def refusal(
    body: bytes | msgspec.Raw,
    wire_format: WireFormat = JSON,
    dtype: str = "float32",
    shape: tuple[int, ...] = (-1, 2),
) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        codec(dtype, shape).decode(body, wire_format)
    return caught.value


def raw(shape: list[int], data: Any = b"", dtype: str = "float32", **others: Any) -> bytes:
    """A MessagePack body with a raw tensor."""
    return pack({"data": {"dtype": dtype, "shape": shape, "data": data}, **others})


def floats(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


def check_explained(error: InferenceError, kind: type[InferenceError], fault: Fault) -> None:
    """The error is of this class, and its message names field, expected and found."""
    assert type(error) is kind
    assert error.detail.startswith(f"{fault.field}: " if fault.field else "")
    assert f"expected {fault.expected}" in error.detail
    assert re.search(rf"found:? {re.escape(fault.found)}", error.detail)


NOT_JSON = {
    "not JSON": b"nope",
    "nothing": b"",
    "truncated": b'{"data": [[1, 2]',
    "NaN": b'{"data": [[1, NaN]]}',
    "Infinity": b'{"data": [[1, Infinity]]}',
    "-Infinity": b'{"data": [[1, -Infinity]]}',
    "something behind it": b'{"data": [[1, 2]]} x',
    "a byte order mark": b'\xef\xbb\xbf{"data": [[1, 2]]}',
    "not UTF-8": b'{"data": [[1, 2]], "\xff": 1}',
    "a lone surrogate": b'{"data": [[1, 2]], "\\ud800": 1}',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """A body that does not parse is a MalformedRequest."""
    check_explained(refusal(body), MalformedRequest, Fault(body, "body", "JSON", ""))


def data(text: str) -> bytes:
    return b'{"data": ' + text.encode() + b"}"


def ttl(text: str) -> bytes:
    return b'{"data": [[1, 2]], "cache_ttl": ' + text.encode() + b"}"


BAD_JSON = {
    "ragged rows": Fault(data("[[1, 2], [3]]"), "data[1]", "2 values", "1"),
    "empty row among others": Fault(data("[[1, 2], []]"), "data[1]", "2 values", "0"),
    "wrong feature count": Fault(data("[[1, 2, 3]]"), "data", "2 features", "3"),
    "string": Fault(data('[[1, "2"]]'), "data[0][1]", "float", "str"),
    "null": Fault(data("[[1, null]]"), "data[0][1]", "float", "null"),
    "boolean": Fault(data("[[1, true]]"), "data[0][1]", "float", "bool"),
    "object": Fault(data("[[1, {}]]"), "data[0][1]", "float", "object"),
    "1e39": Fault(data("[[1, 2], [1, 1e39]]"), "data[1][1]", "float32", ""),
    "-1e39": Fault(data("[[1, -1e39]]"), "data[0][1]", "float32", ""),
    "1e400": Fault(data("[[1, 1e400]]"), "data[0][1]", "", ""),
    "5000 digits": Fault(data(f"[[1, 1{'0' * 5000}]]"), "data[0][1]", "", ""),
    "no rows": Fault(data("[]"), "data", "at least 1 row", "0"),
    "empty row": Fault(data("[[]]"), "data", "2 features", "0"),
    "too many rows": Fault(data("[[1, 2], [1, 2], [1, 2], [1, 2]]"), "data", "at most 3 rows", "4"),
    "data is null": Fault(data("null"), "data", "array", "null"),
    "data is a number": Fault(data("7"), "data", "array", "int"),
    "one row, not in a list": Fault(data("[1, 2]"), "data[0]", "array", "int"),
    "nested too deep": Fault(data("[[[1, 2]]]"), "data[0][0]", "float", "array"),
    "deep data": Fault(data("[" * DEEP + "]" * DEEP), "data[0][0]", "float", "array"),
    "deep data, cut off": Fault(b'{"data": ' + b"[" * DEEP, "data[0][0]", "float", "array"),
    "deep body": Fault(b"[" * DEEP + b"]" * DEEP, "body", "object", "array"),
    "body is a list": Fault(b"[[1, 2]]", "body", "object", "array"),
    "missing data": Fault(b"{}", "data", "a value", "nothing"),
    "ttl 0": Fault(ttl("0"), "cache_ttl", "int >= 1", "0"),
    "ttl -1": Fault(ttl("-1"), "cache_ttl", "int >= 1", "-1"),
    "ttl 1.5": Fault(ttl("1.5"), "cache_ttl", "int", "float"),
    "ttl of 30 zeros": Fault(ttl("1" + "0" * 30), "cache_ttl", "int <= 2592000", "1000"),
    "ttl over 30 days": Fault(ttl("2592001"), "cache_ttl", "int <= 2592000", "2592001"),
    "ttl is a string": Fault(ttl('"60"'), "cache_ttl", "int", "str"),
    "ttl is a boolean": Fault(ttl("true"), "cache_ttl", "int", "bool"),
    "use_cache is a number": Fault(
        b'{"data": [[1, 2]], "use_cache": 1}', "use_cache", "bool", "int"
    ),
    "key twice": Fault(b'{"data": [[1, 2]], "data": [[3, 4]]}', "data", "once", "twice"),
    "key twice, escaped": Fault(
        b'{"data": [[1, 2]], "d\\u0061ta": [[3, 4]]}', "data", "once", "twice"
    ),
    "option twice": Fault(
        b'{"use_cache": true, "data": [[1, 2]], "use_cache": true}', "use_cache", "once", "twice"
    ),
}


@pytest.mark.parametrize("fault", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_field_is_explained(fault: Fault) -> None:
    """JSON with a bad field is an InvalidInput that names field, expected and found."""
    check_explained(refusal(fault.body), InvalidInput, fault)


@pytest.mark.parametrize(
    ("dtype", "number", "found"),
    [
        ("int32", "2147483648", ""),
        ("int32", "-2147483649", ""),
        ("int64", "9223372036854775808", ""),
        ("int64", "99999999999999999999999", ""),
        ("uint8", "256", ""),
        ("uint8", "-1", ""),
        ("int32", "1.5", "float"),
        ("int64", "1.5", "float"),
        ("int64", "1e39", "float"),
        ("int64", "true", "bool"),
        ("bool", "1", "int"),
        ("float16", "65520", ""),
        ("float64", "1e400", ""),
        ("str", "1", "int"),
        ("str", "null", "null"),
    ],
)
def test_value_of_another_type_or_range_is_explained(dtype: str, number: str, found: str) -> None:
    """A value that the dtype cannot hold is an InvalidInput with its place: nothing is rounded."""
    good = {"bool": "true", "str": '"a"'}.get(dtype, "1")
    body = data(f"[[{good}, {number}]]")

    error = refusal(body, dtype=dtype)

    check_explained(error, InvalidInput, Fault(body, "data[0][1]", "", found))


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [["a", "b"]], "data": [["c", "d"]]}',
        b'{"data": [["a", "\\u0061"]], "d\\u0061ta": [["c", "d"]]}',
        b'{"use_cache": true, "data": [["data", "data"]], "use_cache": true}',
    ],
)
def test_key_twice_is_seen_among_strings(body: bytes) -> None:
    """In a string model too a key may be there once."""
    error = refusal(body, dtype="str")

    assert type(error) is InvalidInput
    assert error.detail.endswith(": expected once, found twice")


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [["data", "data"]]}',
        b'{"data": [["use_cache", "use_cache"]], "use_cache": true}',
        b'{"data": [["\\"data\\":", "{\\"data\\": 1, \\"data\\": 2}"]]}',
    ],
)
def test_values_that_look_like_keys_are_values(body: bytes) -> None:
    """Strings that repeat each other, or a key, are no duplicate keys."""
    request = codec("str").decode(body, JSON)

    assert request.num_rows == 1


def test_ragged_strings_are_explained_as_numbers_are() -> None:
    """Rows of strings of two lengths are named by their place."""
    fault = Fault(data('[["a", "b"], ["c"]]'), "data[1]", "2 values", "1")

    check_explained(refusal(fault.body, dtype="str"), InvalidInput, fault)


def test_ragged_inner_rows_are_explained() -> None:
    """In rank 3 the place has two indices."""
    fault = Fault(data("[[[1, 2], [3]]]"), "data[0][1]", "2 values", "1")

    check_explained(refusal(fault.body, shape=(-1, 2, 2)), InvalidInput, fault)


def test_unknown_field_is_named() -> None:
    """A field that does not exist is refused by name, so that a typo is seen."""
    fault = Fault(b'{"data": [[1, 2]], "use_cahce": false}', "use_cahce", "one of data", "")

    check_explained(refusal(fault.body), InvalidInput, fault)


NOT_MSGPACK = {
    "nothing": b"",
    "truncated": pack({"data": [[1.0, 2.0]]})[:-1],
    "truncated bytes": raw([1, 2], floats(1, 2))[:-1],
    "a list longer than the body": b"\x81\xa4data\xdc\xff\xff",
    "bytes longer than the body": b"\x81\xa4data\xc6\xff\xff\xff\xff",
    "no such opcode": b"\xc1",
    "something behind it": pack({"data": [[1.0, 2.0]]}) + b"x",
    "not UTF-8": b"\x81\xa4d\xff\xfea\x01",
}


@pytest.mark.parametrize("body", NOT_MSGPACK.values(), ids=NOT_MSGPACK)
def test_what_is_not_messagepack_is_malformed(body: bytes) -> None:
    """A body that does not parse is a MalformedRequest."""
    fault = Fault(body, "body", "MSGPACK", "")

    check_explained(refusal(body, MSGPACK), MalformedRequest, fault)


def lists(*rows: Any) -> bytes:
    return pack({"data": rows})


TOO_LARGE = [2**32, 2**32]
BAD_MSGPACK = {
    "bytes missing": Fault(raw([1, 2], floats(1)), "data.data", "8 bytes", "4"),
    "bytes left over": Fault(raw([1, 2], floats(1, 2, 3)), "data.data", "8 bytes", "12"),
    "half a value": Fault(raw([1, 2], floats(1, 2)[:-1]), "data.data", "8 bytes", "7"),
    "negative size": Fault(raw([-1, 2], floats(1, 2)), "data.shape", "sizes of 0", "[-1, 2]"),
    "two negative sizes": Fault(
        raw([-1, -2], floats(1, 2)), "data.shape", "sizes of 0", "[-1, -2]"
    ),
    "size is a float": Fault(raw([1.0, 2], floats(1, 2)), "data.shape[0]", "int", "float"),  # type: ignore[list-item]
    "wrong dtype": Fault(raw([1, 1], bytes(8), "float64"), "data.dtype", "float32", "'float64'"),
    "str instead of bin": Fault(raw([1, 2], "abcdefgh"), "data.data", "bytes", "str"),
    "NaN in bytes": Fault(raw([1, 2], floats(1, np.nan)), "data[0][1]", "a finite", "nan"),
    "infinity in bytes": Fault(raw([1, 2], floats(1, np.inf)), "data[0][1]", "a finite", "inf"),
    "NaN in lists": Fault(lists([1.0, np.nan]), "data[0][1]", "a finite", "nan"),
    "infinity in lists": Fault(lists([1.0, -np.inf]), "data[0][1]", "a finite", "-inf"),
    "1e39": Fault(lists([1.0, 1e39]), "data[0][1]", "float32", ""),
    "no rows": Fault(raw([0, 2]), "data", "at least 1 row", "0"),
    "no features": Fault(raw([1, 0]), "data", "2 features", "0"),
    "empty list": Fault(lists(), "data", "at least 1 row", "0"),
    "wrong feature count": Fault(raw([2, 1], floats(1, 2)), "data", "2 features", "1"),
    "wrong rank": Fault(raw([2], floats(1, 2)), "data", "2 dimensions", "1 dimensions"),
    "rank 0": Fault(raw([], floats(1)), "data", "2 dimensions", "0 dimensions"),
    "too many rows": Fault(raw([4, 2], bytes(32)), "data", "at most 3 rows", "4"),
    "ragged rows": Fault(lists([1.0, 2.0], [1.0]), "data[1]", "2 values", "1"),
    "string": Fault(lists([1.0, "2"]), "data[0][1]", "float", "str"),
    "null": Fault(lists([1.0, None]), "data[0][1]", "float", ""),
    "boolean": Fault(lists([1.0, True]), "data[0][1]", "float", "bool"),
    "bytes as data": Fault(pack({"data": b"12345678"}), "data", "", "bytes"),
    "deep data": Fault(b"\x81\xa4data" + b"\x91" * DEEP, "data[0][0]", "float", "array"),
    "deep body": Fault(b"\x91" * DEEP, "body", "object", "array"),
    "missing data": Fault(pack({}), "data", "a value", "nothing"),
    "ttl 0": Fault(pack({"data": [[1, 2]], "cache_ttl": 0}), "cache_ttl", "int >= 1", "0"),
    "key twice": Fault(
        b"\x82\xa4data\x91\x92\x01\x02\xa4data\x91\x92\x03\x04", "data", "once", "twice"
    ),
    "key twice, long header": Fault(
        b"\xde\x00\x02\xa4data\x91\x92\x01\x02\xa4data\x91\x92\x03\x04", "data", "once", "twice"
    ),
    "key twice, longest header": Fault(
        b"\xdf\x00\x00\x00\x02\xa4data\x91\x92\x01\x02\xd9\x04data\x91\x92\x03\x04",
        "",
        "once",
        "twice",
    ),
    "key twice in the tensor": Fault(
        b"\x81\xa4data\x84" + raw([2, 1], floats(1, 2))[7:] + b"\xa5shape\x92\x01\x02",
        "shape",
        "once",
        "twice",
    ),
    "key is a number": Fault(pack({"data": [[1, 2]], 1: 0}), "body", "str", "int"),
}


@pytest.mark.parametrize("fault", BAD_MSGPACK.values(), ids=BAD_MSGPACK)
def test_bad_messagepack_field_is_explained(fault: Fault) -> None:
    """MessagePack with a bad field is an InvalidInput that names field, expected and found."""
    check_explained(refusal(fault.body, MSGPACK), InvalidInput, fault)


LYING_SHAPES = {
    "product over 64 bits": TOO_LARGE,
    "product that wraps to the bytes": [2**62, 4, 2**32],
    "nothing, of 2**63 - 1": [0, 2**63 - 1],
    "nothing, of 2**64 - 1": [0, 2**64 - 1],
    "nothing, of a product over 64 bits": [0, 2**62, 2**62],
    "nothing, of three large sizes": [0, 2**31 - 1, 2**31 - 1, 2**31 - 1],
    "65 dimensions": [1] * 65,
    "a product of 5000 digits": [2**63] * 300,
}


@pytest.mark.parametrize("shape", LYING_SHAPES.values(), ids=LYING_SHAPES)
@pytest.mark.parametrize("data", [b"", floats(1)], ids=["no bytes", "4 bytes"])
def test_shape_that_no_array_can_have_is_invalid(shape: list[int], data: bytes) -> None:
    """Sizes are held against the bytes before numpy sees them, however large they are."""
    error = refusal(raw(shape, data), MSGPACK, shape=(-1,) * min(len(shape), 3))

    assert type(error) is InvalidInput
    assert error.detail.startswith("data")


def test_strings_have_no_raw_form() -> None:
    """A raw tensor for a string model is refused: there is no one way to write it."""
    error = refusal(raw([1, 2], b"ab", "str"), MSGPACK, dtype="str")

    assert type(error) is InvalidInput
    assert error.detail.startswith("data: ")


def test_tensor_is_called_as_the_caller_calls_it() -> None:
    """The message names the field that tensor_from_bytes was given."""
    tensor = WireTensor("float32", [3], memoryview(b""))

    with pytest.raises(InvalidInput, match=r"^inputs\[0\]\.data: expected 12 bytes"):
        tensor_from_bytes(tensor, "float32", field="inputs[0]")


@pytest.mark.parametrize("wire_format", WireFormat, ids=lambda each: each.name)
def test_members_of_a_batch_are_explained_as_bodies_are(wire_format: WireFormat) -> None:
    """A member that is still raw gets the message that it would get alone, value included."""
    encoder = msgspec.json.encode if wire_format is JSON else pack
    body = encoder({"data": [[1, 2]], "cache_ttl": 0})

    error = refusal(msgspec.Raw(body), wire_format)

    assert error.detail == refusal(body, wire_format).detail
    assert error.detail == "cache_ttl: expected int >= 1, found 0"


BAD_BATCHES = {
    "no members": Fault(b'{"requests": []}', "requests", "at least 1", "0"),
    "missing": Fault(b"{}", "requests", "a value", "nothing"),
    "no list": Fault(b'{"requests": 1}', "requests", "array", "int"),
    "a list as body": Fault(b"[]", "body", "object", "array"),
    "deep body": Fault(b"[" * DEEP, "body", "object", "array"),
    "key twice": Fault(b'{"requests": [1], "requests": [2]}', "requests", "once", "twice"),
}


@pytest.mark.parametrize("fault", BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_batch_is_explained(fault: Fault) -> None:
    """A batch that cannot be split is an InvalidInput that names field, expected and found."""
    with pytest.raises(InvalidInput) as caught:
        decode_batch(fault.body, JSON)

    check_explained(caught.value, InvalidInput, fault)


@pytest.mark.parametrize(
    ("body", "wire_format"),
    [
        (b'{"requests": [' + b"[" * DEEP + b"]" * DEEP + b"]}", JSON),
        (b'{"requests": [{"data": [[1, 2]]}', JSON),
        (b"nope", JSON),
        (b"\x81\xa8requests\x91" + b"\x91" * DEEP + b"\x01", MSGPACK),
        (pack({"requests": [1]})[:-1], MSGPACK),
    ],
    ids=["deep JSON", "truncated JSON", "not JSON", "deep MessagePack", "truncated MessagePack"],
)
def test_batch_that_does_not_parse_is_malformed(body: bytes, wire_format: WireFormat) -> None:
    """A batch that is no document at all is a MalformedRequest."""
    with pytest.raises(MalformedRequest, match=rf"^body: expected {wire_format.name}, found"):
        decode_batch(body, wire_format)


LEAKS = {
    "a value": (data(f'[["{SECRET}", 2]]'), JSON),
    "a ttl": (ttl(f'"{SECRET}"'), JSON),
    "a ttl out of range": (ttl("123456789" * 2 + "0123456789" * 2), JSON),
    "a field": (f'{{"data": [[1, 2]], "{SECRET}": 1}}'.encode(), JSON),
    "no JSON": (SECRET.encode(), JSON),
    "a body that is a string": (f'"{SECRET}"'.encode(), JSON),
    "a dtype": (raw([1, 2], floats(1, 2), SECRET), MSGPACK),
    "bytes": (raw([1, 2], SECRET.encode()), MSGPACK),
    "a value in MessagePack": (lists([1.0, SECRET]), MSGPACK),
    "no MessagePack": (SECRET.encode(), MSGPACK),
    "a field in MessagePack": (pack({"data": [[1, 2]], SECRET: 1}), MSGPACK),
    "a field of the tensor": (pack({"data": {SECRET: 1}}), MSGPACK),
}


@pytest.mark.parametrize(("body", "wire_format"), LEAKS.values(), ids=LEAKS)
def test_message_holds_little_of_the_payload(body: bytes, wire_format: WireFormat) -> None:
    """Never are more than 24 characters of a body repeated in the message."""
    detail = refusal(body, wire_format).detail

    text, detail = body.decode("latin-1").replace(" ", ""), detail.replace(" ", "")
    repeated = [text[at : at + 25] for at in range(len(text) - 24) if text[at : at + 25] in detail]
    assert repeated == []


def test_message_about_a_shape_is_short() -> None:
    """Sizes of twenty digits do not make a message of hundreds."""
    assert len(refusal(raw([2**63] * 8, b""), MSGPACK).detail) < 200


def test_foreign_wording_is_still_explained() -> None:
    """A message of msgspec in a form we do not know is passed on with its field."""
    error = msgspec.ValidationError("Something new - at `$.data[0]`")

    with pytest.raises(InvalidInput, match=r"^data\[0\]: Something new$"):
        explain_decode_error(error, b"", "JSON", PredictBody)


def test_value_that_cannot_be_found_again_is_left_out() -> None:
    """A message never fails because its path leads nowhere."""
    error = msgspec.ValidationError("Expected `int` >= 1 - at `$.nowhere`")

    with pytest.raises(InvalidInput, match=r"^nowhere: expected int >= 1, found another"):
        explain_decode_error(error, b"{}", "JSON", PredictBody)


def test_rows_without_a_visible_fault_are_refused_all_the_same() -> None:
    """Asked to explain rows that numpy takes, it still raises, and names the dtype."""
    with pytest.raises(InvalidInput, match=r"^data: expected values of float32"):
        explain_rows([[1.0, 2.0]], TensorSpec("x", "float32", (-1, 2)))


# Lists that are told by their length, before they are made.


def codec_of(*shape: int, dtype: str = "float32") -> RequestCodec:
    return RequestCodec(TensorSpec("x", dtype, shape), max_rows=3)


@pytest.mark.parametrize(
    ("start", "field", "most"), [(b"", "data", 65_536), (b"\x91", "data[0]", 2)]
)
def test_lists_that_say_they_are_too_long_are_not_made(start: bytes, field: str, most: int) -> None:
    """A list in MessagePack is refused by its header, of which nothing else need be there."""
    body = b"\x81\xa4data" + start + b"\xdd" + (65_537).to_bytes(4, "big")

    with pytest.raises(InvalidInput) as refused:
        codec_of(-1, 2).decode(body, MSGPACK)

    assert refused.value.detail == f"{field}: expected at most {most}, found more"


def test_a_batch_that_says_it_is_too_long_is_not_made() -> None:
    """So are the requests of a batch."""
    with pytest.raises(InvalidInput, match="requests: expected at most 65536, found more"):
        decode_batch(b"\x81\xa8requests\xdd" + (65_537).to_bytes(4, "big"), MSGPACK)


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (-1, -1)), ("str", (-1, 2))])
def test_large_bodies_whose_commas_tell_nothing_are_read(
    dtype: str, shape: tuple[int, ...]
) -> None:
    """Rows of any width may hold any number of values, and text any number of commas."""
    row = [1] * 600_000 if dtype == "float32" else ["," * 600_000, "," * 600_000]

    decoded = codec_of(*shape, dtype=dtype).decode(msgspec.json.encode({"data": [row]}), JSON)

    assert decoded.num_rows == 1


def test_a_large_body_is_told_what_a_small_one_is() -> None:
    """The value at fault is found by its key, so that nothing is read twice for the message."""
    body = b'{"cache_ttl":0,"data":[[1,2]]' + b" " * 1_000_000 + b"}"

    with pytest.raises(InvalidInput, match=r"^cache_ttl: expected int >= 1, found 0$"):
        codec_of(-1, 2).decode(body, JSON)
