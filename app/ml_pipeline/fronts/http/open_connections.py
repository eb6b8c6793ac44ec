"""The connections that are open, and how many there may be."""

import asyncio
from collections.abc import Iterator
from typing import Protocol


class OpenConnection(Protocol):
    """A connection, as far as it is ended from outside.

    Attributes:
        deadline: When it is to be ended, by the loop's clock.
    """

    deadline: float

    def hang_up(self, *, at_once: bool = False) -> None:
        """End it: after the answer that is under way, or at once."""

    def refuse_half_read(self) -> None:
        """Answer a request whose body does not come while there is time."""


class OpenConnections:
    """Counts connections in and out.

    Args:
        max_connections: Open at the same time.
    """

    __slots__ = ("_connections", "_emptied", "_max_connections", "_num_refused")

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        self._connections: set[OpenConnection] = set()
        self._num_refused = 0
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._connections)

    def __iter__(self) -> Iterator[OpenConnection]:
        """Give those that are there now, however many leave meanwhile."""
        return iter(list(self._connections))

    def admit(self, connection: OpenConnection) -> bool:
        """Count a new one in, until it is forgotten; False if there are too many."""
        self._connections.add(connection)
        self._emptied.clear()
        is_refused = len(self._connections) > self._max_connections
        self._num_refused += is_refused
        return not is_refused

    def forget(self, connection: OpenConnection) -> None:
        """Count one out."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def take_num_refused(self) -> int:
        """Tell how many were too many since this was asked last."""
        num_refused, self._num_refused = self._num_refused, 0
        return num_refused

    async def wait_empty(self) -> None:
        """Wait until there is none."""
        while self._connections:
            await self._emptied.wait()
