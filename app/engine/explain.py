"""Say what is wrong with a body: field, expected, found.

Only bad requests come here, so nothing in this module is fast. The decoders are in `codec.py`.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any, NoReturn

import msgspec
import numpy as np

from app.engine.tensor import TensorSpec
from app.errors import InvalidInput, MalformedRequest

LARGE_BODY_BYTES = 131_072
"""MessagePack is not read a second time beyond this, for a better message."""

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
    """Show the number behind a key of JSON, however long all of it is."""
    text = bytes(body)
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
        return None if is_in_range(data, spec.numpy_dtype) else out_of_range(path, spec)
    for index, member in enumerate(data):
        place = (*path, index)
        if isinstance(member, list) and len(member) != len(data[0]):
            return uneven(place, len(data[0]), len(member))
        if fault := _first_fault(member, place, spec):
            return fault
    return None


def is_in_range(value: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype has a number."""
    try:
        np.asarray(value, dtype)
    except (ValueError, OverflowError, RuntimeWarning):
        return False
    return True


def uneven(path: tuple[int, ...], wanted: int, found: int) -> str:
    """Say that a list in `data` is of another length than the first one beside it."""
    place = _place((*path[:-1], 0))
    return f"{_place(path)}: expected {wanted} values as in {place}, found {found}"


def out_of_range(path: tuple[int, ...], spec: TensorSpec) -> str:
    """Say that a number in `data` is beyond its dtype."""
    return f"{_place(path)}: expected {spec.dtype}, found a number out of its range"


def _place(path: tuple[int, ...]) -> str:
    return "data" + "".join(f"[{index}]" for index in path)
