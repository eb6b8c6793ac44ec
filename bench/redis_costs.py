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
LOOK_UPS = 8
REPEATS, ROUNDS = 300, 7
TIMEOUT_SECONDS = 10.0
IMPORT = """
import time, ssl, asyncio, msgspec, psutil, ml_pipeline.build
before, started = psutil.Process().memory_info().rss, time.perf_counter()
import ml_pipeline.cache.redis, ml_pipeline.replicas.broadcast
seconds, after = time.perf_counter() - started, psutil.Process().memory_info().rss
print(f"{seconds * 1e3:.0f} ms, {(after - before) / 1e6:.0f} MB")
"""

Operation = Callable[[], Awaitable[object]]


def rows() -> list[tuple[str, str]]:
    """Measure everything; what it is and what it costs."""
    with redis_started() as url:
        found = uvloop.run(_measure(url))
    loaded = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    return [*found, ("loading the Redis client", loaded.stdout.strip())]


async def _measure(url: str) -> list[tuple[str, str]]:
    client, link = Redis.from_url(url, protocol=3), RedisLink(RedisEndpoint(url))
    await link.connect()
    names = [b"ml_pipeline:answer:" + bytes([65 + number]) * 64 for number in range(LOOK_UPS)]
    trip = await _microseconds(lambda: client.mget(names))
    own_trip = await _microseconds(lambda: _exchange(link, [pack(b"MGET", *names)]))
    found = [
        (f"look-up of {LOOK_UPS}, redis-py's client", f"{trip:.0f} µs"),
        (f"look-up of {LOOK_UPS}, over its connection", f"{own_trip:.0f} µs"),
    ]
    for number in (LOOK_UPS, 40):
        keys = [names[at % LOOK_UPS] for at in range(number)]
        theirs = await _microseconds(partial(_pipeline, client, keys)) / number
        own = await _microseconds(partial(_store, link, keys))
        found += [
            (f"a store, {number} in redis-py's pipeline", f"{theirs:.1f} µs"),
            (f"a store, {number} over its connection", f"{own / number:.1f} µs"),
        ]
    link.drop()
    await client.aclose()
    return found


async def _exchange(link: RedisLink, commands: list[bytes]) -> None:
    await link.exchange(commands, len(commands), TIMEOUT_SECONDS)


async def _store(link: RedisLink, keys: list[bytes]) -> None:
    await _exchange(link, [pack(b"SET", key, VALUE, b"EX", 3600) for key in keys])


async def _pipeline(client: Redis, keys: list[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.set(key, VALUE, ex=3600)
    await pipeline.execute()


async def _microseconds(operation: Operation) -> float:
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(REPEATS):
            await operation()
        least = min(least, (time.process_time() - started) / REPEATS)
    return least * 1e6
