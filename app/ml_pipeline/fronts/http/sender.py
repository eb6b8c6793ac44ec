"""The sending half of a connection: what is said in one turn of the event loop goes together."""

import asyncio
from collections.abc import Sequence

from ml_pipeline.fronts.http.turns import Turns

MAX_UNSENT_BYTES = 65_536
"""Of answers to pipelined requests, before the socket is asked whether the client reads them."""


class Sender:
    """Sends to one client.

    Args:
        transport: To it.
        turns: At whose ends things are sent.

    Attributes:
        is_writable: Whether the socket takes more; else the client does not read.
        half_closed: Whether the client sends no more, so that it is closed with the last answer.
    """

    __slots__ = (
        *("_has_long", "_is_ending", "_parts", "_transport", "_turns"),
        *("half_closed", "is_writable"),
    )

    def __init__(self, transport: asyncio.Transport, turns: Turns) -> None:
        self._transport = transport
        self._turns = turns
        self._parts: list[bytes | memoryview] = []
        self._has_long = False  # parts, which are not copied
        self._is_ending = False  # nothing is sent behind these parts
        self.is_writable = True
        self.half_closed = False

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for the end of the turn."""
        return bool(self._parts)

    def send(self, data: bytes, rest: Sequence[bytes | memoryview] = ()) -> None:
        """Let data go at the end of this turn, and what follows of a long answer without a copy."""
        if not self._parts:
            self._turns.flush_soon(self)
        self._parts.append(data)
        if rest:
            self._parts += rest
            self._has_long = True

    def end(self) -> None:
        """Send nothing behind what waits for the end of the turn."""
        self._is_ending = True

    def flush(self) -> None:
        """Hand what is to be sent to the socket."""
        if not self._parts:
            return  # it was full before the end of the turn
        parts, self._parts = self._parts, []
        has_long, self._has_long = self._has_long, False
        if self._transport.is_closing():
            return
        if has_long:
            self._transport.writelines(parts)
        else:
            self._transport.write(b"".join(parts))
        if self._is_ending:
            self._end()

    def flush_if_much(self) -> None:
        """Flush before the end of the turn, to see whether the client reads."""
        if sum(map(len, self._parts)) > MAX_UNSENT_BYTES:
            self.flush()

    def _end(self) -> None:
        """Say that it was all. What a client still sends is read, else it might lose an answer."""
        if self.half_closed:
            self._transport.close()  # after what is still to be sent
        elif not self._transport.is_closing():
            self._transport.resume_reading()
            self._transport.write_eof()
