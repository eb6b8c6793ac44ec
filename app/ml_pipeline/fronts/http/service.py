"""What the connections of one listener share: who answers them, bounds, the clock, turns."""

import asyncio
from email.utils import formatdate
from math import inf

import msgspec

from ml_pipeline.fronts.http.hosts import Hosts
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.fronts.http.open_connections import OpenConnections
from ml_pipeline.fronts.http.turns import Turns

NEVER = inf
"""The deadline of a connection that nobody waits for but its client."""


class Patience(msgspec.Struct):
    """How long clients are waited for.

    Attributes:
        idle_seconds: Longest pause between two requests; longer than the 60 s after which Nginx
            closes a connection it does not need, so that it never sends on one that just ended.
        busy_seconds: Longest time a client may take to send a request, or to read an answer.
        linger_seconds: Longest time that is read on after the last answer.
        sweep_seconds: Time between two looks at who is late.
    """

    idle_seconds: float = 75.0
    busy_seconds: float = 60.0
    linger_seconds: float = 2.0
    sweep_seconds: float = 1.0


class Service:
    """Mutable state: the clock, whether it is stopping, and who is connected.

    Args:
        respond: Answers each request.
        max_body_bytes: Bound on the body of any request.
        hosts: That requests may be for; None = any.
        max_connections: Open at the same time.
        patience: With clients.

    Attributes:
        now: The loop's time, as of the last tick: a clock that costs nothing.
        date: The header, likewise.
        stopping: Every answer is the last of its connection.
    """

    __slots__ = (
        *("date", "hosts", "loop", "max_body_bytes", "now", "open_connections"),
        *("patience", "respond", "stopping", "turns"),
    )

    def __init__(
        self,
        respond: Respond,
        max_body_bytes: int,
        hosts: Hosts | None,
        max_connections: int,
        patience: Patience,
    ) -> None:
        self.respond = respond
        self.max_body_bytes = max_body_bytes
        self.hosts = hosts
        self.patience = patience
        self.loop = asyncio.get_running_loop()
        self.turns = Turns(self.loop)
        self.open_connections = OpenConnections(max_connections)
        self.stopping = False
        self.tick()

    def tick(self) -> None:
        """Set the clock."""
        self.now = self.loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
