"""What a round trip to Redis costs this process, by redis-py's client and over its connection.

CPU microseconds, the least of several timings; what redis-server spends is not in them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop
from redis.asyncio import Redis

from bench.redis_server import redis_started
from ml_pipeline.cache.redis_endpoint import RedisEndpoint, pack
from ml_pipeline.cache.redis_link import RedisLink

VALUE = b"x" * 300
LOOK_UPS, STORES = 8, 40
REPEATS = 300
TIMEOUT_SECONDS = 10.0
IMPORT = """
import time, ssl, asyncio, msgspec, psutil, ml_pipeline.build
before, started = psutil.Process().memory_info().rss, time.perf_counter()
import ml_pipeline.cache.redis, ml_pipeline.replicas.broadcast
seconds, after = time.perf_counter() - started, psutil.Process().memory_info().rss
print(f"{seconds * 1e3:.0f} ms, {(after - before) / 1e6:.0f} MB")
"""


def rows(rounds: int) -> list[tuple[str, str]]:
    """Measure everything, the least of so many rounds; what it is and what it costs."""
    with redis_started() as url:
        found = uvloop.run(_measure(url, rounds))
    loaded = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    return [*found, ("loading the Redis client", loaded.stdout.strip())]


async def _measure(url: str, rounds: int) -> list[tuple[str, str]]:
    client, link = Redis.from_url(url, protocol=3), RedisLink(RedisEndpoint(url))
    await link.connect()
    names = [b"ml_pipeline:answer:" + bytes([65 + at % LOOK_UPS]) * 64 for at in range(STORES)]
    some = names[:LOOK_UPS]
    operations: dict[str, tuple[Callable[[], Awaitable[object]], int]] = {
        f"look-up of {LOOK_UPS}, redis-py's client": (lambda: client.mget(some), 1),
        f"look-up of {LOOK_UPS}, over its connection": (
            lambda: link.exchange([pack(b"MGET", *some)], 1, TIMEOUT_SECONDS),
            1,
        ),
    }
    for keys in (some, names):
        size = len(keys)
        library = f"a store, {size} in redis-py's pipeline"
        operations[library] = partial(_pipeline, client, keys), size
        operations[f"a store, {size} over its connection"] = partial(_store, link, keys), size
    found = []
    for what, (operation, size) in operations.items():
        found.append((what, f"{await _microseconds(operation, rounds) / size:.1f} µs"))
    link.drop()
    await client.aclose()
    return found


async def _store(link: RedisLink, keys: list[bytes]) -> None:
    commands = [pack(b"SET", key, VALUE, b"EX", 3600) for key in keys]
    await link.exchange(commands, len(commands), TIMEOUT_SECONDS)


async def _pipeline(client: Redis, keys: list[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.set(key, VALUE, ex=3600)
    await pipeline.execute()


async def _microseconds(operation: Callable[[], Awaitable[object]], rounds: int) -> float:
    least = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(REPEATS):
            await operation()
        least = min(least, (time.process_time() - started) / REPEATS)
    return least * 1e6
