"""Bodies of `POST /predict/batch` → their members, each still undecoded; large ones in pieces."""

import re
from typing import Any

import msgspec

from app.engine.codec import WireFormat
from app.engine.duplicate_keys import refuse_msgpack_duplicates, refuse_outer_json_duplicates
from app.engine.explain import explain_decode_error
from app.engine.large_rows import MAX_TEXT_BYTES
from app.engine.schema import BatchBody
from app.engine.turns import Steps
from app.errors import BodyTooLarge, InvalidInput, MalformedRequest

PIECE_BYTES = 131_072
"""Of text; members of it are told apart in a millisecond at most."""

MAX_PACKED_BATCH_BYTES = 2_097_152
"""Of MessagePack, which is split in one go: 1.2 ns a byte where each is a number, twice."""

_head = re.compile(rb'\s{0,64}\{\s{0,64}"requests"\s{0,64}:\s{0,64}\[')
_tail = re.compile(rb"\]\s{0,64}\}\s{0,64}")
_border = re.compile(rb"\}\s{0,64}(,)")
_members: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
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
    """Split JSON.

    A member that is long by itself is not looked into: whoever decodes it sees what it is.

    Raises:
        MalformedRequest: It is no object with a list of requests alone.
        InvalidInput: There are more than `max_members`.
    """
    end = max(body.rfind(b"]"), 0)
    head = _head.match(body)
    if head is None or not _tail.fullmatch(body, end):
        raise MalformedRequest(
            f'body: expected {{"requests": […]}} in JSON of {len(body)} bytes, found something else'
        )
    members: list[msgspec.Raw] = []
    start = head.end()
    while start < end:
        stop = _next_border(body, start, end)
        text = body[start:stop]
        if len(text) > 2 * PIECE_BYTES:
            members.append(_long_member(text.strip()))
        else:
            members += _split_piece(text)
        if len(members) > max_members:
            raise InvalidInput(f"requests: expected at most {max_members}, found more")
        start = stop + 1
        yield
    return members


def _next_border(body: bytes, start: int, end: int) -> int:
    """Find where a member ends, some way behind `start`; a comma, or the end of the list."""
    place = start
    near = body.find(b"}", start, end)
    if near - start <= PIECE_BYTES:  # the first member is short: take others along
        place = start + PIECE_BYTES
    while found := _border.search(body, place, end):
        stop = found.start(1)
        if not _ends_within_string(body, start, stop):
            return stop
        place = stop
        if place - start > MAX_TEXT_BYTES:
            raise BodyTooLarge(
                f"requests: expected members of strings of at most {MAX_TEXT_BYTES} bytes, found "
                "more"
            )
    return end


def _ends_within_string(body: bytes, start: int, stop: int) -> bool:
    quotes = body.count(b'"', start, stop)
    if body.find(b"\\", start, stop) >= 0:
        plain = body[start:stop].replace(b"\\\\", b"").replace(b'\\"', b"")
        quotes = plain.count(b'"')
    return quotes % 2 == 1


def _long_member(text: bytes) -> msgspec.Raw:
    if not (text.startswith(b"{") and text.endswith(b"}")):
        raise MalformedRequest("requests: expected JSON objects, found something else")
    return msgspec.Raw(text)


def _split_piece(text: bytes) -> list[msgspec.Raw]:
    try:
        return _members.decode(b"[%b]" % text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedRequest("requests: expected JSON, found something else") from None


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
