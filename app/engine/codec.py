"""Bytes ⇄ numpy: JSON and MessagePack bodies to checked arrays, answers to bytes.

A `RequestCodec` belongs to one model input: its decoders are typed with that input's rank and
dtype and are built once. MessagePack tensors are views into the body, no copy. What the Structs
look like is `schema.py`; which values are valid is `tensor.py`.
"""

import json
import warnings
from enum import Enum
from math import prod
from typing import Any

import msgspec
import numpy as np

from app.engine.explain import explain_decode_error, explain_rows
from app.engine.schema import BatchBody, PredictBody, WireTensor
from app.engine.tensor import Array, Tensors, TensorSpec
from app.errors import InvalidInput

# numpy converts 1e39 to float32 as inf and only warns; as an error it becomes a 422 at no cost to
# valid requests (np.errstate around each conversion would cost 1 µs).
warnings.filterwarnings("error", "overflow encountered in cast", RuntimeWarning)

_python_types: dict[str, type] = {"f": float, "i": int, "u": int, "b": bool, "O": str}


class WireFormat(Enum):
    """How a body is written, with its media type."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"


class DecodedRequest(msgspec.Struct, gc=False):
    """One request, decoded and checked.

    Attributes:
        inputs: The model's one input by name, `[b, …]`.
        num_rows: b.
        cache_ttl: Seconds, or None for the server's default.
    """

    inputs: Tensors
    num_rows: int
    use_cache: bool
    cache_ttl: int | None


class RequestCodec:
    """Decoder of `POST /predict` bodies for one model input.

    Args:
        spec: The input that the rows fill.
        max_rows: Most rows in one request.
    """

    def __init__(self, spec: TensorSpec, max_rows: int) -> None:
        self._spec = spec
        self._max_rows = max_rows
        nested: Any = _python_types[spec.numpy_dtype.kind]
        self._keys_only_strings = nested is not str
        for _ in spec.shape:
            nested = list[nested]
        self._json = msgspec.json.Decoder(PredictBody[nested])
        self._msgpack = msgspec.msgpack.Decoder(PredictBody[WireTensor | nested])

    def decode(self, body: bytes | msgspec.Raw, wire_format: WireFormat) -> DecodedRequest:
        """Decode and check one body.

        Raises:
            MalformedRequest: Not JSON or not MessagePack.
            InvalidInput: A field is missing, unknown, twice there, or has a wrong value.
        """
        as_json = wire_format is WireFormat.JSON
        try:
            request = (self._json if as_json else self._msgpack).decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            explain_decode_error(error, body, wire_format.name, PredictBody)
        if as_json:
            refuse_duplicate_keys(bytes(body), self._keys_only_strings)
        array = self._to_array(request.data)
        self._spec.check(array)
        num_rows = len(array)
        if num_rows > self._max_rows:
            raise InvalidInput(f"data: expected at most {self._max_rows} rows, found {num_rows}")
        return DecodedRequest(
            {self._spec.name: array}, num_rows, request.use_cache, request.cache_ttl
        )

    def _to_array(self, data: Any) -> Array:
        if isinstance(data, WireTensor):
            return tensor_from_bytes(data, self._spec.dtype)
        if not data:
            raise InvalidInput("data: expected at least 1 row, found 0")
        try:
            return np.asarray(data, dtype=self._spec.numpy_dtype)
        except (ValueError, OverflowError, RuntimeWarning):
            explain_rows(data, self._spec)


_batch_decoders: dict[WireFormat, Any] = {
    WireFormat.JSON: msgspec.json.Decoder(BatchBody),
    WireFormat.MSGPACK: msgspec.msgpack.Decoder(BatchBody),
}


def decode_batch(body: bytes, wire_format: WireFormat) -> list[msgspec.Raw]:
    """Split a `POST /predict/batch` body into its members, each still undecoded.

    Raises:
        MalformedRequest: Not JSON or not MessagePack.
        InvalidInput: `requests` is missing, empty, or no list.
    """
    try:
        members: list[msgspec.Raw] = _batch_decoders[wire_format].decode(body).requests
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, body, wire_format.name, BatchBody)
    if not members:
        raise InvalidInput("requests: expected at least 1, found 0")
    return members


def tensor_from_bytes(tensor: WireTensor, dtype: str, field: str = "data") -> Array:
    """View a raw tensor as an array; copied only where its bytes are not aligned for its dtype.

    The size is computed in Python's unbounded integers before anything is allocated.

    Raises:
        InvalidInput: Another dtype than the model's, negative sizes, or bytes that do not fill
            the shape exactly.
    """
    if tensor.dtype != dtype:
        raise InvalidInput(f"{field}.dtype: expected {dtype}, found {tensor.dtype[:20]!r}")
    if dtype == "str":
        raise InvalidInput(f"{field}: strings have no raw form; send nested lists")
    if any(size < 0 for size in tensor.shape):
        raise InvalidInput(f"{field}.shape: expected sizes of 0 or more, found {tensor.shape[:8]}")
    expected = prod(tensor.shape) * np.dtype(dtype).itemsize
    if expected != tensor.data.nbytes:
        raise InvalidInput(
            f"{field}.data: expected {expected} bytes for {dtype} {tensor.shape[:8]}, "
            f"found {tensor.data.nbytes}"
        )
    array = np.frombuffer(tensor.data, dtype=np.dtype(dtype).newbyteorder("<"))
    array = array.reshape(tensor.shape)
    return array if array.flags.aligned else array.copy()


_encoders: dict[WireFormat, msgspec.json.Encoder | msgspec.msgpack.Encoder] = {
    WireFormat.JSON: msgspec.json.Encoder(),
    WireFormat.MSGPACK: msgspec.msgpack.Encoder(),
}
_cached_tails = {WireFormat.JSON: (b"false}}", b"true}}"), WireFormat.MSGPACK: (b"\xc2", b"\xc3")}


def encode(answer: msgspec.Struct, wire_format: WireFormat) -> bytes:
    """Write a Struct. JSON has no NaN or infinity: they become null."""
    return _encoders[wire_format].encode(answer)


def mark_cached(answer: bytes, wire_format: WireFormat) -> bytes:
    """Turn a fresh encoded `PredictResponse` into the one a cache hit sends.

    `cached` is the last field on the wire, so only the tail differs; a second encoding is saved.
    """
    fresh, cached = _cached_tails[wire_format]
    return answer[: -len(fresh)] + cached


def rows_for_wire(array: Array, wire_format: WireFormat) -> Any:
    """Give an output as the wire wants it: nested lists, or raw bytes in MessagePack."""
    if wire_format is WireFormat.JSON or array.dtype.hasobject:
        return array.tolist()
    data = memoryview(np.ascontiguousarray(array).data).cast("B")
    return WireTensor(array.dtype.name, list(array.shape), data)


def refuse_duplicate_keys(body: bytes, keys_only_strings: bool) -> None:
    """Raise if an object of a decoded JSON body has a key twice; msgspec takes the last in silence.

    Args:
        body: JSON that has been decoded once, so its form is known to be right.
        keys_only_strings: Whether every string in it is a key: then the text between quotes tells,
            at 0.4 µs. An escaped character, or strings as values, need the slow way.
    """
    if keys_only_strings and b"\\" not in body:
        keys = body.split(b'"')[1::2]
        if len(set(keys)) == len(keys):
            return
    json.loads(body, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise InvalidInput(f"{key}: expected once, found twice")
        seen[key] = value
    return seen
