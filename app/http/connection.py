"""One client's connection: requests are answered one after the other, in their order.

State of a connection: it *reads* a request, it is *answered*, or both, when a client sends the
next before it has the answer (pipelining); those wait in `_waiting`, and reading pauses.
"""

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from app.http.message import Reply, Request
from app.http.reader import Reader
from app.http.wire import CONTINUE, encode
from app.http.work import Work

if TYPE_CHECKING:
    from app.http.listener import Listener

FIRST_LOOK_SECONDS = 0.01
"""After an end that may be a client's leaving; later looks take twice as long each."""


class Connection(Reader, asyncio.Protocol):
    """Speaks HTTP/1.1 with one client.

    Args:
        listener: That accepted it: bounds, clock, and who answers.
    """

    __slots__ = (
        *("_transport", "_request", "_waiting", "_outgoing", "_advancing"),
        *("_half_closed", "_writable"),
    )

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener)
        self._request: Request  # the one that is being answered
        self._waiting: deque[Request] = deque()
        self._outgoing: list[bytes] = []
        self._advancing = False
        self._half_closed = False  # the client sends no more
        self._writable = True

    # What the event loop calls, beside `data_received`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; hang up at once where there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        self._client = (peer[0], peer[1]) if peer else ("", 0)
        if not self._listener.admit(self):
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; what it asked for and nobody will read is not worked out."""
        self._closing = True
        self._waiting.clear()
        self._listener.forget(self)
        del self._parser  # which holds this connection: no cycle is left to be collected
        if self._work is not None:
            self._work.cancel()

    def eof_received(self) -> bool:
        """Let a client that has said all still read its answers, unless it has gone altogether.

        Both begin alike. But data is answered with a reset by the machine of one that has gone, so
        while an answer is worked out it is sent an interim one, which any other skips (RFC 9110,
        15.2; clients of HTTP/1.0 need not).
        """
        self._closing = self._half_closed = True
        if self._is_idle:
            return False
        if self._work is not None and not self._request.is_http_1_0:
            self._send(CONTINUE)
            self._look_for_reset(FIRST_LOOK_SECONDS)
        return True

    def _breathe(self) -> None:
        self._transport.pause_reading()
        self._listener.loop.call_soon(self._after_breath)

    def _after_breath(self) -> None:
        """Go on after a breath, unless something else keeps it from reading by now."""
        if not (self._waiting or self._transport.is_closing()):
            self._transport.resume_reading()

    def _look_for_reset(self, seconds: float) -> None:
        """Look now and again: the event loop does not, where nothing more can be read."""
        if self._transport.is_closing() or self._work is None:
            return
        client = self._transport.get_extra_info("socket")
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            longer = min(2.0 * seconds, self._listener.sweep_seconds)
            self._listener.loop.call_later(seconds, self._look_for_reset, longer)

    def pause_writing(self) -> None:
        """Give a client that does not read some time."""
        self._writable = False
        self.deadline = self._listener.now + self._listener.busy_seconds

    def resume_writing(self) -> None:
        """Go on with what waits."""
        self._writable = True
        if self._work is not None:
            self.deadline = self._listener.never
            return
        seconds = self._listener.linger_seconds if self._closing else self._listener.idle_seconds
        self.deadline = self._listener.now + seconds
        self._next()

    # How requests become replies.

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

    def _write(self, reply: Reply | None) -> None:
        self._work = None
        if reply is None:  # it was cancelled, or failed: no answer will ever come
            self.hang_up(at_once=True)
            return
        try:
            data, keep_alive = encode(self._request, reply, self._listener.date)
        except Exception:
            self.hang_up(at_once=True)
            raise  # a fault of ours: the event loop logs it
        del self._request  # its body may be large
        self.deadline = self._listener.now + self._listener.idle_seconds
        self._send(data)
        if keep_alive and self._waiting:
            self._next()
        elif not keep_alive or self._closing or self._listener.stopping:
            self._closing = True
            self._waiting.clear()

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
            if self._closing and self._is_idle:
                self._end()

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is owed to the client."""
        return self._work is None and not (self._waiting or self._outgoing)

    # How it ends.

    def _end(self) -> None:
        """Send no more. What a client still sends is read, else it might lose the last answer."""
        if self._half_closed:
            self._transport.close()  # after what is still to be sent
            return
        if self._writable:
            self.deadline = self._listener.now + self._listener.linger_seconds
        self._transport.resume_reading()
        self._transport.write_eof()

    def hang_up(self, *, at_once: bool = False) -> None:
        """End it: after the answer that is under way, or at once.

        A client that has sent nothing, or half a request, gets no answer.
        """
        self._closing = True
        if at_once:
            self._waiting.clear()
            self._transport.abort()
        elif self._is_idle:
            self._transport.close()
