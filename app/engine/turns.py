"""Long work in short pieces: the event loop gets a turn between any two of them.

What takes longer than 5 ms in one go keeps everybody else waiting for as long, and a thread is no
help: msgspec and numpy hold Python's lock from the first byte of a call to the last, so that beside
a decoding of 16 MB in a thread the loop had one turn, after 0.8 s. So whatever reads or writes a
large body is a generator that yields after each piece of about half a millisecond; somebody else's
request takes up to five turns. Of all that are under way one alone is gone on with, so that a turn
of the loop holds one piece, however many large bodies have come, and the memory for one.
"""

import asyncio
from collections.abc import Generator
from time import monotonic
from typing import TypeVar

from app.errors import DeadlineExceeded

Value = TypeVar("Value")
Steps = Generator[None, None, Value]
"""Work that yields after each piece, and returns what it has made."""

HEAVY_BYTES = 262_144
"""A body beyond this is read in pieces; up to here the worst takes about 5 ms in one go, at 20
to 30 ns a byte (`bench/micro`)."""


class Turns:
    """Goes on with one work after the other, in the order they came."""

    def __init__(self) -> None:
        self._taken = asyncio.Lock()

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
        async with self._taken:
            while True:
                await asyncio.sleep(0)
                if monotonic() > deadline:
                    raise DeadlineExceeded("deadline: passed amid reading or writing a large body")
                try:
                    next(steps)
                except StopIteration as end:
                    found = end.value
                    return found


def at_once(steps: Steps[Value]) -> Value:
    """Do work in one go, where it is known to be short."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Value = end.value
            return found
