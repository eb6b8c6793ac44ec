"""Bytes ⇄ numpy: JSON and MessagePack bodies to checked arrays, answers to bytes.

A `RequestCodec` belongs to one model input: its decoders are typed with that input's rank and
dtype and are built once. MessagePack tensors are views into the body, no copy. What the Structs
look like is `schema.py`; which values are valid is `tensor.py`.
"""

import warnings
from contextlib import suppress
from enum import Enum
from math import prod
from typing import Annotated, Any, NoReturn, cast

import msgspec
import numpy as np

from ml_pipeline.engine.signature.schema import PredictBody, WireTensor
from ml_pipeline.engine.signature.tensor import (
    Array,
    Tensors,
    TensorSpec,
    dtype_names,
    whole_numbers,
)
from ml_pipeline.engine.wire.duplicate_keys import (
    refuse_json_duplicates,
    refuse_msgpack_duplicates,
)
from ml_pipeline.engine.wire.explain import explain_decode_error, explain_rows
from ml_pipeline.engine.wire.heavy import HEAVY_BYTES, LIGHT_BYTES, is_heavy_json
from ml_pipeline.engine.wire.large_packed import (
    MAX_PACKED_BYTES,
    find_data,
    read_packed_rows,
    refuse_long_lists,
    refuse_many_rows,
)
from ml_pipeline.engine.wire.large_rows import read_rows
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InvalidInput

# numpy converts 1e39 to float32 as inf and only warns; as an error it becomes a 422 at no cost to
# valid requests (np.errstate around each conversion would cost 1 µs).
warnings.filterwarnings("error", "overflow encountered in cast", RuntimeWarning)

MAX_RANK, MAX_SIZE = 8, 2**31 - 1
"""Most dimensions of a raw tensor, and the largest of them; far beyond what a body can hold."""

MANY = 65_536
"""Rows beyond this, and beyond those of a request, are refused before they are made.

A byte of a body may take 64 of memory as a list; how many there were too many is told up to here.
"""

_python_types: dict[str, type] = {"f": float, "i": int, "u": int, "b": bool, "O": str}


class WireFormat(Enum):
    """How a body is written.

    Attributes:
        media_type: As HTTP names it; an attribute of its own, because `value` is Python code.
    """

    JSON = "application/json"
    MSGPACK = "application/msgpack"

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type.encode()


def is_heavy(body: bytes | msgspec.Raw, wire_format: WireFormat) -> bool:
    """Tell whether a body has to be read in pieces (`turns.py`)."""
    if wire_format is WireFormat.JSON:
        return is_heavy_json(body)
    return len(body) > MAX_PACKED_BYTES


