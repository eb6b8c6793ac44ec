"""How many requests a reader sees that follows RFC 9112 to the letter: the measure of smuggling.

It is no server's parser: it takes bytes whole, and gives up at the first that a strict reader must
or may refuse. What it lets pass beyond the letter hides nothing: several spaces in a request line
(RFC 9112, 3), and line ends before it (2.2). A server that answers more requests than this sees has
read something as a request that another, such as a proxy in front of it, takes for part of a body.
"""

import re
from typing import NamedTuple

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") +[!-~]+ +HTTP/1\.([01])")
FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*((?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})((?:[ \t]*;[ \t!-~\x80-\xff]*)?)\r\n")


class Seen(NamedTuple):
    """What a stream of bytes holds.

    Attributes:
        ids: `X-Request-ID` of each whole request, in their order; empty where there is none.
        rest: Whether something stands behind them that is no whole request.
    """

    ids: list[bytes]
    rest: bool


class _Unreadable(Exception):
    """Malformed, or not whole."""


def read_strictly(stream: bytes) -> Seen:
    """Read requests one after the other, of all that is sent over a connection."""
    ids: list[bytes] = []
    while True:
        stream = stream.lstrip(b"\r\n")
        if not stream:
            return Seen(ids, rest=False)
        try:
            request_id, last, stream = _read_one(stream)
        except _Unreadable:
            return Seen(ids, rest=True)
        ids.append(request_id)
        if last:
            return Seen(ids, rest=False)


def _read_one(stream: bytes) -> tuple[bytes, bool, bytes]:
    """Give a request's id, whether it is the connection's last, and what stands behind it."""
    lines, stream = _read_head(stream)
    first = REQUEST_LINE.fullmatch(lines[0])
    fields = [FIELD.fullmatch(each) for each in lines[1:]]
    if first is None or first[1] == b"CONNECT" or None in fields:
        raise _Unreadable
    named: dict[bytes, list[bytes]] = {}
    for field in fields:
        assert field is not None
        named.setdefault(field[1].lower(), []).append(field[2])
    is_http_1_0 = first[2] == b"0"
    if len(named.get(b"host", ())) not in ((0, 1) if is_http_1_0 else (1,)):
        raise _Unreadable
    stream = _skip_body(stream, named, is_http_1_0=is_http_1_0)
    options = b",".join(named.get(b"connection", ())).lower()
    last = b"close" in options or (is_http_1_0 and b"keep-alive" not in options)
    return named.get(b"x-request-id", [b""])[-1], last, stream


def _read_head(stream: bytes) -> tuple[list[bytes], bytes]:
    head, end, stream = stream.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not end or any(b"\r" in line or b"\n" in line for line in lines):
        raise _Unreadable
    return lines, stream


def _skip_body(stream: bytes, named: dict[bytes, list[bytes]], *, is_http_1_0: bool) -> bytes:
    encodings, lengths = named.get(b"transfer-encoding"), named.get(b"content-length")
    if encodings is not None:
        if lengths or is_http_1_0 or [each.lower() for each in encodings] != [b"chunked"]:
            raise _Unreadable
        return _skip_chunks(stream)
    if lengths is None:
        return stream
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise _Unreadable
    if int(lengths[0]) > len(stream):
        raise _Unreadable
    return stream[int(lengths[0]) :]


def _skip_chunks(stream: bytes) -> bytes:
    start = 0
    while found := CHUNK.match(stream, start):
        start = found.end()
        if size := int(found[1], 16):
            start += size
            if stream[start : start + 2] != b"\r\n":
                break
            start += 2
            continue
        trailers = re.compile(rb"(?:" + FIELD.pattern + rb"\r\n)*\r\n").match(stream, start)
        if trailers is None:
            break
        return stream[trailers.end() :]
    raise _Unreadable
