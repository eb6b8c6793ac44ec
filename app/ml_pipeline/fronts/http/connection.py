"""One client's connection: requests are answered one after the other, in their order.

State of a connection: it *reads* a request, it is *answered*, or both, when a client sends the
next before it has the answer (pipelining); those wait in `_waiting`, and reading pauses. However
many they are, of one turn of the event loop they get `TURN_SECONDS`, together with those of other
connections: the listener lets one after the other `go_on`.
"""

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING, cast

from ml_pipeline.errors import NotReady
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.fronts.http.reader import Reader
from ml_pipeline.fronts.http.wire import CONTINUE, encode
from ml_pipeline.fronts.http.work import Work

if TYPE_CHECKING:
    from ml_pipeline.fronts.http.listener import Listener

MAX_OUTGOING_BYTES = 65_536
"""Of answers to pipelined requests, before the socket is asked whether the client reads them."""

FIRST_LOOK_SECONDS = 0.01
"""After an end that may be a client's leaving; later looks take twice as long each."""


class Connection(Reader, asyncio.Protocol):
    """Speaks HTTP/1.1 with one client.

    Args:
        listener: That accepted it: bounds, clock, and who answers.
    """

    __slots__ = (
        *("_transport", "_request", "_outgoing", "_unjoined", "_in_line"),
        *("_half_closed", "_writable"),
    )

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener)
        self._request: Request  # the one that is being answered
        self._outgoing: list[bytes | memoryview] = []
        self._unjoined = False  # it has parts of a long answer
        self._in_line = False  # of those that go on in the next turn, or going on right now
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
        self._drop_waiting()
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
        if not (self._in_line or self._waiting or self._transport.is_closing()):
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
        if self._waiting:
            self._go_on_soon()

    # How requests become replies.

    def _take(self, request: Request) -> None:
        if not request.keep_alive:
            self._closing = True
        if self._num_read < 2 and self._work is None and self._writable and not self._waiting:
            self._answer(request)
            return
        self._waiting.append(request)
        if self._work is None and self._writable:  # it came together with the one before
            self._go_on_soon()
        else:
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
            data, rest, keep_alive = encode(self._request, reply, self._listener.date)
        except Exception:
            self.hang_up(at_once=True)
            raise  # a fault of ours: the event loop logs it
        del self._request  # its body may be large
        self.deadline = self._listener.now + self._listener.idle_seconds
        self._send(data)
        if rest:
            self._outgoing += rest
            self._unjoined = True
        if keep_alive and self._waiting:
            self._go_on_soon()
        elif not keep_alive or self._closing or self._listener.stopping:
            self._closing = True
            self._drop_waiting()

    def _go_on_soon(self) -> None:
        if not self._in_line:
            self._in_line = True
            self._transport.pause_reading()
            self._listener.go_on_soon(self)

    def go_on(self, until: float) -> bool:
        """Answer those that wait, and read on, until the time is up or one has to be waited for.

        Args:
            until: `time.monotonic()` seconds; what takes longer by itself is not cut short.

        Returns:
            Whether there is more that could be done.
        """
        try:
            while self._has_more:
                if self._waiting:
                    self._answer(self._waiting.popleft())
                else:
                    self._read_on(until)
                if sum(map(len, self._outgoing)) > MAX_OUTGOING_BYTES:
                    self.flush()
                if monotonic() >= until:
                    break
        except BaseException:
            self.hang_up(at_once=True)
            raise  # a fault of ours: the event loop logs it
        self._in_line = self._has_more
        if not (self._in_line or self._waiting or self._closing):
            self._transport.resume_reading()
        return self._in_line

    @property
    def _has_more(self) -> bool:
        """Whether it could go on by itself, with an answer or with what is unread."""
        if self._waiting:
            return self._work is None and self._writable
        return bool(self._unread) and not self._closing

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._unread = b""

    def _send(self, data: bytes) -> None:
        """Let data go at the end of this turn of the event loop, with what else goes then.

        Each write wakes a client, which then takes turns with us; all at once it is 20 % cheaper.
        """
        if not self._outgoing:
            self._listener.flush_soon(self)
        self._outgoing.append(data)

    def flush(self) -> None:
        """Hand what is to be sent to the socket."""
        if not self._outgoing:
            return  # it was full before the end of the turn
        outgoing, self._outgoing = self._outgoing, []
        unjoined, self._unjoined = self._unjoined, False
        if not self._transport.is_closing():
            if unjoined:
                self._transport.writelines(outgoing)
            else:
                self._transport.write(b"".join(outgoing))
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

        A client that has sent nothing, or half a head, gets no answer. One that has sent half a
        body may send the rest: the answer to that is the last.
        """
        if at_once:
            self._closing = True
            self._drop_waiting()
            self._transport.abort()
        elif not self._is_half_read:
            self._closing = True
            if self._is_idle:
                self._transport.close()

    def refuse_half_read(self) -> None:
        """Answer a request whose body does not come while there is time."""
        if self._is_half_read and self._work is None:
            self._refuse(
                NotReady(
                    "body: expected its end before that of the server, found none",
                    retry_after_seconds=1,
                )
            )

    @property
    def _is_half_read(self) -> bool:
        """Whether a head has been read, and not all of its body."""
        return bool(self._fields) and not (self._between or self._closing)
