"""Turns of the event loop, which connections share: who has more to do, and who has to send."""

import asyncio
from collections import deque
from time import monotonic
from typing import Protocol

TURN_SECONDS = 0.0005
"""After which a connection that has more to do waits for the next turn of the event loop. A request
of somebody else takes up to five turns."""

BREATH_BYTES = 131_072
"""Of a body in one read, behind which others have a turn. libuv reads 32 times before it looks at
another connection, 8 MB, which are taken in 10 ms."""


class Turner(Protocol):
    """What takes turns: a connection."""

    def go_on(self, until: float) -> bool:
        """Answer those that wait, and read on, until the time is up or one has to be waited for.

        Args:
            until: `time.monotonic()` seconds; what takes longer by itself is not cut short.

        Returns:
            Whether there is more that could be done.
        """


class Flushed(Protocol):
    """What sends at the end of a turn."""

    def flush(self) -> None:
        """Hand what is to be sent to the socket."""


class Turns:
    """Lets connections go on in the next turn, and flushes them at the end of this one.

    Args:
        loop: Whose turns these are.
    """

    __slots__ = ("_line", "_line_moves", "_loop", "_unflushed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._line: deque[Turner] = deque()
        self._line_moves = False
        self._unflushed: list[Flushed] = []

    def flush_soon(self, flushed: Flushed) -> None:
        """Flush at the end of this turn of the event loop, with what else goes then.

        Each write wakes a client, which then takes turns with us; all at once it is 20 % cheaper.
        """
        if not self._unflushed:
            self._loop.call_soon(self._flush)
        self._unflushed.append(flushed)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for each in unflushed:
            each.flush()

    def go_on_soon(self, turner: Turner) -> None:
        """Let one that has more to do than one request go on in the next turn."""
        self._line.append(turner)
        if not self._line_moves:
            self._line_moves = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Let one after the other go on, for a moment in all; who has not done waits again."""
        self._line_moves = bool(self._line)
        if not self._line_moves:
            return
        self._loop.call_soon(self._go_on)  # already now: a fault in one must not stop the others
        until = monotonic() + TURN_SECONDS
        while self._line and monotonic() < until:
            turner = self._line.popleft()
            if turner.go_on(until):
                self._line.append(turner)
