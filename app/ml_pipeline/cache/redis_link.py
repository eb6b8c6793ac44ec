"""One connection to Redis, and redis-py's many errors turned into one.

redis-py opens the connection, with TLS and log-in; `redis_wire` speaks on it. A connection that was
not heard out is dropped, never used again: another's answer could be under way in it.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from ml_pipeline.cache.redis_reader import BoundedParser
from ml_pipeline.cache.redis_wire import Done, RedisWire

CONNECT_SECONDS = 1.0
"""For connection, TLS and log-in. A request waits for them only after Redis has hung up on an idle
connection, and no longer than for any round trip."""

MAX_CONNECTIONS = 16
"""More than are ever opened at once: the lanes, a probe, publisher and subscriber."""

RECOGNISED_BYTES = 8
"""Of a password's beginning, so that it is seen even where it was cut."""

PROBE_NAME = b"ml_pipeline:answer:probe"
"""Looked up, and never stored, to see whether look-ups are answered."""

Kind = Literal["timeout", "connection", "refused", "replica", "misfit"]

REPLICA = (
    "it is a replica, which takes no stores: expected the address of the master, or one that "
    "follows it"
)
CLUSTER = (
    "it is a node of a Redis Cluster, whose keys lie on many: expected a single Redis, or a master "
    "with replicas"
)
SENTINEL = (
    "it is a Sentinel, which keeps no keys: expected the address of the Redis that it watches, or "
    "one that follows it"
)


class RedisFailure(Exception):
    """Redis could not be asked; the text says why and never holds the password.

    Attributes:
        kind: `timeout`, `connection`, `refused`: an error for an answer; `replica`: it may become
            a master; `misfit`: it never will.
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
    try:
        pool: ConnectionPool = ConnectionPool.from_url(
            url,
            protocol=3,
            max_connections=MAX_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_keepalive=True,
            driver_info=None,
            parser_class=BoundedParser,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError:  # its text quotes what it takes for the port, which may be a password
        raise ValueError("expected a URL, found what cannot be read as one") from None
    try:
        pool.make_connection()  # checks the options, no more
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
        self._wire: RedisWire | None = None

    async def connect(self) -> None:
        """Connect, log in, ask who it is, and look something up: it may be no Redis, or not let us.

        Raises:
            RedisFailure: Not within `CONNECT_SECONDS` each, refused, or not one to be used.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._connection = await self._pool.get_connection()
        except TimeoutError:
            raise RedisFailure("timeout", f"no connection in {CONNECT_SECONDS:g} s") from None
        except Exception as error:  # strangers' answers fail in redis-py in many ways
            raise RedisFailure("connection", scrub(str(error), self._url)) from None
        self._wire = RedisWire(self._connection)
        (told,) = await self.exchange([HELLO], 1, CONNECT_SECONDS, anew=False)
        await self._judge(told)
        look_up = pack(b"MGET", PROBE_NAME)
        (reply,) = await self.exchange([look_up], 1, CONNECT_SECONDS, anew=False)
        if reply != [None]:
            await self.drop()
            if isinstance(reply, ResponseError):
                raise self.failure(reply)
            raise RedisFailure("connection", f"MGET: {scrub(str(reply), self._url)}")

    async def greet(self) -> None:
        """Ask whether it is there, and whether it is what can be used: a master, alone.

        Raises:
            RedisFailure: Not within `CONNECT_SECONDS`, or it is another; it is dropped.
        """
        (told,) = await self.exchange([HELLO], 1, CONNECT_SECONDS)
        await self._judge(told)

    async def _judge(self, told: Any) -> None:
        failure = self.failure(told) if isinstance(told, ResponseError) else None
        told = told if isinstance(told, dict) else {}  # what is no Redis is found out by look-ups
        if told.get(b"mode") == b"cluster":
            failure = RedisFailure("misfit", CLUSTER)
        elif told.get(b"mode") == b"sentinel":
            failure = RedisFailure("misfit", SENTINEL)
        elif told.get(b"role") in (b"replica", b"slave"):
            failure = RedisFailure("replica", REPLICA)
        if failure is not None:
            await self.drop()
            raise failure

    async def exchange(
        self,
        commands: Sequence[bytes],
        num_replies: int,
        timeout_seconds: float,
        num_elements: int = 0,
        *,
        anew: bool = True,
    ) -> list[Any]:
        """Send packed commands in one write and read their replies.

        Args:
            commands: Packed.
            num_replies: As many as there are commands.
            timeout_seconds: From here to the last reply.
            num_elements: Of a list among the replies.
            anew: Whether to connect anew where Redis has hung up meanwhile.

        Returns:
            Replies in order, bytes in them; an error reply stands in its place as ResponseError.

        Raises:
            RedisFailure: Not in time, or the connection was lost; it is dropped.
        """
        try:
            if anew and not self.is_usable:
                started = monotonic()
                async with asyncio.timeout(timeout_seconds):
                    await self.drop()
                    await self.connect()
                timeout_seconds -= monotonic() - started
            if self._wire is None or not self._wire.is_usable:
                raise ConnectionResetError("Connection closed by server.")
            replies = await self._wire.exchange(
                commands, num_replies, timeout_seconds, num_elements
            )
        except Exception as error:
            await self.drop()
            raise self.failure(error) from None
        for reply in replies:
            if isinstance(reply, RedisConnectionError):  # such as LOADING: ask again later
                await self.drop()
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
        if isinstance(found, ReadOnlyError):
            return RedisFailure("replica", REPLICA)
        if isinstance(found, (MovedError, ClusterCrossSlotError, ClusterDownError)):
            return RedisFailure("misfit", CLUSTER)
        # RedisConnectionError is an answer too; uvloop's closed transport: RuntimeError.
        kind: Kind = "refused" if isinstance(found, ResponseError) else "connection"
        return RedisFailure(kind, scrub(words_of(found), self._url))

    async def drop(self) -> None:
        """Close without another word; idempotent."""
        if (connection := self._connection) is not None:
            self._connection = self._wire = None
            try:
                await connection.disconnect(nowait=True)
            finally:
                await self._pool.release(connection)


def words_of(error: Exception) -> str:
    """Give what Redis said, from its beginning: redis-py cuts the first word off."""
    code, text = getattr(error, "status_code", None), str(error)
    return text if code in (None, "ERR") or text.startswith(code) else f"{code} {text}"


def pack(*parts: bytes | int) -> bytes:
    """Write one command as Redis reads it."""
    return pack_command(parts)  # type: ignore[arg-type, no-any-return]


HELLO = pack(b"HELLO", 3)
"""Asks who is there: it needs no permission, and is answered with more than a PING."""


def scrub(text: str, url: str) -> str:
    """Take the password out of a text.

    A Redis that does not know HELLO repeats its arguments, each cut at 128 bytes: these go first,
    and of a long password its beginning is enough to cut the text there.
    """
    parsed = urlsplit(url)
    text = text.split("with args")[0]
    for secret in {parsed.password or "", unquote(parsed.password or "")} - {""}:
        text = text.replace(secret, "***")
        if len(secret) > RECOGNISED_BYTES:
            text = text.split(secret[:RECOGNISED_BYTES])[0]
    return text.splitlines()[0][:200] if text.strip() else "no reason given"
