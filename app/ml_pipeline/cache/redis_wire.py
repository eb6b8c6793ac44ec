"""Commands out and replies in, on one connection.

A reply goes from the socket to hiredis and to who waits for it. Half of what redis-py takes for an
exchange is spent between its stream, its parser and its time-outs (`python -m bench micro`).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import Any, cast

import hiredis

from ml_pipeline.cache.redis_errors import RefusedReply
from ml_pipeline.cache.redis_reader import BoundedReader

TURNS_OF_GRACE = 4
"""Turns of the event loop after a deadline before it counts: to read the sockets, and to hand on
what was read. A loop that was held up would otherwise take an answer that has long been there for
late (`tests/cache/test_redis_loop.py`)."""

Done = Callable[[list[Any] | Exception], None]

OnPush = Callable[[list[Any]], None]
"""Told what Redis says unasked, such as messages to subscribers; nothing, once the connection is
lost."""


class RedisWire(asyncio.Protocol):
    """One exchange at a time. Event loop only.

    Mutable state: the exchange (`_done`, what it is told, and `_num_missing` replies), and one
    timer. It is not set anew for each exchange, as nearly all end long before it: when it is due it
    looks whether the one that is under way then has its time.

    Args:
        on_push: None where nobody has subscribed to anything.
    """

    _transport: asyncio.Transport  # from `connection_made` on

    def __init__(self, on_push: OnPush | None = None) -> None:
        self._on_push = on_push
        self._loop = asyncio.get_running_loop()
        self._reader = BoundedReader(replyError=RefusedReply)
        self._replies: list[Any] = []
        self._num_missing = 0
        self._done: Done | None = None
        self._deadline = self._timer_due = inf
        self._timer: asyncio.Handle | None = None
        self._lost = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._lost = False

    def close(self) -> None:
        """Hang up without another word; idempotent."""
        if not self._lost:
            self._lost = True
            self._transport.abort()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and every word on it has been heard."""
        return not (self._lost or self._num_missing or self._replies or self._reader.midway)

    def begin(
        self,
        commands: bytes,
        num_replies: int,
        timeout_seconds: float,
        done: Done,
        num_elements: int = 0,
    ) -> None:
        """Send packed commands in one write; only while it `is_usable`.

        Args:
            commands: As Redis reads them.
            num_replies: As many as there are commands.
            timeout_seconds: From here to the last reply.
            done: Told the replies, or why there are none: TimeoutError, ConnectionResetError, or
                whatever shows that what came is no reply of Redis'. Called once, maybe at once.
            num_elements: Of a list among the replies.
        """
        self._reader.expect(num_elements)
        self._num_missing = num_replies
        self._done = done
        self._deadline = monotonic() + timeout_seconds
        if self._deadline < self._timer_due:
            self._set_timer(timeout_seconds)
        try:
            self._transport.write(commands)
        except RuntimeError as error:  # uvloop's, once it is closed
            self._fail(error)

    async def exchange(
        self,
        commands: Sequence[bytes],
        num_replies: int,
        timeout_seconds: float,
        num_elements: int = 0,
    ) -> list[Any]:
        """Do what `begin` does and wait for the replies; raises what it would tell."""
        waiter: asyncio.Future[list[Any]] = self._loop.create_future()
        done = partial(_hand_over, waiter)
        self.begin(b"".join(commands), num_replies, timeout_seconds, done, num_elements)
        return await waiter

    def data_received(self, data: bytes) -> None:
        """Take replies; what nobody waits for makes the connection unusable."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if not isinstance(reply, hiredis.PushNotification):
                    self._replies.append(reply)
                elif self._on_push is not None:
                    self._on_push(reply)
        except Exception as error:  # strangers' answers
            self._transport.abort()  # not one byte more of them
            self._fail(error)
            return
        missing = self._num_missing
        if missing and len(self._replies) >= missing:
            replies, self._replies = self._replies[:missing], self._replies[missing:]
            self._num_missing = 0
            self._end(replies)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._fail(error or ConnectionResetError("Connection closed by server."))
        if self._on_push is not None:
            self._on_push([])

    def _fail(self, error: Exception) -> None:
        self._lost = True
        self._end(error)

    def _end(self, outcome: list[Any] | Exception) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = self._deadline
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        due, self._timer_due = self._timer_due, inf
        if self._done is None:
            return
        if due < self._deadline:  # it was set for one that has ended since
            self._set_timer(max(self._deadline - monotonic(), 0.0))
        else:
            self._expire(self._deadline, TURNS_OF_GRACE)

    def _expire(self, deadline: float, turns: int) -> None:
        if self._done is None or self._deadline != deadline:
            return  # it has its replies, and what is under way now is another
        if turns:
            self._loop.call_soon(self._expire, deadline, turns - 1)
        else:
            self._end(TimeoutError())


def _hand_over(waiter: asyncio.Future[list[Any]], outcome: list[Any] | Exception) -> None:
    if waiter.done():
        return  # who waited has left
    if isinstance(outcome, Exception):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
