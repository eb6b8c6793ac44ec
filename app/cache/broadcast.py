"""Messages to all replicas over Redis pub/sub, with the last one kept for who missed it.

Pub/sub forgets: a replica that was cut off while a message went out would never know. So a message
is also stored for `KEPT_SECONDS`, and each new subscription begins with it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.client import PubSub, Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError

from app.cache.redis_link import CONNECT_SECONDS, RedisFailure, scrub

CHANNEL, LAST_KEY = "ml_pipeline:reload", "ml_pipeline:reload:last"
KEPT_SECONDS = 3600

KEEPALIVE_SECONDS = 5.0
"""Silence after which the subscription is pinged; as much again and it is made anew. A connection
whose other end is gone without a word looks like one on which nothing is said."""

PAUSE_SECONDS = 0.2
"""Before subscribing again, and as much again at random."""

OnMessage = Callable[[bytes, bool], Awaitable[None]]


class Broadcast:
    """Publishes, and listens in the background. Event loop only.

    Args:
        pool: Connections.
        url: Where they lead, for its password not to be told.
        wait_connected: Waits until Redis can be asked.
        on_message: Called with each message, and whether it was kept rather than heard; its own
            too. Must not raise.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        url: str,
        wait_connected: Callable[[], Awaitable[None]],
        on_message: OnMessage,
    ) -> None:
        self._client: Redis = Redis(connection_pool=pool)
        self._url = url
        self._wait_connected = wait_connected
        self._on_message = on_message
        self._listening: asyncio.Task[None] | None = None

    async def publish(self, message: bytes, *, keep: bool) -> None:
        """Send to all that listen, and keep it for those that do not just now.

        Raises:
            RedisFailure: It was not sent.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if keep:
                    await self._client.set(LAST_KEY, message, ex=KEPT_SECONDS)
                await self._client.publish(CHANNEL, message)
        except TimeoutError:
            raise RedisFailure("timeout", f"no answer in {CONNECT_SECONDS:g} s") from None
        except (RedisError, OSError) as error:
            raise RedisFailure("connection", scrub(str(error), self._url)) from None

    def start(self) -> None:
        """Begin to listen."""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            await self._wait_connected()
            subscription = self._client.pubsub(ignore_subscribe_messages=True)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await subscription.subscribe(CHANNEL)
                    kept = await self._client.get(LAST_KEY)
                if isinstance(kept, bytes):
                    await self._on_message(kept, True)
                await self._hear(subscription)
            except (RedisError, OSError):  # TimeoutError is an OSError
                pass
            finally:
                await subscription.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(PAUSE_SECONDS * (1.0 + random.random()))

    async def _hear(self, subscription: PubSub) -> None:
        """Pass on messages until the connection is dead."""
        pinged = False
        while True:
            heard: dict[str, Any] | None = await subscription.get_message(timeout=KEEPALIVE_SECONDS)
            if heard is not None:
                pinged = False
                if heard["type"] == "message":
                    await self._on_message(heard["data"], False)
            elif pinged:
                return
            else:
                await subscription.ping()
                pinged = True

    async def aclose(self) -> None:
        """Stop listening; idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
