"""One connection to Redis, used by one exchange at a time.

`redis_endpoint` opens it, `redis_wire` speaks on it. A connection that was not heard out is
dropped, never used again: another's answer could be under way in it.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any

from ml_pipeline.cache.redis_endpoint import CONNECT_SECONDS, RedisEndpoint, pack
from ml_pipeline.cache.redis_errors import CLUSTER, REPLICA, SENTINEL, RedisFailure, RefusedReply
from ml_pipeline.cache.redis_wire import Done, OnPush, RedisWire

PROBE_NAME = b"ml_pipeline:answer:probe"
"""Looked up, and never stored, to see whether look-ups are answered."""


class RedisLink:
    """A connection that is used by one exchange at a time.

    Args:
        endpoint: What it is connected to.
        on_push: Told what Redis says unasked; None where nothing is subscribed to.
    """

    def __init__(self, endpoint: RedisEndpoint, on_push: OnPush | None = None) -> None:
        self._endpoint = endpoint
        self._scrub = endpoint.scrub
        self._make_wire = partial(RedisWire, on_push)
        self._wire: RedisWire | None = None

    async def connect(self) -> None:
        """Connect, log in, ask who it is, and look something up: it may be no Redis, or not let us.

        Raises:
            RedisFailure: Not within `CONNECT_SECONDS` each, refused, or not one to be used.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._wire = await self._endpoint.open(self._make_wire)
        except TimeoutError:
            raise RedisFailure("timeout", f"no connection in {CONNECT_SECONDS:g} s") from None
        except Exception as error:  # TLS and addresses fail in many ways
            raise RedisFailure("connection", self._scrub(str(error))) from None
        await self._log_in()
        (reply,) = await self.converse([pack(b"MGET", PROBE_NAME)], 1, CONNECT_SECONDS)
        if reply != [None]:
            self.drop()
            if isinstance(reply, RefusedReply):
                raise self.failure(reply)
            raise RedisFailure("connection", f"MGET: {self._scrub(str(reply))}")

    async def _log_in(self) -> None:
        commands = self._endpoint.login
        told, *others = await self.converse(commands, len(commands), CONNECT_SECONDS)
        if isinstance(told, dict):  # what is no Redis is found out by look-ups
            await self._judge(told)
        for reply in (told, *others):
            if isinstance(reply, RefusedReply):
                self.drop()
                raise RedisFailure("connection", self._scrub(reply.reason))

    async def greet(self) -> None:
        """Ask whether it is there, and whether it is what can be used: a master, alone.

        Raises:
            RedisFailure: Not within `CONNECT_SECONDS`, or it is another; it is dropped.
        """
        (told,) = await self.exchange([HELLO], 1, CONNECT_SECONDS)
        await self._judge(told)

    async def _judge(self, told: Any) -> None:
        failure = self.failure(told) if isinstance(told, RefusedReply) else None
        told = told if isinstance(told, dict) else {}
        if told.get(b"mode") == b"cluster":
            failure = RedisFailure("misfit", CLUSTER)
        elif told.get(b"mode") == b"sentinel":
            failure = RedisFailure("misfit", SENTINEL)
        elif told.get(b"role") in (b"replica", b"slave"):
            failure = RedisFailure("replica", REPLICA)
        if failure is not None:
            self.drop()
            raise failure

    async def exchange(
        self,
        commands: Sequence[bytes],
        num_replies: int,
        timeout_seconds: float,
        num_elements: int = 0,
    ) -> list[Any]:
        """Send packed commands in one write and read their replies.

        Args:
            commands: Packed.
            num_replies: As many as there are commands.
            timeout_seconds: From here to the last reply.
            num_elements: Of a list among the replies.

        Returns:
            Replies in order, bytes in them; an error stands in its place as RefusedReply.

        Raises:
            RedisFailure: Not in time, or the connection was lost; it is dropped.
        """
        try:
            if not self.is_usable:  # Redis has hung up meanwhile
                started = monotonic()
                async with asyncio.timeout(timeout_seconds):
                    self.drop()
                    await self.connect()
                timeout_seconds -= monotonic() - started
        except Exception as error:
            self.drop()
            raise self.failure(error) from None
        return await self.converse(commands, num_replies, timeout_seconds, num_elements)

    async def converse(
        self,
        commands: Sequence[bytes],
        num_replies: int,
        timeout_seconds: float,
        num_elements: int = 0,
    ) -> list[Any]:
        """Do what `exchange` does, on the connection that is there: its subscriptions go with it.

        Raises:
            RedisFailure: Not in time, or the connection is lost; it is dropped.
        """
        try:
            if self._wire is None or not self._wire.is_usable:
                raise ConnectionResetError("Connection closed by server.")
            replies = await self._wire.exchange(
                commands, num_replies, timeout_seconds, num_elements
            )
        except Exception as error:
            self.drop()
            raise self.failure(error) from None
        for reply in replies:
            if isinstance(reply, RefusedReply) and reply.kind == "connection":  # such as LOADING
                self.drop()
                raise self.failure(reply)
        return replies

    @property
    def is_usable(self) -> bool:
        """Whether it is connected, as far as is known, and every word on it has been heard."""
        return self._wire is not None and self._wire.is_usable

    def begin(self, command: bytes, timeout_seconds: float, done: Done, num_elements: int) -> None:
        """Send a packed command, without a task to wait for its reply; only while it `is_usable`.

        Args:
            command: Packed.
            timeout_seconds: From here to the reply.
            done: Told the one reply in a list, or what `failure` takes. The connection is left to
                the caller to drop.
            num_elements: Of the list that the reply is.
        """
        assert self._wire is not None  # it is usable
        self._wire.begin(command, 1, timeout_seconds, done, num_elements)

    def failure(self, found: object) -> RedisFailure:
        """Tell as a failure what went wrong, or a reply that is not the one expected."""
        if isinstance(found, RedisFailure):
            return found
        if isinstance(found, TimeoutError):
            return RedisFailure("timeout", "no answer in time")
        if not isinstance(found, Exception):
            return RedisFailure("connection", "the answer does not fit the question")
        if isinstance(found, RefusedReply):
            return RedisFailure(found.kind, self._scrub(found.reason))
        return RedisFailure("connection", self._scrub(str(found)))

    def drop(self) -> None:
        """Close without another word; idempotent."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


HELLO = pack(b"HELLO", 3)
"""Asks who is there: it needs no permission, and is answered with more than a PING."""
