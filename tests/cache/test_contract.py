"""What every ResponseCache promises; one more implementation is one more entry in `makers`."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from app.cache.base import ResponseCache
from app.cache.memory import MemoryCache
from tests.fakes import TERMS, ManualClock

KEY, OTHER = b"k" * 32, b"o" * 32

makers: dict[str, Callable[[ManualClock], ResponseCache]] = {
    "memory": lambda clock: MemoryCache(1_000_000, clock=clock),
}


class Made(NamedTuple):
    """A cache with room for all that a test stores, and its clock."""

    cache: ResponseCache
    clock: ManualClock


@pytest.fixture(params=makers.values(), ids=list(makers))
def made(request: pytest.FixtureRequest) -> Made:
    clock = ManualClock()
    return Made(request.param(clock), clock)


async def look(cache: ResponseCache, *keys: bytes) -> list[bytes | None]:
    """Value of each key, wherever it is kept."""
    return [None if hit is None else hit.value for hit in await cache.get_many(keys, TERMS)]


async def test_miss_is_none(made: Made) -> None:
    """What was never stored is not there, and nothing is raised."""
    assert made.cache.peek(KEY) is None
    assert await made.cache.get_many([KEY], TERMS) == [None]


async def test_value_is_found_again(made: Made) -> None:
    """A stored value is given back byte for byte."""
    made.cache.put(KEY, b"\x00answer\xff", 60, TERMS)

    assert await look(made.cache, KEY) == [b"\x00answer\xff"]


async def test_empty_value_is_a_value(made: Made) -> None:
    """No bytes are an answer too, and not a miss."""
    made.cache.put(KEY, b"", 60, TERMS)

    assert await look(made.cache, KEY) == [b""]


async def test_hit_names_its_tier(made: Made) -> None:
    """A hit says where it came from."""
    made.cache.put(KEY, b"answer", 60, TERMS)

    (hit,) = await made.cache.get_many([KEY], TERMS)

    assert hit is not None
    assert hit.tier in {"l1", "redis"}


async def test_peek_and_get_many_agree_in_process(made: Made) -> None:
    """What a peek finds, get_many finds too."""
    made.cache.put(KEY, b"answer", 60, TERMS)

    if (hit := made.cache.peek(KEY)) is not None:
        assert await made.cache.get_many([KEY], TERMS) == [hit]
    assert await look(made.cache, KEY) == [b"answer"]


async def test_get_many_keeps_the_order_of_the_keys(made: Made) -> None:
    """There is one entry a key, in their order: misses and repeats included."""
    made.cache.put(KEY, b"1", 60, TERMS)
    made.cache.put(OTHER, b"2", 60, TERMS)

    assert await look(made.cache, OTHER, b"x" * 32, KEY, OTHER) == [b"2", None, b"1", b"2"]


async def test_get_many_of_nothing_is_nothing(made: Made) -> None:
    """No keys, no entries."""
    assert await made.cache.get_many([], TERMS) == []


async def test_put_replaces(made: Made) -> None:
    """The last value stored under a key is the one that is found."""
    made.cache.put(KEY, b"old", 60, TERMS)
    made.cache.put(KEY, b"new", 60, TERMS)

    assert await look(made.cache, KEY) == [b"new"]


async def test_put_replaces_the_time_to_live(made: Made) -> None:
    """A value that is stored again lives from then on."""
    made.cache.put(KEY, b"old", 10, TERMS)
    made.clock.advance(8)
    made.cache.put(KEY, b"new", 100, TERMS)
    made.clock.advance(50)

    assert await look(made.cache, KEY) == [b"new"]


async def test_expired_is_a_miss(made: Made) -> None:
    """After its time to live a value is not there, however it is asked for."""
    made.cache.put(KEY, b"answer", 60, TERMS)
    made.cache.put(OTHER, b"answer", 600, TERMS)

    made.clock.advance(60)

    assert made.cache.peek(KEY) is None
    assert await look(made.cache, KEY, OTHER) == [None, b"answer"]


async def test_keys_do_not_meet(made: Made) -> None:
    """Keys that differ in one byte are two keys."""
    made.cache.put(KEY, b"1", 60, TERMS)
    made.cache.put(KEY[:-1] + b"j", b"2", 60, TERMS)

    assert await look(made.cache, KEY) == [b"1"]


async def test_statistics_start_at_nothing(made: Made) -> None:
    """An empty cache holds no entries and no bytes, and has evicted none."""
    assert made.cache.statistics() == (0, 0, 0)


async def test_close_may_be_repeated(made: Made) -> None:
    """A second close finds nothing to do."""
    made.cache.put(KEY, b"answer", 60, TERMS)

    await made.cache.aclose()
    await made.cache.aclose()

    assert made.cache.statistics().num_bytes == 0
