"""A request's head: what the parser lets pass and readers may take differently, and its target."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
import msgspec

from ml_pipeline.errors import (
    HeadTooLarge,
    InferenceError,
    MalformedRequest,
    TargetTooLong,
    UnsupportedVersion,
)
from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.message import HeaderList

MAX_HEAD_BYTES = 65_536
"""Request line and headers, or trailers."""

MAX_TARGET_BYTES = 8192
"""Path and query; more than Nginx takes, whose buffer of 8 kB holds method and version as well.

To decode, route and split one of 60 kB took up to 13 ms.
"""


class Head(msgspec.Struct, gc=False):
    """A head on its way in, and then whole.

    Attributes:
        started: `time.monotonic()` seconds when its first byte was read.
        target: As sent, as far as it is read.
        headers: In their order; names in lower case. Trailers stand behind them for a moment.
        num_headers: Of them without trailers, once all are read.
        fields: Value by name, of a repeated header the last; empty until all are read.
        length: Of the body, as the head says; 0 if it comes in chunks.
    """

    started: float = 0.0
    target: bytes = b""
    headers: HeaderList = msgspec.field(default_factory=list)
    num_headers: int = 0
    fields: dict[bytes, bytes] = msgspec.field(default_factory=dict)
    length: int = 0


class HeadMeter:
    """Measures a head, or trailers, that come in pieces and may never end.

    The piece in which they begin may hold a body before them, so it is not counted; a head that
    ends is held to its own size.

    Attributes:
        is_open: Whether one has begun, and has not ended.
        piece_bytes: Length of the piece that is read.
    """

    __slots__ = ("_num_bytes", "is_open", "piece_bytes")

    def __init__(self) -> None:
        self.is_open = False
        self.piece_bytes = 0
        self._num_bytes = -1  # after the piece in which it began; -1 during that

    @property
    def may_be_large(self) -> bool:
        """Whether it could be beyond a bound, by what has come."""
        return self._num_bytes >= 0 or self.piece_bytes > MAX_TARGET_BYTES

    def begin(self) -> None:
        """Measure a head, or trailers, from here on."""
        self.is_open = True
        self._num_bytes = -1

    def is_beyond(self) -> bool:
        """Count the piece that was read; tell whether it holds too much that has not ended."""
        self._num_bytes = 0 if self._num_bytes < 0 else self._num_bytes + self.piece_bytes
        return self._num_bytes > MAX_HEAD_BYTES


def fault_of_size(target: bytes, headers: HeaderList) -> InferenceError | None:
    """Tell what is too large, the head or the target in it; None if neither is."""
    lines = sum(len(name) + len(value) + 4 for name, value in headers)
    if len(target) + lines > MAX_HEAD_BYTES:
        return head_too_large()
    if len(target) > MAX_TARGET_BYTES:
        return TargetTooLong(
            f"path: expected at most {MAX_TARGET_BYTES} bytes with the query, found {len(target)}"
        )
    return None


def head_too_large() -> HeadTooLarge:
    """Say that there are more than `MAX_HEAD_BYTES`."""
    return HeadTooLarge(f"headers: expected at most {MAX_HEAD_BYTES} bytes, found more")


def find_fault(
    head: Head, may_be_large: bool, hosts: Hosts | None, version: Callable[[], str]
) -> InferenceError | None:
    """Tell what is wrong with a head, the first fault of several; None for a sound one.

    One of HTTP/1.0 may be for no host: no browser sends such.

    Args:
        head: With its fields.
        may_be_large: Whether it has to be measured.
        hosts: That requests may be for; None = any.
        version: Asked only where it matters, for most heads need no look at it.
    """
    headers, fields = head.headers, head.fields
    if may_be_large and (large := fault_of_size(head.target, headers)):
        return large
    if (
        b"host" not in fields
        or b"transfer-encoding" in fields
        or len(fields) < len(headers)  # one stands there twice
    ) and (fault := _find_two_meanings(headers, is_http_1_0=version() == "1.0")):
        return MalformedRequest(fault)
    host = fields.get(b"host")
    return None if hosts is None or host is None else hosts.find_fault(host)


def _find_two_meanings(headers: HeaderList, *, is_http_1_0: bool) -> str | None:
    """Tell what could be read in two ways; None for a sound head.

    No host or several (RFC 9112, 3.2), and codings beside chunked, which would be left in the body
    (RFC 9112, 6.1).
    """
    count = sum(name == b"host" for name, _ in headers)
    if count > 1 or (count == 0 and not is_http_1_0):
        return f"host: expected once, found {count} times"
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return "transfer-encoding: expected chunked, found another"
    return None


def fault_of_version(version: str) -> InferenceError:
    """Tell what is wrong with a request of a version, or that has come to no end in it.

    The parser lets HTTP/0.9 pass, a request line without a version, and HTTP/2.0; no reader of
    HTTP/1.1 takes the one, and of another major version none knows what it says.
    """
    expected = "request: expected HTTP/1.1, found "
    if version >= "2":
        return UnsupportedVersion(f"{expected}HTTP/{version}")
    return MalformedRequest(expected + ("HTTP/0.9" if version == "0.9" else "something else"))


def body_length(value: bytes) -> int:
    """Read a Content-Length that the parser has let pass: digits, of a number below 2**64.

    Any number of zeros may stand before it (RFC 9110, 8.6), and `int()` reads 4,300 digits at most.
    """
    return int(value) if len(value) <= 20 else int(value.strip().lstrip(b"0") or b"0")


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Give the path percent-decoded, the path as sent, and the query."""
    raw_path, _, query = target.partition(b"?")
    if not raw_path.startswith(b"/"):
        raw_path = _path_of(target)
    if b"%" in raw_path:
        return unquote_to_bytes(raw_path).decode("utf-8", "replace"), raw_path, query
    return raw_path.decode("latin-1"), raw_path, query


def without_upgrade(method: bytes, target: bytes, version: str, headers: HeaderList) -> bytes:
    """Write a head anew, but for its offer of another protocol (RFC 9110, 7.8)."""
    lines = [b"%b: %b\r\n" % each for each in headers if each[0] != b"upgrade"]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), b"".join(lines))


def _path_of(target: bytes) -> bytes:
    """Return the path of a target in absolute form, which a proxy may send (RFC 9112, 3.2.2)."""
    try:
        found: Any = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    return found.path or b"/"
