"""Accepts connections, ends those that keep it waiting, and stops without losing an answer."""

import asyncio
import os
import socket
from collections.abc import Callable

from ml_pipeline.fronts.http.connection import Connection
from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.last_call import turn_away
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.fronts.http.service import Patience, Service


class Listener:
    """One address that clients connect to.

    Args:
        respond: Answers each request.
        max_body_bytes: Bound on the body of any request.
        hosts: That requests may be for; None = any.
        max_connections: Open at the same time; who comes when there are as many is hung up on.
        on_refused: Told, once a sweep, how many were hung up on since the last.
        patience: With clients.
    """

    def __init__(
        self,
        respond: Respond,
        *,
        max_body_bytes: int,
        max_connections: int,
        hosts: Hosts | None = None,
        on_refused: Callable[[int], None] = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._service = Service(respond, max_body_bytes, hosts, max_connections, self._patience)
        self._open = self._service.open_connections
        self._on_refused = on_refused
        self._stopped = asyncio.Event()
        self._sweep()

    @property
    def num_connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def listen(self, host: str, port: int, *, backlog: int) -> None:
        """Listen; OSError if the address is taken."""
        self._server = await self._service.loop.create_server(
            lambda: Connection(self._service), host, port, backlog=backlog
        )

    def turn_away(self) -> None:
        """Let who has connected in, and nobody else, in the moments before `stop`."""
        for listening in self._server.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                turn_away(same)

    def stop(self) -> None:
        """Accept no more, and close each connection when nothing is under way on it.

        A request whose head has been read is under way: `refuse_half_read` ends the wait for it.
        """
        self._service.stopping = True
        self._stopped.set()
        self._server.close()
        for connection in self._open:
            connection.hang_up()

    def refuse_half_read(self) -> None:
        """Answer requests whose bodies have not come, after `stop`."""
        for connection in self._open:
            connection.refuse_half_read()

    async def wait_closed(self) -> None:
        """Wait until the last connection is closed, after `stop`."""
        await self._stopped.wait()
        await self._open.wait_empty()

    def abort(self) -> None:
        """Close what is left at once."""
        for connection in self._open:
            connection.hang_up(at_once=True)
        self._timer.cancel()

    def _sweep(self) -> None:
        """Set the clock and end who is late: one timer for all, because one each costs more."""
        service = self._service
        service.tick()
        for connection in self._open:
            if connection.deadline < service.now:
                connection.hang_up(at_once=True)
        if num_refused := self._open.take_num_refused():
            self._on_refused(num_refused)
        self._timer = service.loop.call_later(self._patience.sweep_seconds, self._sweep)
