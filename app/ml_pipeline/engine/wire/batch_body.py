"""Bodies of `POST /predict/batch` → their members, each still undecoded; large ones in pieces."""

import re
from typing import Any

import msgspec

from ml_pipeline.engine.signature.schema import BatchBody
from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.engine.wire.duplicate_keys import (
    refuse_msgpack_duplicates,
    refuse_outer_json_duplicates,
)
from ml_pipeline.engine.wire.explain import explain_decode_error
from ml_pipeline.engine.wire.json_strings import end_of_string
from ml_pipeline.engine.wire.large_rows import MAX_TEXT_BYTES
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest

PIECE_BYTES = 131_072
"""Of a member that is looked into, in a fraction of a millisecond."""

TOKENS_A_PIECE, WINDOW_BYTES = 512, 65_536
"""Strings and brackets, 0.5 to 1 µs each, or bytes without any, 5 to 10 ns each."""

MAX_PACKED_BATCH_BYTES = 2_097_152
"""Of MessagePack, which is split in one go: 1.2 ns a byte where each is a number, twice."""

BLANKS, QUOTE, OPENING = b" \t\r\n", ord(b'"'), b"[{"

_blank = rb"[ \t\r\n]{0,64}"
_head = re.compile(rb'%b\{%b"requests"%b:%b\[' % (_blank, _blank, _blank, _blank))
_tail = re.compile(rb"\]%b\}%b" % (_blank, _blank))
_mark = re.compile(rb'["\[\]{}]')
_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_raw: msgspec.json.Decoder[msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw)
_raws: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
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
    if wire_format is WireFormat.JSON:
        refuse_outer_json_duplicates(body)
    else:
        refuse_msgpack_duplicates(body)
    if not members:
        raise InvalidInput("requests: expected at least 1, found 0")
    return members


def decode_batch_in_steps(
    body: bytes, wire_format: WireFormat, max_members: int
) -> Steps[list[msgspec.Raw]]:
    """Split a large one; errors as of `decode_batch`.

    Raises:
        BodyTooLarge: It can be read in one go alone, and would take too long.
    """
    if wire_format is WireFormat.JSON:
        return (yield from _split_json(body, max_members))
    _refuse_long(body)
    return decode_batch(body, wire_format)


def _split_json(body: bytes, max_members: int) -> Steps[list[msgspec.Raw]]:
    """Split JSON where the brackets of a member are closed; those in strings are none.

    A member that is long by itself is not looked into: whoever decodes it sees what it is.

    Raises:
        MalformedRequest: It is no object with a list of requests alone.
        InvalidInput: There are none, or more than `max_members`.
        BodyTooLarge: A string is longer than is looked through in one go.
    """
    place, end = _find_list(body)
    members: list[msgspec.Raw] = []
    depth, begun, count, done = 0, 0, 0, place
    while place < end:
        found = _mark.search(body, place, min(place + WINDOW_BYTES, end))
        if found is None:
            place += WINDOW_BYTES
            yield
            continue
        start, stop = found.span()
        place, mark = stop, body[start]
        if mark == QUOTE:
            string = _string.match(body, start, min(start + WINDOW_BYTES, end))
            place = string.end() if string else (yield from _end_of_string(body, start, end))
        elif mark in OPENING:
            if depth == 0:
                members += _between(body[done:start], max_members, first=not members)
                begun = start
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                members.append(_member(body[begun:stop]))
                done = stop
        if depth < 0 or len(members) > max_members:
            break
        count += 1
        if count % TOKENS_A_PIECE == 0:
            yield
    if depth:
        raise _no_json()
    members += _between(body[done:end], max_members, first=not members, last=True)
    if len(members) > max_members:
        raise InvalidInput(f"requests: expected at most {max_members}, found more")
    if not members:
        raise InvalidInput("requests: expected at least 1, found 0")
    return members


def _find_list(body: bytes) -> tuple[int, int]:
    """Give where the members begin, and where they end."""
    end = max(body.rfind(b"]"), 0)
    head = _head.match(body)
    if head is None or not _tail.fullmatch(body, end):
        raise MalformedRequest(
            f'body: expected {{"requests": […]}} in JSON of {len(body)} bytes, found something else'
        )
    return head.end(), end


def _between(
    text: bytes, max_members: int, *, first: bool, last: bool = False
) -> list[msgspec.Raw]:
    """Read what stands between two members in brackets: a comma, or members without any."""
    text = text.strip(BLANKS)
    if text.count(b",") > max_members + 1:
        raise InvalidInput(f"requests: expected at most {max_members}, found more")
    if not first and text:
        if not text.startswith(b",") or (last and len(text) == 1):
            raise _no_json()
        text = text[1:]
    elif not first and not last:
        raise _no_json()
    if not last and text:
        if not text.endswith(b",") or not text[:-1].strip(BLANKS):
            raise _no_json()
        text = text[:-1]
    try:
        return _raws.decode(b"[%b]" % text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _no_json() from None


def _no_json() -> MalformedRequest:
    return MalformedRequest("requests: expected JSON, found something else")


def _end_of_string(body: bytes, start: int, end: int) -> Steps[int]:
    found = yield from end_of_string(body, start + 1, min(start + MAX_TEXT_BYTES, end))
    if found >= 0:
        return found
    if end - start <= MAX_TEXT_BYTES:
        raise MalformedRequest("requests: expected JSON, found a string without its end")
    raise BodyTooLarge(f"requests: expected strings of at most {MAX_TEXT_BYTES} bytes, found more")


def _member(text: bytes) -> msgspec.Raw:
    if len(text) <= PIECE_BYTES:
        try:
            return _raw.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise _no_json() from None
    return msgspec.Raw(text)


def _refuse_long(body: bytes) -> None:
    """Refuse MessagePack that would be read in one go, and for too long.

    Raises:
        BodyTooLarge: Names the bound.
    """
    if len(body) > MAX_PACKED_BATCH_BYTES:
        raise BodyTooLarge(
            f"requests: expected at most {MAX_PACKED_BATCH_BYTES} bytes of MessagePack, found "
            f"{len(body)}"
        )
