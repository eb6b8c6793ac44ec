"""Long work in short pieces: the event loop gets a turn between any two of them.

What takes longer than 5 ms in one go keeps everybody else waiting for as long, and a thread is no
help: msgspec and numpy hold Python's lock from the first byte of a call to the last, so that beside
a decoding of 16 MB in a thread the loop had one turn, after 0.8 s. So whatever reads or writes a
large body is a generator that yields after each piece of about half a millisecond; somebody else's
request takes up to five turns. Of all that are under way one alone is gone on with, so that a turn
of the loop holds one piece, however many large bodies have come, and the memory for one.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from time import monotonic
from typing import TypeVar

from ml_pipeline.errors import DeadlineExceeded

Value = TypeVar("Value")
Steps = Generator[None, None, Value]
"""Work that yields after each piece, and returns what it has made."""

HEAVY_BYTES = 262_144
"""A body beyond this is read in pieces; up to here the worst takes about 5 ms in one go, at 20
to 30 ns a byte (`python -m bench micro`)."""


class Turns:
    """Goes on with one work after the other, in the order they came. Event loop only.

    Mutable state: whether one is at it, and those that wait.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, steps: Steps[Value], deadline: float) -> Value:
        """Bring work to its end.

        The first piece waits for nobody: mostly it is all there is.

        Args:
            steps: The work.
            deadline: `time.monotonic()` seconds after which its result is of no use.

        Raises:
            DeadlineExceeded: It has passed.
            InferenceError: Whatever the work raises.
        """
        try:
            next(steps)
        except StopIteration as end:
            found: Value = end.value
            return found
        await self._begin(deadline)
        try:
            while True:
                await asyncio.sleep(0)
                if monotonic() > deadline:
                    raise DeadlineExceeded("deadline: passed amid reading or writing a large body")
                try:
                    next(steps)
                except StopIteration as end:
                    found = end.value
                    return found
        finally:
            self._end()

    async def _begin(self, deadline: float) -> None:
        """Wait until nobody else is at it. No `asyncio.timeout`: that asks for a task."""
        if not self._taken:
            self._taken = True
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(max(deadline - monotonic(), 0.0), _give_up, waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._end()  # it was its turn just when its client left
            waiter.cancel()
            raise
        finally:
            timer.cancel()

    def _end(self) -> None:
        """Let the next begin."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken = False


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlineExceeded("deadline: passed before a large body had its turn"))


def at_once(steps: Steps[Value]) -> Value:
    """Do work in one go, where it is known to be short."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Value = end.value
            return found
