"""The comparison: this server with one awaited `GET` a request, as programs mostly use Redis.

Run as a process of its own, `python -m bench.awaited_get`; everything but the cache tier is the
server's. Stores are not awaited either here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from time import monotonic

import msgspec
import uvloop
from redis.asyncio import Redis

from ml_pipeline.build import create_app
from ml_pipeline.cache.base import Hit, LookupBudget
from ml_pipeline.command import listen
from ml_pipeline.settings import load_settings


class AwaitedGet:
    """A ResponseCache on redis-py as its documentation uses it: a pool, `get`, `set`."""

    waits = True

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, protocol=3)
        self._stores: set[asyncio.Task[object]] = set()

    def peek(self, key: bytes) -> Hit | None:
        """Nothing is here."""
        return None

    async def get(self, key: bytes, budget: LookupBudget) -> Hit | None:
        """Ask, and wait."""
        # In a task, as nearly everywhere: redis-py's time-outs need one.
        value = await asyncio.ensure_future(self._client.get(_name(key)))
        return Hit(value, "redis", monotonic() + 60.0) if isinstance(value, bytes) else None

    async def get_many(self, keys: Sequence[bytes], budget: LookupBudget) -> list[Hit | None]:
        """Ask for one after the other."""
        return [await self.get(key, budget) for key in keys]

    def put(self, key: bytes, value: bytes, ttl_seconds: float, budget: LookupBudget) -> None:
        """Store without waiting for it."""
        task: asyncio.Task[object] = asyncio.create_task(self._set(key, value, int(ttl_seconds)))
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)

    async def _set(self, key: bytes, value: bytes, ttl_seconds: int) -> None:
        await self._client.set(_name(key), value, ex=ttl_seconds)

    async def aclose(self) -> None:
        """Disconnect."""
        await self._client.aclose()


def _name(key: bytes) -> bytes:
    return b"awaited_get:" + key.hex().encode()


async def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(os.environ)
    alone = msgspec.structs.replace(settings, redis_url="")
    application = create_app(alone, cache=AwaitedGet(settings.redis_url))
    async with application.lifespan():
        listener = await listen(application, settings)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop)
        await listener.wait_closed()


if __name__ == "__main__":
    uvloop.run(main())
