"""Accepts connections, ends those that keep it waiting, and stops without losing an answer."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from math import inf
from time import monotonic

from ml_pipeline.fronts.http.connection import Connection
from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.last_call import turn_away
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.fronts.http.reader import TURN_SECONDS


class Listener:
    """One address that clients connect to.

    Args:
        respond: Answers each request.
        max_body_bytes: Bound on the body of any request.
        hosts: That requests may be for; None = any.
        max_connections: Open at the same time; who comes when there are as many is hung up on.
        on_refused: Told, once a sweep, how many were hung up on since the last.

    Attributes:
        idle_seconds: Longest pause between two requests; longer than the 60 s after which Nginx
            closes a connection it does not need, so that it never sends on one that just ended.
        busy_seconds: Longest time a client may take to send a request, or to read an answer.
        linger_seconds: Longest time that is read on after the last answer.
        sweep_seconds: Time between two looks at who is late.
        now: The loop's time, as of the last sweep: a clock that costs nothing.
        date: The header, likewise.
        stopping: Every answer is the last of its connection.
    """

    idle_seconds = 75.0
    busy_seconds = 60.0
    linger_seconds = 2.0
    sweep_seconds = 1.0
    never = inf

    def __init__(
        self,
        respond: Respond,
        *,
        max_body_bytes: int,
        max_connections: int,
        hosts: Hosts | None = None,
        on_refused: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.respond = respond
        self.max_body_bytes = max_body_bytes
        self.hosts = hosts
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self._max_connections = max_connections
        self._on_refused = on_refused
        self._num_refused = 0
        self._connections: set[Connection] = set()
        self._unflushed: list[Connection] = []
        self._line: deque[Connection] = deque()
        self._line_moves = False
        self._all_gone = asyncio.Event()
        self._sweep()

    async def listen(self, host: str, port: int, *, backlog: int) -> None:
        """Listen; OSError if the address is taken."""
        make = self._connection
        self._server = await self.loop.create_server(make, host, port, backlog=backlog)

    def turn_away(self) -> None:
        """Let who has connected in, and nobody else, in the moments before `stop`."""
        for listening in self._server.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                turn_away(same)

    def stop(self) -> None:
        """Accept no more, and close each connection when nothing is under way on it.

        A request whose head has been read is under way: `refuse_half_read` ends the wait for it.
        """
        self.stopping = True
        self._server.close()
        for connection in list(self._connections):
            connection.hang_up()
        self._check()

    def refuse_half_read(self) -> None:
        """Answer requests whose bodies have not come, after `stop`."""
        for connection in list(self._connections):
            connection.refuse_half_read()

    async def wait_closed(self) -> None:
        """Wait until the last connection is closed, after `stop`."""
        await self._all_gone.wait()

    def abort(self) -> None:
        """Close what is left at once."""
        for connection in list(self._connections):
            connection.hang_up(at_once=True)
        self._timer.cancel()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in; False if there are too many."""
        self._connections.add(connection)
        if len(self._connections) > self._max_connections:
            self._num_refused += 1
            return False
        return not self.stopping

    def forget(self, connection: Connection) -> None:
        """Count a closed connection out."""
        self._connections.discard(connection)
        self._check()

    def flush_soon(self, connection: Connection) -> None:
        """Flush a connection at the end of this turn of the event loop."""
        if not self._unflushed:
            self.loop.call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

    def go_on_soon(self, connection: Connection) -> None:
        """Let a connection that has more to do than one request go on in the next turn."""
        self._line.append(connection)
        if not self._line_moves:
            self._line_moves = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Let one after the other go on, for a moment in all; who has not done waits again."""
        self._line_moves = bool(self._line)
        if not self._line_moves:
            return
        self.loop.call_soon(self._go_on)  # already now: a fault in one must not stop the others
        until = monotonic() + TURN_SECONDS
        while self._line and monotonic() < until:
            connection = self._line.popleft()
            if connection.go_on(until):
                self._line.append(connection)

    def _connection(self) -> Connection:
        return Connection(self)

    def _check(self) -> None:
        if self.stopping and not self._connections:
            self._all_gone.set()

    def _sweep(self) -> None:
        """Set the clock and end who is late: one timer for all, because one each costs more."""
        self.now = self.loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in [each for each in self._connections if each.deadline < self.now]:
            connection.hang_up(at_once=True)
        if self._num_refused:
            self._on_refused(self._num_refused)
            self._num_refused = 0
        self._timer = self.loop.call_later(self.sweep_seconds, self._sweep)