def wire_type(spec: TensorSpec, max_rows: int = -1, *, loose: bool = False) -> Any:
    """Give the type of a tensor's values as nested lists: `list[list[float]]` for `[b, F]`.

    Lists within rows are as long as the model's at most, so that what is made of a body before its
    shape is held against the model is no more than the model would take.

    Args:
        spec: Of the tensor.
        max_rows: Most of them, or MANY if that is more; -1 = any number.
        loose: Whether lists within rows may be of any length.
    """
    nested: Any = _python_types[spec.numpy_dtype.kind]
    for axis, size in reversed(list(enumerate(spec.shape))):
        nested = list[nested]
        if axis == 0 and max_rows != -1:
            nested = Annotated[nested, msgspec.Meta(max_length=max(max_rows, MANY))]
        elif axis > 0 and size != -1 and not loose:
            nested = Annotated[nested, msgspec.Meta(max_length=size)]
    return nested


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
        self._numpy_dtype = spec.numpy_dtype
        self._row_shape = spec.shape[1:]
        self._plain = spec.batched and spec.settled  # any number of rows, each of that shape
        self._max_rows = max_rows
        nested, loose = wire_type(spec, max_rows), wire_type(spec, max_rows, loose=True)
        body_of = cast(Any, PredictBody)  # types made at run time
        self._keys_only_strings = spec.dtype != "str"
        self._json = msgspec.json.Decoder(body_of[nested])
        self._floats = None
        if self._numpy_dtype.kind in "iu":
            floats = wire_type(TensorSpec(spec.name, "float64", spec.shape), max_rows)
            self._floats = msgspec.json.Decoder(body_of[floats])
        self._msgpack = msgspec.msgpack.Decoder(body_of[WireTensor | nested])
        self._loose: dict[WireFormat, Any] = {
            WireFormat.JSON: msgspec.json.Decoder(body_of[loose]),
            WireFormat.MSGPACK: msgspec.msgpack.Decoder(body_of[WireTensor | loose]),
        }

    def decode(self, body: bytes | msgspec.Raw, wire_format: WireFormat) -> DecodedRequest:
        """Decode and check one body.

        Raises:
            MalformedRequest: Not JSON or not MessagePack.
            InvalidInput: A field is missing, unknown, twice there, or has a wrong value.
            BodyTooLarge: Lists in MessagePack are too long.
        """
        as_json = wire_format is WireFormat.JSON
        if not as_json and len(body) > MAX_PACKED_BYTES:
            refuse_long_lists(body)
        if not as_json and len(body) > LIGHT_BYTES:
            refuse_many_rows(body, self._max_rows)
        try:
            request = (self._json if as_json else self._msgpack).decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            request = self._with_whole_floats(body, error) if as_json else None
            if request is None:
                self._explain(error, body, wire_format)
        data = request.data
        if isinstance(data, WireTensor):
            array = tensor_from_bytes(data, self._spec.dtype)
        else:
            array = self._to_array(data)
        if as_json:
            refuse_json_duplicates(bytes(body), self._keys_only_strings)
            if array.shape[1:] != self._row_shape or not self._plain:
                self._spec.check_shape(array.shape)  # no values: JSON has no NaN, nor infinity
        else:
            refuse_msgpack_duplicates(memoryview(body))
            self._spec.check(array)
        return self._to_request(array, request)

    def _to_request(self, array: Array, body: PredictBody[Any]) -> DecodedRequest:
        num_rows = len(array) if array.ndim else 1
        if num_rows > self._max_rows:
            raise InvalidInput(f"data: expected at most {self._max_rows} rows, found {num_rows}")
        return DecodedRequest({self._spec.name: array}, num_rows, body.use_cache, body.cache_ttl)

    def decode_in_steps(self, body: bytes, wire_format: WireFormat) -> Steps[DecodedRequest]:
        """Decode and check a large body.

        Raises:
            MalformedRequest: As `decode`.
            InvalidInput: Likewise.
            BodyTooLarge: It can be read in one go alone, and would take too long.
        """
        if wire_format is WireFormat.MSGPACK:
            if find_data(body)[1] or len(self._spec.shape) != 2 or self._numpy_dtype.kind != "f":
                return self.decode(body, wire_format)
            array, options = yield from read_packed_rows(body, self._spec, self._max_rows)
            self._spec.check(array)
        else:
            array, options = yield from read_rows(body, self._spec, max(self._max_rows, MANY))
        self._spec.check_shape(array.shape)
        return self._to_request(array, options)

    def _explain(self, error: Exception, body: Any, wire_format: WireFormat) -> NoReturn:
        """Raise our error for one of msgspec's; a list that is too long is told with its length."""
        if "of length <=" in str(error) and len(body) <= HEAVY_BYTES:
            with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                found = self._to_array(self._loose[wire_format].decode(body).data)
                self._spec.check_shape(found.shape)
        explain_decode_error(error, body, wire_format.name, PredictBody)

    def _with_whole_floats(self, body: bytes | msgspec.Raw, error: Exception) -> Any:
        """Read integers that are written as 1.0; None if that is not what is wrong."""
        if self._floats is None or not isinstance(error, msgspec.ValidationError):
            return None
        try:
            request = self._floats.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if (whole := whole_numbers(request.data, self._numpy_dtype)) is None:
            return None
        request.data = whole.tolist()
        return request

    def _to_array(self, data: Any) -> Array:
        if not data and isinstance(data, list):
            raise InvalidInput("data: expected at least 1 row, found 0")
        try:
            array = np.asarray(data, dtype=self._numpy_dtype)
        except (ValueError, OverflowError, RuntimeWarning):
            explain_rows(data, self._spec)
        if not self._keys_only_strings and array.ndim != len(self._spec.shape):  # ragged strings
            explain_rows(data, self._spec)
        return array


def tensor_from_bytes(tensor: WireTensor, dtype: str, field: str = "data") -> Array:
    """View a raw tensor as an array; copied only where its bytes are not aligned for its dtype.

    The size is computed in Python's unbounded integers before anything is allocated.

    Raises:
        InvalidInput: Another dtype than the model's, impossible sizes, or bytes that do not fill
            the shape exactly.
    """
    if tensor.dtype != dtype:
        raise InvalidInput(f"{field}.dtype: expected {dtype}, found {tensor.dtype[:20]!r}")
    if dtype == "str":
        raise InvalidInput(f"{field}: expected nested lists, found bytes; strings have no raw form")
    shape = tensor.shape
    if len(shape) > MAX_RANK or any(not 0 <= size <= MAX_SIZE for size in shape):
        found = str([str(size)[:12] for size in shape[:4]]).replace("'", "")
        raise InvalidInput(
            f"{field}.shape: expected sizes of 0 to {MAX_SIZE}, {MAX_RANK} at most, found {found}"
        )
    itemsize = np.dtype(dtype).itemsize
    if prod(shape) * itemsize != tensor.data.nbytes:
        raise InvalidInput(
            f"{field}.data: expected {prod(shape) * itemsize} bytes for {dtype} {shape}, "
            f"found {tensor.data.nbytes}"
        )
    array = np.frombuffer(tensor.data, dtype=np.dtype(dtype).newbyteorder("<"))
    try:
        array = array.reshape(shape)
    except ValueError:  # nothing, of sizes that multiply beyond the address space
        raise InvalidInput(f"{field}.shape: expected at least 1 value, found 0") from None
    if dtype == "bool" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidInput(f"{field}.data: expected booleans as bytes of 0 or 1, found others")
    return array if array.flags.aligned else array.copy()


_json_encoder, _msgpack_encoder = msgspec.json.Encoder(), msgspec.msgpack.Encoder()
_cached_tails = {WireFormat.JSON: (b"false}}", b"true}}"), WireFormat.MSGPACK: (b"\xc2", b"\xc3")}


def encode(answer: msgspec.Struct, wire_format: WireFormat) -> bytes:
    """Write a Struct. JSON has no NaN or infinity: they become null."""
    if wire_format is WireFormat.JSON:  # no dict: an Enum's hash is Python code
        return _json_encoder.encode(answer)
    return _msgpack_encoder.encode(answer)


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
    return WireTensor(dtype_names[array.dtype], list(array.shape), memoryview(array.tobytes()))
