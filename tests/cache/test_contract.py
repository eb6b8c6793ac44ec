"""What every ResponseCache promises; one more implementation is one more entry in `makers`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import pytest

from ml_pipeline.cache.base import ResponseCache
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from tests.fakes import BUDGET, ManualClock
from tests.redis_cache import RedisTier, stored
from tests.redis_server import RedisServer

KEY, OTHER = b"k" * 32, b"o" * 32
ROOM_BYTES = 1_000_000


async def memory(_: RedisServer) -> ResponseCache:
    """L1."""
    return MemoryCache(ROOM_BYTES)


async def redis(server: RedisServer) -> ResponseCache:
    """L2, connected to an empty Redis."""
    return (await RedisTier(server.url).start()).cache


async def tiered(server: RedisServer) -> ResponseCache:
    """L1 before L2."""
    return TieredCache(MemoryCache(ROOM_BYTES), await redis(server))


makers: list[Callable[[RedisServer], Awaitable[ResponseCache]]] = [memory, redis, tiered]


@pytest.fixture(params=makers, ids=lambda maker: maker.__name__)
async def cache(
    request: pytest.FixtureRequest, server: RedisServer
) -> AsyncIterator[ResponseCache]:
    """A cache with room for all that a test stores."""
    cache: ResponseCache = await request.param(server)
    yield cache
    await cache.aclose()


async def test_miss_is_none(cache: ResponseCache) -> None:
    """What was never stored is not there, and nothing is raised."""
    assert cache.peek(KEY) is None
    assert await cache.get_many([KEY], BUDGET) == [None]


async def test_value_is_found_again(cache: ResponseCache) -> None:
    """A stored value is given back byte for byte."""
    cache.put(KEY, b"\x00answer\xff", 60, BUDGET)

    assert await stored(cache, [b"\x00answer\xff"], KEY) == [b"\x00answer\xff"]


async def test_empty_value_is_a_value(cache: ResponseCache) -> None:
    """No bytes are an answer too, and not a miss."""
    cache.put(KEY, b"", 60, BUDGET)

    assert await stored(cache, [b""], KEY) == [b""]


async def test_hit_names_its_tier(cache: ResponseCache) -> None:
    """A hit says where it came from."""
    cache.put(KEY, b"answer", 60, BUDGET)
    await stored(cache, [b"answer"], KEY)

    (hit,) = await cache.get_many([KEY], BUDGET)

    assert hit is not None
    assert hit.tier in {"l1", "redis"}


async def test_peek_and_get_many_agree(cache: ResponseCache) -> None:
    """What a peek finds, get_many finds too; what is in this process, a peek finds."""
    cache.put(KEY, b"answer", 60, BUDGET)

    hit = cache.peek(KEY)
    assert (hit is not None) == isinstance(cache, MemoryCache | TieredCache)
    assert hit is None or await cache.get_many([KEY], BUDGET) == [hit]
    assert await stored(cache, [b"answer"], KEY) == [b"answer"]


async def test_get_many_keeps_the_order_of_the_keys(cache: ResponseCache) -> None:
    """There is one entry a key, in their order: misses and repeats included."""
    cache.put(KEY, b"1", 60, BUDGET)
    cache.put(OTHER, b"2", 60, BUDGET)

    expected = [b"2", None, b"1", b"2"]
    assert await stored(cache, expected, OTHER, b"x" * 32, KEY, OTHER) == expected


async def test_get_finds_what_get_many_finds(cache: ResponseCache) -> None:
    """One key looked up by itself is a hit, or a miss, as it is among others."""
    cache.put(KEY, b"1", 60, BUDGET)
    await stored(cache, [b"1"], KEY)

    found, missed = await cache.get(KEY, BUDGET), await cache.get(OTHER, BUDGET)

    assert found is not None
    assert (found.value, missed) == (b"1", None)


async def test_get_many_of_nothing_is_nothing(cache: ResponseCache) -> None:
    """No keys, no entries."""
    assert await cache.get_many([], BUDGET) == []


async def test_put_replaces(cache: ResponseCache) -> None:
    """The last value stored under a key is the one that is found."""
    cache.put(KEY, b"old", 60, BUDGET)
    cache.put(KEY, b"new", 60, BUDGET)

    assert await stored(cache, [b"new"], KEY) == [b"new"]


async def test_put_replaces_the_time_to_live(cache: ResponseCache) -> None:
    """A value that is stored again lives from then on."""
    cache.put(KEY, b"old", 1, BUDGET)
    cache.put(KEY, b"new", 600, BUDGET)
    await stored(cache, [b"new"], KEY)

    (hit,) = await cache.get_many([KEY], BUDGET)

    assert hit is not None
    assert 500 < hit.expires - monotonic() <= 600


async def test_expired_is_a_miss(cache: ResponseCache) -> None:
    """After its time to live a value is not there, however it is asked for; others are."""
    cache.put(OTHER, b"other", 600, BUDGET)
    cache.put(KEY, b"answer", 1, BUDGET)
    await stored(cache, [b"answer", b"other"], KEY, OTHER)

    left = await stored(cache, [None, b"other"], KEY, OTHER)

    assert left == [None, b"other"]
    assert cache.peek(KEY) is None


def test_expiry_is_to_the_moment() -> None:
    """A value is there until its time and not a moment longer: of the memory, whose clock moves."""
    clock = ManualClock()
    cache = MemoryCache(ROOM_BYTES, clock=clock)
    cache.put(KEY, b"old", 10, BUDGET)
    clock.advance(8)
    cache.put(KEY, b"new", 100, BUDGET)
    clock.advance(50)
    between = cache.peek(KEY)
    clock.advance(50)

    assert between is not None
    assert cache.peek(KEY) is None


async def test_keys_do_not_meet(cache: ResponseCache) -> None:
    """Keys that differ in one byte are two keys."""
    cache.put(KEY, b"1", 60, BUDGET)
    cache.put(KEY[:-1] + b"j", b"2", 60, BUDGET)

    assert await stored(cache, [b"1"], KEY) == [b"1"]


async def test_close_may_be_repeated(cache: ResponseCache) -> None:
    """A second close finds nothing to do."""
    cache.put(KEY, b"answer", 60, BUDGET)

    await cache.aclose()
    await cache.aclose()

    assert await cache.get(KEY, BUDGET) is None
