"""One client's connection: requests are answered one after the other, in their order.

State of a connection: it *reads* a request, it is *answered*, or both, when a client sends the
next before it has the answer (pipelining); those wait in `_waiting`, and reading pauses. However
many they are, of one turn of the event loop they get `TURN_SECONDS`, together with those of other
connections: `Turns` lets one after the other `go_on`.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import cast

from ml_pipeline.fronts.http.events import Event, Signal
from ml_pipeline.fronts.http.leaving import look_for_reset
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.fronts.http.parser import Parser
from ml_pipeline.fronts.http.sender import Sender
from ml_pipeline.fronts.http.service import NEVER, Service
from ml_pipeline.fronts.http.turns import BREATH_BYTES, TURN_SECONDS
from ml_pipeline.fronts.http.wire import CONTINUE, encode
from ml_pipeline.fronts.http.work import Work


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one client: all of it that is no parsing.

    Args:
        service: What it shares with other connections: who answers, bounds, clock, turns.

    Attributes:
        deadline: When it is ended, by the loop's clock, if its client has not acted by then.
    """

    __slots__ = (
        *("deadline", "_service", "_transport", "_parser", "_sender"),
        *("_work", "_request", "_waiting", "_in_line", "_closing"),
    )

    def __init__(self, service: Service) -> None:
        self.deadline = service.now + service.patience.idle_seconds
        self._service = service
        self._work: Work[Reply] | None = None  # on the request that is being answered
        self._request: Request  # the one that is being answered
        self._waiting: deque[Request] = deque()  # read, and not answered
        self._in_line = False  # of those that go on in the next turn, or going on right now
        self._closing = False  # no further request is read

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; hang up at once where there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        service, peer = self._service, transport.get_extra_info("peername")
        client = (peer[0], peer[1]) if peer else ("", 0)
        self._parser = Parser(client, service.max_body_bytes, service.hosts)
        self._sender = Sender(self._transport, service.turns)
        if not service.open_connections.admit(self) or service.stopping:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; what it asked for and nobody will read is not worked out."""
        self._take_no_more()
        self._waiting.clear()
        self._service.open_connections.forget(self)
        if self._work is not None:
            self._work.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that comes alone is answered at once."""
        if self._closing:
            return  # what a client goes on sending after it was refused
        now, parser = monotonic(), self._parser
        events = parser.receive(data, now)
        at_once = self._take(events, at_once=True)
        if parser.has_unread:
            until = now + TURN_SECONDS
            while parser.has_unread and not self._waiting and now <= until:
                at_once = self._take(parser.go_on(now), at_once=at_once)
                now = monotonic()
            if parser.has_unread:
                self._go_on_soon()
        elif not events and len(data) > BREATH_BYTES:
            self._go_on_soon()  # with nothing: others have a turn between two parts of a body

    def eof_received(self) -> bool:
        """Let a client that has said all still read its answers, unless it has gone altogether.

        Both begin alike. But data is answered with a reset by the machine of one that has gone, so
        while an answer is worked out it is sent an interim one, which any other skips (RFC 9110,
        15.2; clients of HTTP/1.0 need not).
        """
        self._sender.half_closed = True
        self._take_no_more()
        if self._is_idle:
            return False
        if self._work is not None and not self._request.is_http_1_0:
            self._sender.send(CONTINUE)
            look_for_reset(self._transport, self._service, lambda: self._work is not None)
        return True

    def pause_writing(self) -> None:
        """Give a client that does not read some time."""
        self._sender.is_writable = False
        self.deadline = self._service.now + self._service.patience.busy_seconds

    def resume_writing(self) -> None:
        """Go on with what waits."""
        self._sender.is_writable = True
        if self._work is not None:
            self.deadline = NEVER
            return
        patience = self._service.patience
        seconds = patience.linger_seconds if self._closing else patience.idle_seconds
        self.deadline = self._service.now + seconds
        if self._waiting:
            self._go_on_soon()

    # How requests are read.

    def _take(self, events: list[Event], *, at_once: bool) -> bool:
        """Take what the parser has found, and answer a request whose turn has come.

        Args:
            events: In their order.
            at_once: Whether the first request may be answered in this turn; others of a read wait.

        Returns:
            Whether one that comes behind these may.
        """
        for event in events:
            if self._closing:
                break
            is_free = self._work is None and not self._waiting  # of what is due before
            if isinstance(event, Request):
                self._closing = not event.keep_alive
                may = at_once or event.fault is not None  # to tell of a fault costs no more time
                if may and is_free and self._sender.is_writable:
                    self._answer(event)
                else:
                    self._wait_in_line(event)
                at_once = False
            elif event is Signal.CONTINUE and is_free:
                self._sender.send(CONTINUE)
            elif event is Signal.BEGUN and self._work is None:
                self.deadline = self._service.now + self._service.patience.busy_seconds
        return at_once

    def _wait_in_line(self, request: Request) -> None:
        self._waiting.append(request)
        if self._work is None and self._sender.is_writable:  # it came with the one before
            self._go_on_soon()
        else:
            self._transport.pause_reading()

    # How requests become replies.

    def _answer(self, request: Request) -> None:
        self.deadline = NEVER
        self._request = request
        self._work = Work(self._service.respond(request), self._write)
        self._work.go_on()

    def _write(self, reply: Reply | None) -> None:
        self._work = None
        if reply is None:  # it was cancelled, or failed: no answer will ever come
            self.hang_up(at_once=True)
            return
        try:
            data, rest, keep_alive = encode(self._request, reply, self._service.date)
        except Exception:
            self.hang_up(at_once=True)
            raise  # a fault of ours: the event loop logs it
        del self._request  # its body may be large
        self.deadline = self._service.now + self._service.patience.idle_seconds
        self._sender.send(data, rest)
        if keep_alive and self._waiting:
            self._go_on_soon()
        elif not keep_alive or self._closing or self._service.stopping:
            self._waiting.clear()
            self._take_no_more()

    def _go_on_soon(self) -> None:
        """Read no more for now, and go on with what is there in the next turn."""
        if not self._in_line:
            self._in_line = True
            self._transport.pause_reading()
            self._service.turns.go_on_soon(self)

    def go_on(self, until: float) -> bool:
        """Answer those that wait, and read on, until the time is up or one has to be waited for."""
        try:
            while self._has_more:
                if self._waiting:
                    self._answer(self._waiting.popleft())
                else:
                    self._take(self._parser.go_on(monotonic()), at_once=False)
                self._sender.flush_if_much()
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
            return self._work is None and self._sender.is_writable
        return self._parser.has_unread

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is owed to the client."""
        return not (self._work or self._waiting or self._sender.has_unsent)

    # How it ends.

    def _take_no_more(self) -> None:
        """Answer what waits, and nothing that would come behind: the last of it is the end."""
        self._closing = True
        self._parser.close()
        if self._work is None and not self._waiting and self._sender.has_unsent:
            self._sender.end()
            if self._sender.is_writable and not self._sender.half_closed:
                self.deadline = self._service.now + self._service.patience.linger_seconds

    def hang_up(self, *, at_once: bool = False) -> None:
        """End it: after the answer that is under way, or at once.

        A client that has sent nothing, or half a head, gets no answer. One that has sent half a
        body may send the rest: the answer to that is the last.
        """
        if at_once:
            self._waiting.clear()
            self._take_no_more()
            self._transport.abort()
        elif not self._parser.is_half_read:
            self._take_no_more()
            if self._is_idle:
                self._transport.close()

    def refuse_half_read(self) -> None:
        """Answer a request whose body does not come while there is time."""
        if self._parser.is_half_read and self._work is None:
            self._take(self._parser.refuse_half_read(), at_once=True)
