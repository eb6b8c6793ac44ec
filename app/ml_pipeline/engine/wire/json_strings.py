"""Large JSON lists of strings → one flat array, a piece at a time, as `json_numbers.py` does it.

Commas and brackets count outside strings alone. A piece is cut off at such a comma; where it is cut
tells the number of quotes before it, those that are escaped left out. What is left of a piece
without its strings is its *frame*: brackets, commas, and a 0 for each string.
"""

import re
from typing import NamedTuple

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import Array
from ml_pipeline.engine.wire.json_numbers import Numbers, Text, is_no_json
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput

PIECE_BYTES = 16_384
"""Of text; strings of it are read in 0.2 to 0.7 ms. One that is longer is a piece by itself."""

MOST_GAP_BYTES = 131_072
"""Of brackets and space between a string and the comma behind it."""

WINDOW_BYTES = 65_536
"""Of a string that is looked through for its end in one go, in 0.4 ms if there are escapes."""

QUOTE = ord(b'"')

_decoder = msgspec.json.Decoder(list[str])
_string_decoder = msgspec.json.Decoder(str)
_inside = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_blank = bytes.maketrans(b"[]", b"  ")
_spaces = b" \t\r\n"
_brackets = b"[]" + _spaces
_commas = re.compile(rb",,+")


class _Piece(NamedTuple):
    """Where a piece ends, and the long string in it: (-1, -1) if there is none."""

    stop: int
    long_start: int = -1
    long_stop: int = -1


def end_of_string(body: bytes, start: int, end: int) -> Steps[int]:
    """Give the place behind the quote that closes a string; -1 if there is none.

    Args:
        body: JSON.
        start: Any place in the string, but behind its first quote and not within an escape.
        end: Where to look no farther.
    """
    while start < end:
        stop = min(start + WINDOW_BYTES, end)
        quote = body.find(b'"', start, stop)
        before = body[start : stop if quote < 0 else quote]
        escapes = (len(before) - len(before.rstrip(b"\\"))) % 2
        if quote < 0:
            start = stop + escapes
        elif not escapes:
            return quote + 1
        else:  # where one quote is escaped there are often more
            start = _inside.match(body, quote + 1, stop).end()  # type: ignore[union-attr]  # it matches nothing, too
            if start < stop and body[start] == QUOTE:
                return start + 1
        yield
    return -1


def read_strings(
    text: Text, most: int | None, field: str, piece_bytes: int = PIECE_BYTES
) -> Steps[Numbers]:
    """Read lists of strings, nested anyhow.

    Args:
        text: JSON.
        most: Strings that there may be; None = any number.
        field: What the caller calls it.
        piece_bytes: Least of it that is read in one go.

    Raises:
        InvalidInput: It is something else, or there are more.
    """
    body, start, end = text
    pieces: list[list[str]] = []
    skeleton: list[bytes] = []
    count = 0
    while start <= end:
        yield
        piece = yield from _find_piece(body, start, end, piece_bytes)
        if piece.stop < 0:
            raise _no_strings(field, start, end)
        strings, frame = _read_piece(body, start, piece, field)
        if not strings and piece.stop - start < end - text.start:
            raise InvalidInput(f"{field}: expected values between commas, found none")
        count += len(strings)
        if most is not None and count > most:
            raise InvalidInput(f"{field}: expected at most {most} values, found more")
        pieces.append(strings)
        skeleton.append(frame)
        start = piece.stop + 1
    values: Array = np.empty(count, object)
    start = 0
    for strings in pieces:
        yield
        values[start : start + len(strings)] = strings
        start += len(strings)
    return Numbers(values, b",".join(skeleton))


def read_flat(text: Text, start: int, field: str) -> Steps[tuple[bytes, int]]:
    """Give a piece of sound JSON as a flat list, and where the next piece begins.

    Args:
        text: Lists, of values of any kind but objects.
        start: Of the piece.
        field: What the caller calls it.

    Raises:
        BodyTooLarge: There are no commas for long.
    """
    piece = yield from _find_piece(text.body, start, text.stop, PIECE_BYTES)
    if piece.stop < 0:
        raise BodyTooLarge(f"{field}: expected a comma within {MOST_GAP_BYTES} bytes, found none")
    return _flatten(text.body[start : piece.stop]), piece.stop + 1


