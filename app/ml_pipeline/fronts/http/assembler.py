"""Requests as llhttp reads them: each assembled whole, or refused.

llhttp is Node.js' parser, by way of httptools; it refuses what could be read in two ways
(Content-Length beside Transfer-Encoding, bare line feeds, a length that is no number). Not here:
how much is parsed at a time (`parser.py`), and anything of sockets, clocks or the event loop.
"""

from typing import Any

import httptools

from ml_pipeline.errors import BodyTooLarge, InferenceError, MalformedRequest
from ml_pipeline.fronts.http.events import Event, Signal
from ml_pipeline.fronts.http.head import (
    MAX_TARGET_BYTES,
    Head,
    HeadMeter,
    body_length,
    fault_of_version,
    find_fault,
    head_too_large,
    split_target,
    without_upgrade,
)
from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.message import Request


class Assembler:
    """Pieces of one connection's bytes in, events out.

    Args:
        client: Address and port, which stand in each request.
        max_body_bytes: Bound on a body, which is refused as soon as it is beyond.
        hosts: That requests may be for; None = any.

    Attributes:
        is_between: Whether it is between two requests.
        is_closed: Whether nothing further is read: the last request was, or one was refused.
    """

    __slots__ = (
        *("is_between", "is_closed", "_client", "_hosts", "_max_body_bytes"),
        *("_llhttp", "_offered", "_events", "_now", "_head", "_meter", "_body"),
    )

    def __init__(self, client: tuple[str, int], max_body_bytes: int, hosts: Hosts | None) -> None:
        self._client = client
        self._max_body_bytes = max_body_bytes
        self._hosts = hosts
        self._llhttp: Any = httptools.HttpRequestParser(self)
        self._offered = False  # another protocol, by the request that is being read
        self._events: list[Event] = []  # of the piece that is being read
        self._now = 0.0  # when that came
        self._head = Head()  # of the request that is being read, or was last
        self._meter = HeadMeter()
        self._body: bytes | bytearray = b""
        self.is_between = True
        self.is_closed = False

    @property
    def is_in_head(self) -> bool:
        """Whether a head, or trailers, or nothing at all comes next."""
        return self.is_between or self._meter.is_open

    @property
    def is_half_read(self) -> bool:
        """Whether a head has been read, and not all of its body."""
        return bool(self._head.fields) and not (self.is_between or self.is_closed)

    @property
    def missing_bytes(self) -> int:
        """What is missing of a body, as its head says; below 1 if it comes in chunks."""
        return self._head.length - len(self._body)

    def feed(self, piece: bytes | memoryview, now: float) -> list[Event]:
        """Read a piece, and give what it brings.

        Args:
            piece: What follows on the last one.
            now: `time.monotonic()` seconds; requests that begin in it have begun then.

        Raises:
            httptools.HttpParserCallbackError: A fault of ours.
        """
        self._now = now
        self._meter.piece_bytes = len(piece)
        while True:
            try:
                self._llhttp.feed_data(piece)
            except httptools.HttpParserCallbackError:
                raise  # a fault of ours
            except httptools.HttpParserUpgrade as offer:
                if self._offered:
                    piece = self._without_offer() + bytes(piece[offer.args[0] :])
                    continue
            except httptools.HttpParserInvalidMethodError:
                self.refuse(MalformedRequest("method: expected one of HTTP's, found another"))
            except httptools.HttpParserError:
                self.refuse(fault_of_version(self._get_version()))
            break
        if self._meter.is_open and self._meter.is_beyond():
            self.refuse(head_too_large())
        events, self._events = self._events, []
        if not (self.is_between or self.is_closed) and self._head.started == now:
            events.append(Signal.BEGUN)
        return events

    def give_up(self, fault: InferenceError) -> list[Event]:
        """Refuse the request that is being read, for a reason of somebody else's."""
        self.refuse(fault)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Read nothing further; no cycle is left to be collected."""
        self.is_closed = True
        self._llhttp = None  # which holds this assembler

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.is_between = False
        self._head = Head(self._now)
        self._meter.begin()

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._head.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse a head with a fault, and a body of too great a length."""
        self._meter.is_open = False
        head, may_be_large = self._head, self._meter.may_be_large
        head.fields, head.num_headers = dict(head.headers), len(head.headers)
        fault = find_fault(head, may_be_large, self._hosts, self._get_version)
        if fault is not None:
            self.refuse(fault)
        fields = head.fields
        length = fields.get(b"content-length")
        head.length = 0 if length is None else body_length(length)
        if self._llhttp.should_upgrade():
            self._ignore_offer()
        elif head.length > self._max_body_bytes:
            self.refuse(self._too_large(str(head.length)))
        elif (
            b"expect" in fields
            and fields[b"expect"].lower() == b"100-continue"
            and not self.is_closed
            and self._get_version() != "1.0"
        ):
            self._events.append(Signal.CONTINUE)

    def on_chunk_header(self) -> None:
        """Begin a chunk; behind the last one, which is empty, trailers may follow."""
        self._meter.begin()

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self.is_closed:
            return
        self._meter.is_open = False
        if not self._body:
            self._body = chunk  # mostly the whole of it
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += chunk
        if len(self._body) > self._max_body_bytes:
            self.refuse(self._too_large(f"{len(self._body)} and more"))

    def on_chunk_complete(self) -> None:
        """Drop trailers: as headers they would pass by whoever checked those (RFC 9110, 6.5.1)."""
        del self._head.headers[self._head.num_headers :]
        self._meter.is_open = False

    def on_message_complete(self) -> None:
        """Give the request; an idle connection keeps none of its body."""
        self.is_between = True
        if self.is_closed:
            return
        body, self._body = self._body, b""
        keep_alive, version = self._llhttp.should_keep_alive(), "1.1"
        if not keep_alive or b"connection" in self._head.fields:  # which older ones need to keep it
            version = self._get_version()
        if version != "1.1" and version != "1.0":
            self.refuse(fault_of_version(version))
        else:
            self.is_closed = not keep_alive
            self._events.append(self._request(bytes(body), keep_alive, version))

    # What is made of it.

    def _request(
        self, body: bytes, keep_alive: bool, version: str, fault: InferenceError | None = None
    ) -> Request:
        head = self._head
        target = head.target if fault is None else head.target[:MAX_TARGET_BYTES]
        return Request(
            self._llhttp.get_method().decode("latin-1") if target else "",
            *split_target(target),
            head.headers,
            head.fields,
            body,
            head.started or self._now,
            self._client,
            keep_alive,
            version == "1.0",
            fault,
        )

    def _get_version(self) -> str:
        return str(self._llhttp.get_http_version())

    def _ignore_offer(self) -> None:
        """Read nothing more for now: llhttp takes what follows for another protocol."""
        if self._llhttp.get_method() == b"CONNECT":
            self.refuse(MalformedRequest("method: expected one of a server's, found CONNECT"))
        self._offered = not self.is_closed
        self.is_closed = True

    def _without_offer(self) -> bytes:
        """Begin anew, with this head but for its offer of another protocol.

        Java's own client offers HTTP/2 with every first request, and sends its body at once.
        """
        method, version = self._llhttp.get_method(), self._get_version()
        self._offered = self.is_closed = False
        self._llhttp = httptools.HttpRequestParser(self)
        return without_upgrade(method, self._head.target, version, self._head.headers)

    def refuse(self, fault: InferenceError) -> None:
        """Give what cannot be read to its end; nothing behind it can be read either."""
        if not self.is_closed:
            self.is_closed = True
            self._body = b""
            self._events.append(self._request(b"", False, self._get_version(), fault))

    def _too_large(self, found: str) -> BodyTooLarge:
        return BodyTooLarge(f"body: expected at most {self._max_body_bytes} bytes, found {found}")
