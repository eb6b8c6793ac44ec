"""Bodies that come compressed (`Content-Encoding`), as far as they may grow.

Two bounds: bytes in all (`MAX_INFLATED_BYTES`), and bytes beside those that were sent, because what
costs a client next to nothing to send must cost next to nothing to read. What a gzip tells of its
own size is not asked: a body that was cut off would be told that it is too large. A gzip may have
several members, one behind the other (RFC 1952, section 2.2); the bounds are on all of them.
"""

import zlib

from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, MalformedRequest, UnsupportedMediaType

MAX_RATIO = 100
"""Of bytes inflated to bytes sent. Rows of numbers are at 2 to 10; zeros would be at 1,000."""

FREE_BYTES = 1_048_576
"""To which any body may grow: a short one may be all alike, such as a picture of zeros."""

PIECE_BYTES = 131_072
"""Inflated in one go, 0.5 ms at most."""

MEMBERS_A_PIECE = 64
"""Short ones, 5 µs each."""

_window_bits = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


def inflate(body: bytes, encoding: bytes, most: int) -> Steps[bytes]:
    """Decompress a body.

    Args:
        body: As sent.
        encoding: The header's value.
        most: Bytes that it may have then.

    Raises:
        UnsupportedMediaType: Neither gzip nor deflate.
        MalformedRequest: It is not what it says.
        BodyTooLarge: It is longer, or far longer than what was sent.
    """
    encoding = encoding.strip().lower()
    if encoding == b"identity":
        return body
    if encoding not in _window_bits:
        raise UnsupportedMediaType(
            "content-encoding: expected gzip or deflate, found "
            + repr(encoding[:24].decode("latin-1"))
        )
    bound = _Bound(len(body), most)
    inflater = zlib.decompressobj(_window_bits[encoding])
    pieces: list[bytes] = []
    found, position, count, rest = 0, 0, 0, b""
    while not (inflater.eof and position == len(body) and not inflater.unused_data):
        if inflater.eof:  # a member
            if encoding != b"gzip":
                break
            rest = inflater.unused_data
            inflater = zlib.decompressobj(_window_bits[encoding])
        if not rest:
            rest = body[position : position + PIECE_BYTES]
            position += len(rest)
        try:
            piece = inflater.decompress(rest, PIECE_BYTES)
        except zlib.error:
            break
        rest = inflater.unconsumed_tail
        if not (piece or rest or inflater.eof) and position == len(body):
            break  # cut off
        found += len(piece)
        bound.check(found)
        pieces.append(piece)
        count += 1
        if not inflater.eof or count % MEMBERS_A_PIECE == 0:
            yield
    if not inflater.eof or inflater.unused_data or position < len(body):
        raise MalformedRequest(f"body: expected {encoding.decode()}, found something else")
    return b"".join(pieces)


class _Bound:
    """How long a body may be when decompressed."""

    def __init__(self, sent: int, most: int) -> None:
        self._most = most
        self._most_of_it = max(sent * MAX_RATIO, FREE_BYTES)

    def check(self, found: int) -> None:
        if found > self._most:
            wanted = f"{self._most} bytes"
        elif found > self._most_of_it:
            wanted = f"{MAX_RATIO} times what was sent, or {FREE_BYTES} bytes"
        else:
            return
        raise BodyTooLarge(f"body: expected at most {wanted} when decompressed, found more")
