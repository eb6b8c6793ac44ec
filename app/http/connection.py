"""One client's connection: bytes → requests → replies → bytes, one request after the other.

The parser is llhttp, Node.js', by way of httptools; it refuses what could be read in two ways
(Content-Length beside Transfer-Encoding, bare line feeds, a length that is no number). Everything
happens on the event loop's thread, because each hop to another costs more than the parsing: a raw
echo takes 8 µs here, and 33 where HTTP is spoken by threads of its own (`bench/ceiling`).

State of a connection: it *reads* a request, it is *answered*, or both, when a client sends the
next before it has the answer (pipelining); those wait in `_waiting`, and reading pauses.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

import httptools

from app.errors import BodyTooLarge, HeadTooLarge, InferenceError, MalformedRequest
from app.http.message import HeaderList, Reply, Request
from app.http.wire import CONTINUE, encode
from app.http.work import Work

if TYPE_CHECKING:
    from app.http.listener import Listener

MAX_HEAD_BYTES = 65_536
"""Request line and headers; what has come in one read may be more, up to a read's 256 kB."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one client.

    Args:
        listener: That accepted it: bounds, clock, and who answers.

    Attributes:
        deadline: When the listener ends it, by its clock; a client that has to act is what is
            waited for.
    """

    __slots__ = (
        *("deadline", "_listener", "_transport", "_parser", "_client", "_is_http_1_0"),
        *("_work", "_request", "_waiting", "_outgoing", "_advancing"),
        *("_closing", "_ended", "_writable"),
        *("_in_head", "_head_bytes", "_started", "_target", "_headers", "_fields", "_body"),
    )

    def __init__(self, listener: "Listener") -> None:
        self.deadline = listener.now + listener.idle_seconds
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._work: Work[Reply] | None = None  # the request that is being answered
        self._request: Request  # the same
        self._waiting: deque[Request] = deque()
        self._outgoing: list[bytes] = []
        self._advancing = False
        self._closing = False  # no further request is read
        self._ended = False  # no further reply is sent
        self._writable = True
        self._in_head = False
        self._started = 0.0
        self._target = b""
        self._headers: HeaderList = []
        self._fields: dict[bytes, bytes] = {}
        self._is_http_1_0: bool | None = None  # not known yet
        self._body: bytes | bytearray = b""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; hang up at once where there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        self._client: tuple[str, int] = (peer[0], peer[1]) if peer else ("", 0)
        if not self._listener.admit(self):
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; what it asked for and nobody will read is not worked out."""
        self._closing = True
        self._waiting.clear()
        self._listener.forget(self)
        if self._work is not None:
            self._work.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came; complete requests are answered from within."""
        if self._closing:
            return  # what a client goes on sending after it was refused
        in_head = self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours: the event loop logs it and closes the connection
        except httptools.HttpParserUpgrade:
            self._closing = True  # what follows would be another protocol, which nobody offered
        except httptools.HttpParserInvalidMethodError:
            self._refuse(MalformedRequest("method: expected one of HTTP's, found another"))
        except httptools.HttpParserError:
            self._refuse(MalformedRequest("request: expected HTTP/1.1, found something else"))
        if in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                found = f"expected at most {MAX_HEAD_BYTES} bytes, found more"
                self._refuse(HeadTooLarge(f"headers: {found}"))

    def eof_received(self) -> bool:
        """Let a client that has said all still read its answers."""
        self._closing = True
        return not self._is_idle

    def pause_writing(self) -> None:
        """Give a client that does not read some time."""
        self._writable = False
        self.deadline = self._listener.now + self._listener.busy_seconds

    def resume_writing(self) -> None:
        """Go on with what waits."""
        self._writable = True
        if self._work is None:
            self._next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note when the request began."""
        self._started = perf_counter()
        self._target = b""
        self._headers = []
        self._fields = {}
        self._body = b""
        self._in_head = True
        self._head_bytes = 0
        self.deadline = self._listener.now + self._listener.busy_seconds

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse a body that says itself that it is too large, before it is sent."""
        self._in_head = False
        self._fields = fields = dict(self._headers)
        length = fields.get(b"content-length")
        if length is not None and int(length) > self._listener.max_body_bytes:
            self._refuse(self._too_large(length.decode("latin-1")))
        elif fields.get(b"expect", b"").lower() == b"100-continue" and self._work is None:
            self._send(CONTINUE)

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._closing:
            return
        if not self._body:
            self._body = chunk  # mostly the whole of it
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += chunk
        if len(self._body) > self._listener.max_body_bytes:
            self._refuse(self._too_large(f"{len(self._body)} and more"))

    def on_message_complete(self) -> None:
        """Answer the request, or let it wait until the ones before it are answered."""
        if self._closing:
            return
        self._take(self._read_request(bytes(self._body), self._parser.should_keep_alive()))

    # What is made of it.

    def _read_request(
        self, body: bytes, keep_alive: bool, fault: InferenceError | None = None
    ) -> Request:
        if self._is_http_1_0 is None:
            self._is_http_1_0 = self._parser.get_http_version() == "1.0"
        raw_path, _, query = self._target.partition(b"?")
        path = raw_path.decode("latin-1")
        if "%" in path:
            path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        elif not path.startswith("/"):
            path = _path_of(self._target)
        return Request(
            self._parser.get_method().decode("latin-1") if self._target else "",
            path,
            raw_path,
            query,
            self._headers,
            self._fields,
            body,
            self._started or perf_counter(),
            self._client,
            keep_alive,
            self._is_http_1_0,
            fault,
        )

    def _take(self, request: Request) -> None:
        if not request.keep_alive:
            self._closing = True
        if self._work is None and self._writable:
            self._answer(request)
        else:
            self._waiting.append(request)
            self._transport.pause_reading()

    def _answer(self, request: Request) -> None:
        self.deadline = self._listener.never
        self._request = request
        self._work = Work(self._listener.respond(request), self._write)
        self._work.go_on()

    def _write(self, reply: Reply) -> None:
        self._work = None
        data, keep_alive = encode(self._request, reply, self._listener.date)
        self.deadline = self._listener.now + self._listener.idle_seconds
        self._send(data)
        if keep_alive and self._waiting:
            self._next()
        elif not keep_alive or self._closing or self._listener.stopping:
            self._end()

    def _next(self) -> None:
        """Answer those that wait, until one has to be waited for."""
        if self._advancing:
            return  # called from within the loop below, by an answer that was there at once
        self._advancing = True
        while self._waiting and self._writable and self._work is None:
            self._answer(self._waiting.popleft())
        self._advancing = False
        if not (self._waiting or self._closing):
            self._transport.resume_reading()

    def _send(self, data: bytes) -> None:
        """Let data go at the end of this turn of the event loop, with what else goes then.

        Each write wakes a client, which then takes turns with us; all at once it is 20 % cheaper.
        """
        if not self._outgoing:
            self._listener.flush_soon(self)
        self._outgoing.append(data)

    def flush(self) -> None:
        """Hand what is to be sent to the socket."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if not self._transport.is_closing():
            self._transport.write(data)
            if self._ended or (self._closing and self._is_idle):
                self._transport.write_eof()

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is owed to the client."""
        return self._work is None and not (self._waiting or self._outgoing)

    # How it ends.

    def _refuse(self, fault: InferenceError) -> None:
        """Answer what cannot be read to its end; nothing behind it can be read either."""
        if not self._closing:
            self._closing = True
            self._take(self._read_request(b"", False, fault))

    def _too_large(self, found: str) -> BodyTooLarge:
        return BodyTooLarge(
            f"body: expected at most {self._listener.max_body_bytes} bytes, found {found}"
        )

    def _end(self) -> None:
        """Send no more. What a client still sends is read, else it might lose the last answer."""
        self._closing = self._ended = True
        self._waiting.clear()
        self.deadline = self._listener.now + self._listener.linger_seconds

    def hang_up(self, *, at_once: bool = False) -> None:
        """End it: after the answer that is under way, or at once.

        A client that has sent nothing, or half a request, gets no answer.
        """
        self._closing = True
        if at_once:
            self._transport.abort()
        elif self._is_idle:
            self._transport.close()


def _path_of(target: bytes) -> str:
    """Return the path of a target in absolute form, which a proxy may send (RFC 9112, 3.2.2)."""
    try:
        found: Any = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target.decode("latin-1")
    return (found.path or b"/").decode("latin-1")
