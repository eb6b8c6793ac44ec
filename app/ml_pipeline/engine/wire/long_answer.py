"""Long answers, as pieces: put together off the event loop, or not at all where nobody keeps them.

To copy 60 MB takes 25 ms, most of it for memory that the kernel has to give first. `bytes.join` of
nothing but bytes lets go of Python's lock meanwhile if they are 1 MiB or more, so a thread does it.
"""

import asyncio
from collections.abc import Iterable, Sequence

from ml_pipeline.engine.wire.turns import Steps

LONG_BYTES = 1_048_576
"""From which on pieces are joined by a thread; below it a copy takes 0.1 ms."""

PIECE_BYTES = 262_144
"""Of what is copied in one go."""


async def joined(pieces: Sequence[bytes]) -> bytes:
    """Join pieces; the event loop does something else meanwhile if they are long."""
    if sum(map(len, pieces)) < LONG_BYTES:
        return b"".join(pieces)
    return await asyncio.to_thread(b"".join, pieces)


def cut(buffer: bytes | memoryview) -> Steps[list[bytes]]:
    """Copy a buffer, in pieces."""
    view = memoryview(buffer)
    pieces: list[bytes] = []
    for start in range(0, len(view), PIECE_BYTES):
        pieces.append(bytes(view[start : start + PIECE_BYTES]))
        yield
    return pieces


def gathered(pieces: Iterable[bytes], between: bytes) -> Steps[list[bytes]]:
    """Join short pieces, with something between any two, to ones of about `PIECE_BYTES`."""
    found: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            found += (between.join(waiting), between)
            waiting, size = [], 0
            yield
    if waiting:
        found.append(between.join(waiting))
    elif found:
        found.pop()
    return found