def _find_piece(body: bytes, start: int, end: int, piece_bytes: int) -> Steps[_Piece]:
    """Find the first comma outside strings from `piece_bytes` on; it stops at -1 if there is none.

    Between two strings there is one in any list, and not far from the first.
    """
    place = start + piece_bytes
    if place >= end:
        return _Piece(end)
    beginning = _without_escapes(body[start:place])
    opening = -1
    if beginning.count(b'"') % 2:
        opening = start + beginning.rfind(b'"')
        place += beginning.endswith(b"\\")  # what follows is escaped
    else:
        comma, quote = _find_next(body, place, end)
        if quote < 0:
            return _Piece(_comma_or_end(comma, place, end))
        opening, place = quote, quote + 1
    closing = yield from end_of_string(body, place, end)
    if closing < 0:
        return _Piece(-1)
    comma, quote = _find_next(body, closing, end)
    if quote >= 0:
        return _Piece(-1)
    stop = _comma_or_end(comma, closing, end)
    if closing - opening <= piece_bytes:
        return _Piece(stop)
    return _Piece(stop, opening, closing)


def _find_next(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Give the places of the next comma and of a quote before it; -1 for what is not there."""
    end = min(start + MOST_GAP_BYTES, end)
    comma = body.find(b",", start, end)
    return comma, body.find(b'"', start, end if comma < 0 else comma)


def _comma_or_end(comma: int, start: int, end: int) -> int:
    return end if comma < 0 and end <= start + MOST_GAP_BYTES else comma


def _read_piece(body: bytes, start: int, found: _Piece, field: str) -> tuple[list[str], bytes]:
    """Read from one comma to another."""
    stop, long_start, long_stop = found
    piece = body[start:stop]
    if long_start >= 0:
        piece = b'%b""%b' % (body[start:long_start], body[long_stop:stop])
    parts = _without_escapes(piece).split(b'"')
    frame = b"0".join(parts[::2]).translate(None, _spaces)
    if len(parts) % 2 == 0 or frame.count(b"0") != len(parts) // 2 or _is_out_of_place(frame):
        raise _no_strings(field, start, stop)
    try:
        strings = _decoder.decode(_flat(piece, parts))
        if long_start >= 0:
            strings[-1] = _string_decoder.decode(memoryview(body)[long_start:long_stop])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _no_strings(field, start, stop) from None
    return strings, frame.translate(None, b"0")


def _flat(piece: bytes, parts: list[bytes]) -> bytes:
    """Write a piece as a flat list; every other one of its parts is a string, of its own length."""
    between = b"".join(parts[::2])
    if piece.count(b"[") + piece.count(b"]") == between.count(b"[") + between.count(b"]"):
        return b"[%b]" % piece.translate(_blank)
    return _flatten(piece)


def _flatten(piece: bytes) -> bytes:
    """Likewise, also of lists that are empty, and of values of any kind but objects."""
    flat: list[bytes] = []
    start = 0
    for index, part in enumerate(_without_escapes(piece).split(b'"')):
        stop = start + len(part)
        if index % 2:
            flat.append(piece[start:stop])
        else:
            flat.append(_commas.sub(b",", part.translate(None, _brackets)))
        start = stop + 1
    return b"[%b]" % b'"'.join(flat).strip(b",")


def _is_out_of_place(frame: bytes) -> bool:
    """Whether there is anything else between strings, or anything where it may not be."""
    return (
        frame.translate(None, b"[],0") != b""
        or frame[:1] == b","
        or frame[-1:] == b","
        or any(pair in frame for pair in (b"00", b",,"))
        or is_no_json(frame)
    )


def _without_escapes(text: bytes) -> bytes:
    """Write something else for what might be taken for the end of a string, of the same length."""
    if b"\\" not in text:
        return text
    return text.replace(b"\\\\", b"xx").replace(b'\\"', b"xx")


def _no_strings(field: str, start: int, stop: int) -> InvalidInput:
    return InvalidInput(
        f"{field}: expected lists of strings, found something else in its bytes {start} to {stop}"
    )
