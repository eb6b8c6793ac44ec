"""What waits for a lane: items put one by one, taken all at once.

The batcher's rule, for round trips: nobody waits while a lane is free, and what comes while all
are busy goes together with the next. `asyncio.Queue` would wake a lane an item.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Event loop only. Mutable state: the items, and the takers that sleep."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._sleepers: deque[asyncio.Future[None]] = deque()

    def put(self, item: Item) -> None:
        """Add an item; the first one wakes a taker, which runs after this turn of the loop."""
        self._items.append(item)
        if len(self._items) == 1:
            self._wake()

    async def wait(self) -> None:
        """Wait until there is an item."""
        while not self._items:
            sleeper = asyncio.get_running_loop().create_future()
            self._sleepers.append(sleeper)
            await sleeper

    def take(self, most: int, size: Callable[[Item], int] = lambda _: 1) -> list[Item]:
        """Take the oldest items; if some are left, another taker wakes.

        Args:
            most: Sizes add up to no more, but for a single item that is larger.
            size: Of an item.
        """
        total = count = 0
        for item in self._items:
            total += size(item)
            if total > most and count:
                break
            count += 1
        taken, self._items = self._items[:count], self._items[count:]
        if self._items:
            self._wake()
        return taken

    def __len__(self) -> int:
        return len(self._items)

    def _wake(self) -> None:
        while self._sleepers:
            if not (sleeper := self._sleepers.popleft()).done():  # else its taker is gone
                sleeper.set_result(None)
                return
