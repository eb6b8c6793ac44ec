"""Requests as llhttp reads them: each whole, or refused.

The parser is llhttp, Node.js', by way of httptools; it refuses what could be read in two ways
(Content-Length beside Transfer-Encoding, bare line feeds, a length that is no number). Everything
happens on the event loop's thread, because each hop to another costs more than the parsing
(`python -m bench ceiling` has an echo on this and one where HTTP is spoken by threads of its own).
Not here: how much is parsed at a time (`reader.py`).
"""

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

import httptools

from ml_pipeline.errors import BodyTooLarge, InferenceError, MalformedRequest
from ml_pipeline.fronts.http.head import (
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    body_length,
    fault_of_size,
    fault_of_version,
    find_fault,
    head_too_large,
    split_target,
    without_upgrade,
)
from ml_pipeline.fronts.http.message import HeaderList, Reply, Request
from ml_pipeline.fronts.http.wire import CONTINUE
from ml_pipeline.fronts.http.work import Work

if TYPE_CHECKING:
    from ml_pipeline.fronts.http.listener import Listener

BREATH_BYTES = 131_072
"""Of a body in one read, behind which others have a turn. libuv reads 32 times before it looks at
another connection, 8 MB, which are taken in 10 ms."""


class Parser:
    """Bytes in, requests out: to its subclass, a connection.

    Args:
        listener: That accepted it: bounds and clock.

    Attributes:
        deadline: When the listener ends it, by its clock; a client that has to act is what is
            waited for.
    """

    __slots__ = (
        *("deadline", "_listener", "_parser", "_client"),
        *("_work", "_waiting", "_closing", "_offered"),
        *("_in_head", "_head_bytes", "_started", "_target", "_headers", "_fields", "_body"),
        *("_num_headers", "_read_bytes", "_between", "_num_read", "_length"),
    )

    def __init__(self, listener: "Listener") -> None:
        self.deadline = listener.now + listener.idle_seconds
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._client: tuple[str, int]
        self._work: Work[Reply] | None = None  # on the request that is being answered
        self._waiting: deque[Request] = deque()  # read, and not answered
        self._closing = False  # no further request is read
        self._offered = False  # another protocol, by the request that is being read
        self._in_head = False  # or in trailers
        self._head_bytes = -1  # of it, after the piece in which it began; -1 during that
        self._read_bytes = 0  # of the last piece
        self._between = True  # two requests
        self._num_read = 0  # requests that ended in the last read
        self._length = 0  # of the body that is read, as its head says; 0 if it comes in chunks
        self._started = 0.0
        self._target = b""
        self._headers: HeaderList = []
        self._fields: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""

    def _take(self, request: Request) -> None:
        """Answer a request when its turn has come."""
        raise NotImplementedError

    def _breathe(self) -> None:
        """Read no more in this turn of the event loop."""
        raise NotImplementedError

    def _send(self, data: bytes) -> None:
        """Send what is no answer yet."""
        raise NotImplementedError

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse a piece of what came; complete requests are taken from within."""
        self._feed(data)
        if self._in_head:
            self._count_head(len(data))

    def _feed(self, data: bytes | memoryview) -> None:
        self._read_bytes = len(data)
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserCallbackError:
                raise  # a fault of ours: the event loop logs it and closes the connection
            except httptools.HttpParserUpgrade as offer:
                if self._offered:
                    data = self._without_offer() + bytes(data[offer.args[0] :])
                    continue
            except httptools.HttpParserInvalidMethodError:
                self._refuse(MalformedRequest("method: expected one of HTTP's, found another"))
            except httptools.HttpParserError:
                self._refuse(fault_of_version(self._parser.get_http_version()))
            break

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note when the request began."""
        self._between = False
        self._started = monotonic()
        self._target = b""
        self._headers = []
        self._fields = {}
        self._in_head = True
        self._head_bytes = -1
        if self._work is None:
            self.deadline = self._listener.now + self._listener.busy_seconds

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large or for another host, and a body of too great a length.

        One of HTTP/1.0 may be for no host: no browser sends such.
        """
        self._in_head = False
        self._fields = fields = dict(self._headers)
        may_be_large = self._head_bytes >= 0 or self._read_bytes > MAX_TARGET_BYTES
        if may_be_large and (large := fault_of_size(self._target, self._headers)):
            self._refuse(large)
        if (
            b"host" not in fields
            or b"transfer-encoding" in fields
            or len(fields) < len(self._headers)  # one stands there twice
        ):
            is_http_1_0 = self._parser.get_http_version() == "1.0"
            if fault := find_fault(self._headers, is_http_1_0=is_http_1_0):
                self._refuse(MalformedRequest(fault))
        hosts, host = self._listener.hosts, fields.get(b"host")
        if hosts is not None and host is not None and (foreign := hosts.find_fault(host)):
            self._refuse(foreign)
        length = fields.get(b"content-length")
        self._length = 0 if length is None else body_length(length)
        if self._parser.should_upgrade():
            self._ignore_offer()
        elif self._length > self._listener.max_body_bytes:
            self._refuse(self._too_large(str(self._length)))
        elif b"expect" in fields:
            self._encourage(fields[b"expect"])

    def on_chunk_header(self) -> None:
        """Begin a chunk; behind the last one, which is empty, trailers may follow."""
        self._num_headers = len(self._headers)
        self._in_head = True
        self._head_bytes = -1

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._closing:
            return
        self._in_head = False
        if not self._body:
            self._body = chunk  # mostly the whole of it
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += chunk
            if len(chunk) > BREATH_BYTES:
                self._breathe()
        if len(self._body) > self._listener.max_body_bytes:
            self._refuse(self._too_large(f"{len(self._body)} and more"))

    def on_chunk_complete(self) -> None:
        """Drop trailers: as headers they would pass by whoever checked those (RFC 9110, 6.5.1)."""
        del self._headers[self._num_headers :]
        self._in_head = False

    def on_message_complete(self) -> None:
        """Hand the request on; an idle connection keeps none of its body."""
        self._between = True
        self._num_read += 1
        if self._closing:
            return
        body, self._body = self._body, b""
        keep_alive, version = self._parser.should_keep_alive(), "1.1"
        if not keep_alive or b"connection" in self._fields:  # which older ones need to keep it
            version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            self._refuse(fault_of_version(version))
        else:
            self._take(self._read_request(bytes(body), keep_alive, version == "1.0"))

    # What is made of it.

    def _read_request(
        self,
        body: bytes,
        keep_alive: bool,
        is_http_1_0: bool,
        fault: InferenceError | None = None,
    ) -> Request:
        target = self._target if fault is None else self._target[:MAX_TARGET_BYTES]
        path, raw_path, query = split_target(target)
        return Request(
            self._parser.get_method().decode("latin-1") if self._target else "",
            path,
            raw_path,
            query,
            self._headers,
            self._fields,
            body,
            self._started or monotonic(),
            self._client,
            keep_alive,
            is_http_1_0,
            fault,
        )

    def _encourage(self, expected: bytes) -> None:
        """Answer `Expect: 100-continue`, if nothing else is due before (RFC 9110, 10.1.1)."""
        if (
            expected.lower() == b"100-continue"
            and not (self._closing or self._waiting)
            and self._work is None
            and self._parser.get_http_version() != "1.0"
        ):
            self._send(CONTINUE)

    def _ignore_offer(self) -> None:
        """Read nothing more for now: the parser takes what follows for another protocol."""
        if self._parser.get_method() == b"CONNECT":
            self._refuse(MalformedRequest("method: expected one of a server's, found CONNECT"))
        self._offered = not self._closing
        self._closing = True

    def _without_offer(self) -> bytes:
        """Begin anew, with this head but for its offer of another protocol.

        Java's own client offers HTTP/2 with every first request, and sends its body at once.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._offered = self._closing = False
        self._parser = httptools.HttpRequestParser(self)
        return without_upgrade(method, self._target, version, self._headers)

    def _count_head(self, num_bytes: int) -> None:
        """Refuse a head, or trailers, that do not end.

        The piece in which they begin may hold a body before them, so it is not
        counted; a head that ends is held to its own size.
        """
        if self._head_bytes < 0:
            self._head_bytes = 0
            return
        self._head_bytes += num_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(head_too_large())

    def _refuse(self, fault: InferenceError) -> None:
        """Answer what cannot be read to its end; nothing behind it can be read either."""
        if not self._closing:
            self._closing = True
            self._body = b""
            is_http_1_0 = self._parser.get_http_version() == "1.0"
            self._take(self._read_request(b"", False, is_http_1_0, fault))

    def _too_large(self, found: str) -> BodyTooLarge:
        return BodyTooLarge(
            f"body: expected at most {self._listener.max_body_bytes} bytes, found {found}"
        )
