"""One connection to Redis, and redis-py's many errors turned into one.

Uses redis-py's asyncio `Connection` directly: its `Redis.mget` costs 120 µs a round trip, the same
over the connection 50, and a `SET` in its `Pipeline` 20 µs, packed by hiredis and read from the
connection 6 (`bench/micro`). A connection that was not heard out is dropped, never used again:
another's answer could be under way in it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

CONNECT_SECONDS = 1.0
"""For connection, TLS and log-in, none of which a request waits for."""

MAX_CONNECTIONS = 16
"""More than are ever opened at once: the lanes, a probe, publisher and subscriber."""

TURNS_OF_GRACE = 4
"""Turns of the event loop after a deadline before it counts: one to read the sockets, the others to
hand on what was read. uvloop looks at its timers before its sockets, so a loop that was held up
would otherwise take an answer that has long been there for late."""

Kind = Literal["timeout", "connection", "refused"]


class RedisFailure(Exception):
    """Redis could not be asked; the text says why and never holds the password.

    Attributes:
        kind: `timeout`, `connection`, or `refused`: an error for an answer.
    """

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def open_pool(url: str) -> ConnectionPool:
    """Make the pool of all connections of this process; opens none yet.

    Nothing is retried and nothing times out in the pool: links have deadlines of their own.

    Raises:
        ValueError: The URL cannot be used; the text does not quote it.
    """
    pool: ConnectionPool = ConnectionPool.from_url(
        url,
        protocol=3,
        max_connections=MAX_CONNECTIONS,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_keepalive=True,
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # checks the options, no more
    except (TypeError, RedisError, OSError) as error:
        raise ValueError(scrub(str(error), url)) from None
    return pool


class RedisLink:
    """A connection that is used by one exchange at a time.

    Args:
        pool: Whose connection it is.
        url: Its password is kept out of errors.
    """

    def __init__(self, pool: ConnectionPool, url: str) -> None:
        self._pool = pool
        self._url = url
        self._connection: AbstractConnection | None = None

    async def connect(self) -> None:
        """Connect, log in, and hear a pong: what answers may not be a Redis.

        Raises:
            RedisFailure: Not within `CONNECT_SECONDS`, or refused.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise RedisFailure("timeout", f"no connection in {CONNECT_SECONDS:g} s") from None
        except Exception as error:  # strangers' answers fail in redis-py in many ways
            raise RedisFailure("connection", scrub(str(error), self._url)) from None
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        (reply,) = await self.exchange([pack(b"PING")], 1, deadline)
        if reply != b"PONG":
            await self.drop()
            raise RedisFailure("connection", f"PING: {scrub(str(reply), self._url)}")

    async def exchange(
        self, commands: Sequence[bytes], num_replies: int, deadline: float
    ) -> list[Any]:
        """Send packed commands in one write and read their replies.

        Args:
            commands: Packed.
            num_replies: As many as there are commands.
            deadline: The event loop's seconds.

        Returns:
            Replies in order, bytes in them; an error reply stands in its place as ResponseError.

        Raises:
            RedisFailure: Not in time, or the connection was lost; it is dropped.
        """
        connection = self._connection
        assert connection is not None
        timeout = asyncio.timeout(None)
        timer = asyncio.get_running_loop().call_at(deadline, _expire, timeout, TURNS_OF_GRACE)
        try:
            async with timeout:
                if await connection.can_read():  # closed meanwhile, or out of step
                    await connection.disconnect(nowait=True)
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(commands, check_health=False)
                return [await self._read(connection) for _ in range(num_replies)]
        except TimeoutError:
            await self.drop()
            raise RedisFailure("timeout", "no answer in time") from None
        except (RedisError, OSError) as error:
            await self.drop()
            raise RedisFailure("connection", scrub(str(error), self._url)) from None
        finally:
            timer.cancel()

    @staticmethod
    async def _read(connection: AbstractConnection) -> Any:
        try:
            return await connection.read_response(disconnect_on_error=False)
        except ResponseError as error:
            return error

    async def drop(self) -> None:
        """Close without another word; idempotent."""
        if (connection := self._connection) is not None:
            self._connection = None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


def pack(*parts: bytes | int) -> bytes:
    """Write one command as Redis reads it."""
    return pack_command(parts)  # type: ignore[arg-type, no-any-return]


def refusal(error: ResponseError, url: str) -> RedisFailure:
    """Tell an error reply as a failure."""
    return RedisFailure("refused", scrub(str(error), url))


def _expire(timeout: asyncio.Timeout, turns: int) -> None:
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(_expire, timeout, turns - 1)
        return
    try:
        timeout.reschedule(loop.time())
    except RuntimeError:  # the exchange has ended meanwhile
        pass


def scrub(text: str, url: str) -> str:
    """Take the password out of a text: an old Redis repeats a HELLO that it does not know."""
    password = urlsplit(url).password or ""
    for secret in {password, unquote(password)} - {""}:
        text = text.replace(secret, "***")
    return text.splitlines()[0][:200] if text.strip() else "no reason given"
