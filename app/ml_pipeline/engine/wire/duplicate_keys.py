"""Refuse bodies that say a thing twice; msgspec takes the last of two equal keys in silence.

Called after a body has been decoded once, so its form is known to be right.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from ml_pipeline.errors import InvalidInput, MalformedRequest

_map_of_raw = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


def refuse_json_duplicates(body: bytes, keys_only_strings: bool) -> None:
    """Raise if any object of a JSON body of `POST /predict` has a key twice.

    Args:
        body: Decoded before, so that `data` is in it.
        keys_only_strings: Whether every string in it is a key: then the text between quotes tells,
            at 0.5 µs, and a count of the quotes at half of that if there are two keys at most. An
            escaped character, or strings as values, need the slow way.

    Raises:
        InvalidInput: Names the key.
    """
    if keys_only_strings and b"\\" not in body:
        num_quotes = body.count(b'"')
        if num_quotes == 2 or (num_quotes == 4 and body.count(b'"data"') == 1):
            return  # what stands beside it is there once as well
        keys = body.split(b'"')[1::2]
        if len(set(keys)) == len(keys):
            return
    _parse(body, _unique)


def refuse_outer_json_duplicates(body: bytes) -> None:
    """Raise if the outermost object has a key twice; members answer for themselves."""
    if body.count(b'"requests"') == 1 and b"\\" not in body:
        return
    outermost: list[tuple[str, Any]] = []

    def remember(pairs: list[tuple[str, Any]]) -> None:
        outermost[:] = pairs  # objects are closed from the inside out, so the last is the outermost

    # Bytes that are no UTF-8 belong to members, which answer for themselves.
    _parse(body.decode("latin-1"), remember)
    _unique(outermost)


def refuse_msgpack_duplicates(body: bytes | memoryview) -> None:
    """Raise if the outermost map of a MessagePack body, or a tensor in it, has a key twice."""
    num_pairs = _num_pairs(body)
    if num_pairs is None:
        return
    found = _map_of_raw.decode(body)
    if len(found) < num_pairs:
        repeats = (key for key in found if bytes(body).count(msgspec.msgpack.encode(key)) > 1)
        raise InvalidInput(f"{next(repeats, 'body')}: expected once, found twice")
    if "data" in found:
        refuse_msgpack_duplicates(memoryview(found["data"]))


def _num_pairs(body: bytes | memoryview) -> int | None:
    """Read the header of a map; None for anything else. Source: the MessagePack specification."""
    if 0x80 <= body[0] <= 0x8F:
        return body[0] & 0x0F
    if body[0] in (0xDE, 0xDF):  # map 16, map 32
        return int.from_bytes(body[1 : 3 if body[0] == 0xDE else 5], "big")
    return None


def _parse(body: bytes | str, hook: Callable[[list[tuple[str, Any]]], Any]) -> None:
    """Parse for the keys alone: numbers stay text, however many digits they have."""
    try:
        json.loads(body, object_pairs_hook=hook, parse_int=str, parse_float=str, strict=False)
    except RecursionError:
        raise MalformedRequest("body: expected JSON, found nesting too deep") from None
    except ValueError:  # msgspec skips what it need not read: a string that is no UTF-8, say
        raise MalformedRequest("body: expected JSON in UTF-8, found something else") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise InvalidInput(f"{key[:24]}: expected once, found twice")
        seen[key] = value
    return seen
