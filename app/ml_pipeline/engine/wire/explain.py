"""Say what is wrong with a body: field, expected, found.

Only bad requests come here, so nothing in this module is fast. The decoders are in `codec.py`.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any, NoReturn

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import InvalidInput, MalformedRequest

LARGE_BODY_BYTES = 131_072
"""MessagePack is not read a second time beyond this, for a better message; of JSON both ends are
looked through."""

_mismatch = re.compile(
    r"Expected (?P<expected>.+?)(?:, got (?P<found>.+?))?(?: - at `(?P<path>.+)`)?$"
)
_number = re.compile(rb"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}(-?[0-9.eE+-]{1,24})")


def explain_decode_error(
    error: Exception, body: Any, language: str, struct: type[msgspec.Struct]
) -> NoReturn:
    """Raise our error for one of msgspec's.

    Args:
        error: What a decoder raised.
        body: The bytes it was given.
        language: `JSON` or `MSGPACK`.
        struct: What it should have become.

    Raises:
        MalformedRequest: The body does not parse at all.
        InvalidInput: It parses, and a field has a wrong type or value.
    """
    text = str(error)
    if isinstance(error, RecursionError):
        raise MalformedRequest(f"body: expected {language}, found nesting too deep") from None
    if not isinstance(error, msgspec.ValidationError):
        if language == "JSON" and (mark := byte_order_mark(body)):
            raise MalformedRequest(f"body: expected JSON in UTF-8 alone, found {mark}") from None
        raise MalformedRequest(f"body: expected {language}, found: {text}") from None
    if missing := re.search(r"missing required field `(.+?)`", text):
        raise InvalidInput(f"{missing[1]}: expected a value, found nothing") from None
    if unknown := re.search(r"unknown field `(.+?)`", text):
        field = unknown[1][:24] if unknown[1].isidentifier() else "body"
        expected = ", ".join(struct.__struct_fields__)
        raise InvalidInput(f"{field}: expected one of {expected}, found an unknown field") from None
    if many := re.search(r"`(?:array|object)` of length <= (\d+)(?: - at `\$\.?(.+)`)?$", text):
        field = (many[2] or "body").removeprefix(".")
        raise InvalidInput(f"{field}: expected at most {many[1]}, found more") from None
    if found := _mismatch.match(text):
        field = (found["path"] or "$").split("` in `")[-1].removeprefix("$").removeprefix(".")
        field = field or "body"
        actual = found["found"] or _value_at(field, body, language)
        expected = found["expected"].replace("`", "")
        raise InvalidInput(
            f"{field}: expected {expected}, found {actual.replace('`', '')}"
        ) from None
    path = re.search(r" - at `\$\.?(.+)`$", text)
    reason = text.split(" - at ")[0]
    if reason == "Number out of range":
        reason = "expected a number of at most 1.8e308, found a larger one"
    raise InvalidInput(f"{path[1] if path else 'body'}: {reason}") from None


def byte_order_mark(body: Any) -> str:
    """Name the mark that some programs put before a text, in words; empty if there is none."""
    start = bytes(memoryview(body)[:3])
    if start == BOM_UTF8:
        return "a byte order mark (EF BB BF) before it"
    return "text in UTF-16" if start[:2] in (BOM_UTF16_BE, BOM_UTF16_LE) else ""


def _value_at(field: str, body: Any, language: str) -> str:
    """Show the scalar at a path such as `cache_ttl`; never more than 24 characters of it."""
    if language == "JSON":
        return _number_of(field, body)
    if len(body) > LARGE_BODY_BYTES:  # what it holds beside the scalar may take 80 times the memory
        return "another value"
    try:
        value = msgspec.msgpack.decode(body)
        for step in re.findall(r"[^.\[\]]+", field):
            value = value[int(step)] if isinstance(value, list) else value[step]
    except Exception:  # a path we cannot follow costs the message one word, no more
        return "another value"
    return repr(value)[:24] if isinstance(value, int | float | str | bool) else type(value).__name__


def _number_of(key: str, body: Any) -> str:
    """Show the number behind a key of JSON, which stands before a long list or behind it."""
    text = bytes(body)
    if len(text) > 2 * LARGE_BODY_BYTES:
        text = text[:LARGE_BODY_BYTES] + text[-LARGE_BODY_BYTES:]
    found = _number.match(text, text.find(b'"%b"' % key.encode()) + len(key) + 2)
    return found[1].decode()[:24] if found else "another value"


def explain_rows(data: Any, spec: TensorSpec) -> NoReturn:
    """Raise for nested lists that make no array: ragged, or a number out of the dtype's range.

    Raises:
        InvalidInput: Always; names the first place.
    """
    fault = _first_fault(data, (), spec)
    raise InvalidInput(fault or f"data: expected values of {spec.dtype}, found others")


def _first_fault(data: Any, path: tuple[int, ...], spec: TensorSpec) -> str | None:
    if not isinstance(data, list):
        return None if _fits(data, spec) else out_of_range(path, spec)
    even, fault = data, None
    if data and isinstance(data[0], list):
        wanted = len(data[0])
        lengths = list(map(len, data))
        ragged = next((index for index, length in enumerate(lengths) if length != wanted), None)
        if ragged is not None:
            even = data[:ragged]  # of which one may be at fault within itself, and comes before
            fault = uneven((*path, ragged), wanted, lengths[ragged])
    index = first_unfit(even, spec)
    found = None if index is None else _first_fault(even[index], (*path, index), spec)
    return found or fault


def first_unfit(members: list[Any], spec: TensorSpec) -> int | None:
    """Find the first member with a fault, by halves: one by one they would take 0.4 µs each."""
    if not members or _are_sound(members, spec):
        return None
    start, stop = 0, len(members)
    while stop - start > 1:
        middle = (start + stop) // 2
        if _are_sound(members[start:middle], spec):
            start = middle
        else:
            stop = middle
    return start


def _are_sound(members: list[Any], spec: TensorSpec) -> bool:
    """Whether members of one length make an array; words are only told from ragged lists of them.

    numpy makes an array of strings of anything, so there its number of axes has to tell.
    """
    depth, first = 1, members[0]
    while isinstance(first, list) and first:
        depth, first = depth + 1, first[0]
    return _fits(members, spec, depth)


def _fits(value: Any, spec: TensorSpec, depth: int = 0) -> bool:
    try:
        return np.asarray(value, spec.numpy_dtype).ndim >= depth
    except (ValueError, OverflowError, RuntimeWarning):
        return False


def uneven(path: tuple[int, ...], wanted: int, found: int) -> str:
    """Say that a list in `data` is of another length than the first one beside it."""
    place = _place((*path[:-1], 0))
    return f"{_place(path)}: expected {wanted} values as in {place}, found {found}"


def out_of_range(path: tuple[int, ...], spec: TensorSpec) -> str:
    """Say that a number in `data` is beyond its dtype."""
    return f"{_place(path)}: expected {spec.dtype}, found a number out of its range"


def _place(path: tuple[int, ...]) -> str:
    return "data" + "".join(f"[{index}]" for index in path)
