"""The Redis tier joined to a real server, what it told, and what the server was asked."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import redis

from ml_pipeline.cache.base import LookupBudget, ResponseCache
from ml_pipeline.cache.redis import RedisCache
from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.cache.redis_errors import RedisFailure
from tests.fakes import BUDGET

PATIENT_SECONDS = 10.0
"""A bound that only what hangs will meet, however busy the machine."""


SLACK_SECONDS = 2.0
"""For a busy machine; what hangs takes longer."""


def named(number: int) -> bytes:
    """Make a key, 32 bytes as a digest has."""
    return number.to_bytes(4, "big") * 8


def impatient(max_wait_seconds: float) -> LookupBudget:
    """Make the budget of a look-up that soon is of no use."""
    return msgspec.structs.replace(BUDGET, max_wait_seconds=max_wait_seconds)


class RedisTier:
    """A RedisCache and all that it told.

    Attributes:
        cache: Made, not started.
        changes: Whether Redis was found or lost, and the reason, in order.
        round_trips: Operation of each.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = PATIENT_SECONDS,
        always: bool = True,
        on_round_trip: Callable[[str, float], None] | None = None,
    ) -> None:
        self.changes: list[tuple[bool, str]] = []
        self.round_trips: list[str] = []
        self.cache = RedisCache(
            RedisEndpoint(url),
            timeout_seconds=timeout_seconds,
            on_change=lambda found, reason: self.changes.append((found, reason)),
            on_round_trip=on_round_trip or (lambda name, _: self.round_trips.append(name)),
            always=always,
        )

    @property
    def num_keys(self) -> dict[str, int]:
        """Keys looked up, by result."""
        return dict(self.cache.redis_statistics().num_keys)

    @property
    def num_failures(self) -> dict[str, int]:
        """Failures, by kind."""
        return dict(self.cache.redis_statistics().num_failures)

    @property
    def num_dropped(self) -> int:
        """Stores that were not made."""
        return self.cache.redis_statistics().num_dropped

    @property
    def waiting(self) -> tuple[int, int]:
        """Stores that wait, and the bytes of all that did not arrive yet."""
        found = re.search(r"(\d+) stores, (\d+) bytes waiting", repr(self.cache))
        assert found is not None
        return int(found[1]), int(found[2])

    async def start(self) -> "RedisTier":
        """Start, and wait until look-ups are possible and the lane of the stores has connected."""
        await self.cache.start()
        await until(lambda: self.cache.waits)
        return self


async def until(happened: Callable[[], object], timeout_seconds: float = PATIENT_SECONDS) -> None:
    """Look again and again until something has happened; TimeoutError if it never does."""
    give_up = time.monotonic() + timeout_seconds
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {timeout_seconds} s")
        await asyncio.sleep(0.005)


async def look(cache: ResponseCache, *keys: bytes) -> list[bytes | None]:
    """Value of each key, wherever it is kept."""
    return [None if hit is None else hit.value for hit in await cache.get_many(keys, BUDGET)]


async def stored(
    cache: ResponseCache,
    expected: list[bytes | None],
    *keys: bytes,
    timeout_seconds: float = PATIENT_SECONDS,
) -> list[bytes | None]:
    """Look until the values are as expected, or for long, and give what was read last.

    Stores go out behind the answers, so a look-up may be ahead of them.
    """
    give_up = time.monotonic() + timeout_seconds
    while True:
        values = await look(cache, *keys)
        if values == expected or time.monotonic() > give_up:
            return values
        await asyncio.sleep(0.005)


async def failure(awaitable: Awaitable[object]) -> RedisFailure:
    """Await what must fail, and in time."""
    with pytest.raises(RedisFailure) as caught:
        await asyncio.wait_for(awaitable, PATIENT_SECONDS)
    return caught.value


async def kept(tier: RedisTier, *keys: bytes) -> None:
    """Store each key as its own value, and see it there."""
    for _ in range(10):  # a store may meet a connection that was lost, and be dropped
        for key in keys:
            tier.cache.put(key, key, 600, BUDGET)
        if await stored(tier.cache, list(keys), *keys, timeout_seconds=1.0) == list(keys):
            return
    raise AssertionError("what was stored is not found")


async def lost(tier: RedisTier) -> int:
    """Look up until nobody waits any more; gives how many look-ups that took."""
    for number in range(100):
        if not tier.cache.waits:
            return number
        assert await look(tier.cache, named(0)) == [None]
    raise AssertionError("it is still waited for")


def num_calls(client: "redis.Redis", command: str) -> int:
    """How often the server was given a command since its statistics were last reset."""
    commands: dict[str, Any] = client.info("commandstats")
    return int(commands.get(f"cmdstat_{command}", {}).get("calls", 0))
