"""Commands out and replies in, on a connection that redis-py has opened and logged in.

Half of what redis-py takes for an exchange is spent between its stream, its parser and its
time-outs; here a reply goes from the socket to hiredis and to who waits for it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection

TURNS_OF_GRACE = 4
"""Turns of the event loop after a deadline before it counts: to read the sockets, and to hand on
what was read. A loop that was held up would otherwise take an answer that has long been there for
late (`tests/cache/test_redis_loop.py`)."""


class RedisWire(asyncio.Protocol):
    """One exchange at a time. Event loop only.

    Args:
        connection: Open and idle; redis-py closes it, and reads no more from it.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        # redis-py has no public way to its transport: asyncio's StreamWriter is its own.
        writer = cast(asyncio.StreamWriter, connection._writer)
        self._transport = cast(asyncio.Transport, writer.transport)
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        self._replies: list[Any] = []
        self._num_missing = 0
        self._waiter: asyncio.Future[list[Any]] | None = None
        self._lost = self._transport.is_closing()
        self._transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and every word on it has been heard."""
        return not (self._lost or self._num_missing or self._replies)

    async def exchange(
        self, commands: Sequence[bytes], num_replies: int, timeout_seconds: float
    ) -> list[Any]:
        """Send packed commands in one write and wait for their replies.

        Raises:
            TimeoutError: They are not all there in time.
            ConnectionResetError: The connection was lost.
            Exception: What came is no reply of Redis'.
        """
        self._num_missing = num_replies
        waiter: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiter = waiter
        self._transport.write(b"".join(commands))
        timer = self._loop.call_later(timeout_seconds, self._expire, waiter, TURNS_OF_GRACE)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def data_received(self, data: bytes) -> None:
        """Take replies; what nobody waits for makes the connection unusable."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if not isinstance(reply, hiredis.PushNotification):
                    self._replies.append(reply)
        except Exception as error:  # strangers' answers
            self._fail(error)
            return
        if self._num_missing and len(self._replies) >= self._num_missing:
            replies, self._replies = (
                self._replies[: self._num_missing],
                self._replies[self._num_missing :],
            )
            self._num_missing = 0
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(replies)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        self._fail(error or ConnectionResetError("Connection closed by server."))

    def _fail(self, error: Exception) -> None:
        self._lost = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _expire(self, waiter: asyncio.Future[list[Any]], turns: int) -> None:
        if turns and not waiter.done():
            self._loop.call_soon(self._expire, waiter, turns - 1)
        elif not waiter.done():
            waiter.set_exception(TimeoutError())
