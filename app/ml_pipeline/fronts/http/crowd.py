"""The connections that are open, and how many there may be."""

import asyncio
from collections.abc import Iterator
from typing import Protocol


class Member(Protocol):
    """What there are many of: a connection.

    Attributes:
        deadline: When it is to be ended, by the loop's clock.
    """

    deadline: float

    def hang_up(self, *, at_once: bool = False) -> None:
        """End it: after the answer that is under way, or at once."""

    def refuse_half_read(self) -> None:
        """Answer a request whose body does not come while there is time."""


class Crowd:
    """Counts connections in and out.

    Args:
        max_members: Open at the same time.
    """

    __slots__ = ("_emptied", "_max_members", "_members", "_num_refused")

    def __init__(self, max_members: int) -> None:
        self._max_members = max_members
        self._members: set[Member] = set()
        self._num_refused = 0
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """Give those that are there now, however many leave meanwhile."""
        return iter(list(self._members))

    def admit(self, member: Member) -> bool:
        """Count a new one in, until it is forgotten; False if there are too many."""
        self._members.add(member)
        self._emptied.clear()
        is_refused = len(self._members) > self._max_members
        self._num_refused += is_refused
        return not is_refused

    def forget(self, member: Member) -> None:
        """Count one out."""
        self._members.discard(member)
        if not self._members:
            self._emptied.set()

    def take_num_refused(self) -> int:
        """Tell how many were too many since this was asked last."""
        num_refused, self._num_refused = self._num_refused, 0
        return num_refused

    async def wait_empty(self) -> None:
        """Wait until there is none."""
        while self._members:
            await self._emptied.wait()
