"""Values of one tensor, out of JSON or out of bytes → an array.

For the Open Inference Protocol; the whole of a request is `infer_request.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Any

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.infer_lists import check_list, python_types, read_odd
from ml_pipeline.engine.wire.infer_schema import WITHOUT_JSON, InferInput, datatypes
from ml_pipeline.engine.wire.json_numbers import Numbers, Text, is_balanced, read_numbers
from ml_pipeline.engine.wire.json_strings import read_strings
from ml_pipeline.engine.wire.turns import Steps, at_once
from ml_pipeline.errors import InvalidInput

STRINGS_A_STEP = 2048
"""Read in one go, 0.7 ms of those in bytes."""

LONG_BYTES = 16_384
"""Of a list in JSON; up to here it is read in one go."""

_flat_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "f": msgspec.json.Decoder(list[float]),
    "i": msgspec.json.Decoder(list[int]),
    "u": msgspec.json.Decoder(list[int]),
    "b": msgspec.json.Decoder(list[bool]),
    "O": msgspec.json.Decoder(list[str]),
}
_any_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def from_bytes(data: memoryview, shape: Sequence[int], spec: TensorSpec, field: str) -> Array:
    """View bytes as an array; copied only where they are not aligned for its dtype.

    Args:
        data: Little-endian, row-major; strings each behind their length, a uint32.
        shape: Fits the spec.
        spec: Of the tensor.
        field: What the caller calls it.

    Raises:
        InvalidInput: They do not fill the shape exactly.
    """
    if spec.dtype == "str":
        return at_once(strings_in_steps(data, shape, field))
    dtype = spec.numpy_dtype
    size = prod(shape) * dtype.itemsize
    if size != len(data):
        raise InvalidInput(
            f"{field}: expected {size} bytes for {list(shape)} of {datatypes[spec.dtype]}, "
            f"found {len(data)}"
        )
    array: Array = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)
    if spec.dtype == "bool" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidInput(f"{field}: expected booleans as bytes of 0 or 1, found others")
    return array if array.flags.aligned else array.copy()


def from_json(tensor: InferInput, spec: TensorSpec, field: str) -> Array:
    """Make an array of `data`: values in row-major order, flat or nested or both.

    Args:
        tensor: As sent; its shape fits the spec.
        spec: Of the tensor.
        field: What the caller calls it.

    Raises:
        InvalidInput: Another number of values than the shape has, or one that does not fit.
    """
    if tensor.data is msgspec.UNSET:
        raise InvalidInput(f"{field}: expected data or binary_data_size, found neither")
    if tensor.datatype in WITHOUT_JSON:
        raise InvalidInput(f"{field}: expected binary data for {tensor.datatype}, found JSON")
    kind, count = spec.numpy_dtype.kind, prod(tensor.shape)
    sizes = tensor.shape
    most = prod(sizes[: sizes.index(0)] if 0 in sizes else sizes)  # `[[], []]` has no values
    if kind != "O" and bytes(tensor.data).count(b",") >= most:  # before lists are made of them
        raise InvalidInput(f"{field}.data: expected {count} values for {tensor.shape}, found more")
    try:
        values = _flat_decoders[kind].decode(tensor.data)
    except msgspec.ValidationError:
        values = _flatten(tensor.data, kind, field)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidInput(f"{field}.data: expected strings in UTF-8, found others") from None
    if len(values) != count:
        raise InvalidInput(
            f"{field}.data: expected {count} values for {tensor.shape}, found {len(values)}"
        )
    try:
        return np.array(values, dtype=spec.numpy_dtype).reshape(tensor.shape)
    except (ValueError, OverflowError, RuntimeWarning):
        raise InvalidInput(
            f"{field}.data: expected values of {tensor.datatype}, found one out of its range"
        ) from None


def text_in(data: msgspec.Raw, lists: dict[bytes, Text]) -> Text | None:
    """Give what is to be read in pieces: numbers that were cut out, or what was not, if it is long.

    Args:
        data: Of a tensor, as sent; its numbers are the name of a list.
        lists: By name; it is taken.
    """
    sent = bytes(data)
    if sent[:1] == b'"':
        return lists.pop(sent, None)
    is_long = sent[:1] == b"[" and len(sent) > LONG_BYTES
    return Text(sent, 0, len(sent)) if is_long else None


def from_text(text: Text, shape: Sequence[int], spec: TensorSpec, field: str) -> Steps[Array]:
    """Make an array of a long `data`, likewise.

    Args:
        text: A list of numbers, or of strings.
        shape: Fits the spec.
        spec: Of the tensor.
        field: What the caller calls it.

    Raises:
        InvalidInput: As `from_json`.
        MalformedRequest: It is no JSON.
    """
    if datatypes[spec.dtype] in WITHOUT_JSON:
        raise InvalidInput(f"{field}: expected binary data for {datatypes[spec.dtype]}, found JSON")
    if prod(shape) <= text.stop - text.start:  # a byte for each
        with suppress(InvalidInput):
            values, skeleton, _ = yield from _read(text, spec, prod(shape), f"{field}.data")
            flat = skeleton.count(b",") == len(skeleton) - 2 and skeleton[-1:] == b"]"
            if len(values) == prod(shape) and (flat or (yield from is_balanced(skeleton))):
                return values.reshape(shape)
    yield from check_list(text)
    return (yield from read_odd(text, shape, spec, field))


def _read(text: Text, spec: TensorSpec, most: int, field: str) -> Steps[Numbers]:
    if spec.dtype == "str":
        return (yield from read_strings(text, most, field))
    return (yield from read_numbers(text, spec.numpy_dtype, most, field))


def _flatten(data: msgspec.Raw, kind: str, field: str) -> list[Any]:
    """Lay nested lists out flat; without recursion, for they may be deep."""
    try:
        nested = _any_decoder.decode(data)
    except RecursionError:
        raise InvalidInput(
            f"{field}.data: expected lists of values, found nesting too deep"
        ) from None
    except msgspec.ValidationError:  # beyond the range of every number
        raise InvalidInput(
            f"{field}.data: expected a number of at most 1.8e308, found a larger one"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidInput(f"{field}.data: expected strings in UTF-8, found others") from None
    types = python_types[kind]
    flat: list[Any] = []
    open_lists = [iter((nested,))]
    while open_lists:
        for value in open_lists[-1]:
            if isinstance(value, list):
                open_lists.append(iter(value))
                break
            if type(value) not in types:
                if kind in "iu" and type(value) is float and value.is_integer():
                    flat.append(int(value))  # as programs write 1 that have no other numbers
                    continue
                expected = " or ".join(each.__name__ for each in types)
                raise InvalidInput(
                    f"{field}.data: expected {expected}, found {type(value).__name__}"
                )
            flat.append(value)
        else:
            open_lists.pop()
    return flat


def strings_in_steps(data: memoryview, shape: Sequence[int], field: str) -> Steps[Array]:
    """Read strings, each behind its length, a uint32.

    Raises:
        InvalidInput: They do not fill the shape exactly, or one is no UTF-8.
    """
    count, start = prod(shape), 0
    if count > len(data) // 4:
        raise InvalidInput(
            f"{field}: expected {count} strings behind their lengths, found {len(data)} bytes"
        )
    array: Array = np.empty(count, dtype=object)
    for index in range(count):
        stop = start + 4
        length = int.from_bytes(data[start:stop], "little")
        start, stop = stop, stop + length
        if stop > len(data):
            raise InvalidInput(
                f"{field}: expected {count} strings behind their lengths, found {len(data)} bytes "
                f"that end within number {index}"
            )
        array[index] = text_of(data[start:stop], field)
        start = stop
        if index % STRINGS_A_STEP == STRINGS_A_STEP - 1:
            yield
    if start < len(data):
        raise InvalidInput(f"{field}: expected {count} strings, found more")
    return array.reshape(shape)


def text_of(data: memoryview, field: str) -> str:
    """Decode a string.

    Raises:
        InvalidInput: It is no UTF-8.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{field}: expected strings in UTF-8, found others") from None
