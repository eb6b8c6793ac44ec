"""Messages to all replicas over Redis pub/sub, with the last ones kept for who missed them.

Pub/sub forgets: a replica that was cut off while a message went out would never know. So a message
is also kept under each topic it is about, and a new subscription begins with those; topics that
come later are looked up within `KEEPALIVE_SECONDS`. The channel has the database's number in it,
because pub/sub has none. What is not signed as `signature.py` does it is passed over.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from time import monotonic
from typing import Any, Protocol

from redis.asyncio.client import PubSub, Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from ml_pipeline.cache.redis_link import (
    CONNECT_SECONDS,
    RedisFailure,
    RedisLink,
    pack,
    scrub,
    words_of,
)
from ml_pipeline.replicas.signature import Signature

PREFIX = "ml_pipeline"

KEEPALIVE_SECONDS = 5.0
"""Silence after which the subscription is pinged; as much again and it is made anew. A connection
whose other end is gone without a word looks like one on which nothing is said."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
"""Before subscribing again: doubles while that fails, with jitter."""


class Listener(Protocol):
    """Who is told. What it raises is a failure of the subscription."""

    def topics(self) -> Sequence[str]:
        """Whose kept messages are of interest."""
        ...

    async def on_message(self, message: bytes, kept: bool) -> None:
        """Take a message, heard or kept; its own come too."""
        ...

    async def on_listening(self) -> None:
        """Take note that messages are heard from now on."""
        ...


class Broadcast:
    """Publishes, and listens in the background. Event loop only.

    Mutable state: the topics whose kept messages the subscription has looked up.

    Args:
        pool: Connections.
        url: Where they lead, for its password not to be told.
        wait_connected: Waits until Redis can be asked.
        signature: Of what is published and kept.
        name: Of the channel, and of what is kept.
        listener: Told of messages.
        on_change: Told, once each, why nothing is heard; empty when it is again.
        kept_seconds: How long a message is kept.
        renew_seconds: After which a subscription is made anew: for messages that must be found for
            longer than a full Redis keeps what nobody asks for.

    Attributes:
        reason: Why nothing is heard just now; empty when it is.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        url: str,
        wait_connected: Callable[[], Awaitable[None]],
        signature: Signature,
        name: str,
        listener: Listener,
        on_change: Callable[[str], None],
        *,
        kept_seconds: int,
        renew_seconds: float = inf,
    ) -> None:
        self._pool = pool
        self._client: Redis = Redis(connection_pool=pool)
        self._url = url
        self._signature = signature
        self._name = f"{PREFIX}:{name}"
        self._kept_seconds = kept_seconds
        self._renew_seconds = renew_seconds
        self._channel = f"{self._name}:{pool.connection_kwargs.get('db') or 0}"
        self._wait_connected = wait_connected
        self._listener = listener
        self._on_change = on_change
        self.reason = ""
        self._asked: set[str] = set()
        self._listening: asyncio.Task[None] | None = None

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        """Send to all that listen, and keep it under each topic for those that do not just now.

        Raises:
            RedisFailure: It was not sent.
        """
        signed = self._signature.sign(self._channel, message)
        await self._exchange(
            *(
                pack(b"SET", self._key(topic), signed, b"EX", self._kept_seconds)
                for topic in topics
            ),
            pack(b"PUBLISH", self._channel.encode(), signed),
        )

    async def kept(self, topics: Sequence[str]) -> list[bytes]:
        """Give the messages that are kept under some topics, in any order.

        Raises:
            RedisFailure: They could not be asked for.
        """
        if not topics:
            return []
        look_up = pack(b"MGET", *map(self._key, topics))
        (values,) = await self._exchange(look_up, num_elements=len(topics))
        opened = map(self._opened, {value for value in values if isinstance(value, bytes)})
        return [message for message in opened if message is not None]

    def _opened(self, signed: bytes) -> bytes | None:
        return self._signature.open(self._channel, signed)

    async def _exchange(self, *commands: bytes, num_elements: int = 0) -> list[Any]:
        """Speak on a connection of its own."""
        link = RedisLink(self._pool, self._url)
        try:
            await link.connect()
            replies = await link.exchange(commands, len(commands), CONNECT_SECONDS, num_elements)
            for reply in replies:
                if isinstance(reply, ResponseError):
                    raise link.failure(reply)
            return replies
        finally:
            await link.drop()

    def _key(self, topic: str) -> bytes:
        return f"{self._name}:last:{topic}".encode()

    def start(self) -> None:
        """Begin to listen."""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            await self._wait_connected()
            subscription = self._client.pubsub()
            try:
                await self._subscribe(subscription)
                self._tell("")
                pause_seconds = FIRST_PAUSE_SECONDS
                await self._hear(subscription)
            except ResponseError as error:
                self._tell(scrub(words_of(error), self._url))
            except RedisFailure as failure:
                if failure.kind == "refused":
                    self._tell(str(failure))
            except (RedisError, OSError, RuntimeError):  # lost: the breaker's to tell
                pass
            except Exception as error:  # a stranger's message, or a fault of ours: never silent
                self._tell(f"{type(error).__name__} while listening")
            finally:
                await _close(subscription)
            await asyncio.sleep(pause_seconds * (0.5 + 0.5 * random.random()))
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _subscribe(self, subscription: PubSub) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await subscription.subscribe(self._channel)
            await subscription.get_message(timeout=CONNECT_SECONDS)  # its confirmation
        self._asked.clear()
        await self._look_up()
        await self._listener.on_listening()

    async def _look_up(self) -> None:
        """Pass on what is kept under topics that were not looked up yet."""
        topics = [topic for topic in self._listener.topics() if topic not in self._asked]
        for message in await self.kept(topics):
            await self._listener.on_message(message, True)
        self._asked.update(topics)

    async def _hear(self, subscription: PubSub) -> None:
        """Pass on messages until the connection is dead, or it is time for a new one."""
        pinged = False
        renewal = monotonic() + self._renew_seconds
        while monotonic() < renewal:
            async with asyncio.timeout(2 * KEEPALIVE_SECONDS):  # redis-py reconnects by itself
                heard: dict[str, Any] | None = await subscription.get_message(
                    timeout=KEEPALIVE_SECONDS
                )
                if heard is None:
                    if pinged:
                        return
                    await subscription.ping()
            pinged = heard is None
            if heard is not None and heard["type"] == "message":
                await self._pass_on(heard["data"])
            await self._look_up()

    async def _pass_on(self, data: Any) -> None:
        message = self._opened(data) if isinstance(data, bytes) else b""
        if message is not None:
            await self._listener.on_message(message, False)

    def _tell(self, reason: str) -> None:
        if reason != self.reason:
            self.reason = reason
            self._on_change(reason)

    async def aclose(self) -> None:
        """Stop listening; idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)


async def _close(subscription: PubSub) -> None:
    try:
        await subscription.aclose()
    except Exception:  # it is lost anyway
        pass
