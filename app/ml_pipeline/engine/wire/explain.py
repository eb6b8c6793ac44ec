"""Say what is wrong with a body: field, expected, found.

Only bad requests come here, so nothing in this module is fast. The decoders are in `codec.py`.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import InvalidInput, MalformedRequest

LARGE_BODY_BYTES = 65_536
"""A body is not read a second time beyond this, for a better message."""

_mismatch = re.compile(
    r"Expected (?P<expected>.+?)(?:, got (?P<found>.+?))?(?: - at `(?P<path>.+)`)?$"
)
_parsers: dict[str, Callable[[Any], Any]] = {
    "JSON": msgspec.json.decode,
    "MSGPACK": msgspec.msgpack.decode,
}


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
    if len(body) > LARGE_BODY_BYTES:  # what it holds beside the scalar may take 80 times the memory
        return "another value"
    try:
        value = _parsers[language](body)
        for step in re.findall(r"[^.\[\]]+", field):
            value = value[int(step)] if isinstance(value, list) else value[step]
    except Exception:  # a path we cannot follow costs the message one word, no more
        return "another value"
    return repr(value)[:24] if isinstance(value, int | float | str | bool) else type(value).__name__


def explain_rows(data: Any, spec: TensorSpec) -> NoReturn:
    """Raise for nested lists that make no array: ragged, or a number out of the dtype's range.

    Raises:
        InvalidInput: Always; names the first place.
    """
    fault = _first_fault(data, "data", spec)
    raise InvalidInput(fault or f"data: expected values of {spec.dtype}, found others")


def _first_fault(data: Any, field: str, spec: TensorSpec) -> str | None:
    if not isinstance(data, list):
        if _fits(data, spec):
            return None
        return f"{field}: expected {spec.dtype}, found a number out of its range"
    even, fault = data, None
    if data and isinstance(data[0], list):
        wanted = len(data[0])
        lengths = list(map(len, data))
        ragged = next((index for index, length in enumerate(lengths) if length != wanted), None)
        if ragged is not None:
            even = data[:ragged]  # of which one may be at fault within itself, and comes before
            fault = f"{wanted} values as in {field}[0], found {lengths[ragged]}"
            fault = f"{field}[{ragged}]: expected {fault}"
    found = _first_within(even, field, spec)
    return found or fault


def _first_within(members: list[Any], field: str, spec: TensorSpec) -> str | None:
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
    return _first_fault(members[start], f"{field}[{start}]", spec)


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
