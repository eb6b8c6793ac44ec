"""L1: bound in bytes, least recently used out first, expiry a little early."""

from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_pipeline.cache.memory import ENTRY_BYTES, TTL_JITTER, MemoryCache
from tests.fakes import BUDGET, ManualClock

VALUE = b"v" * 10
ONE_ENTRY = ENTRY_BYTES + len(VALUE)


def key(name: int | str) -> bytes:
    return str(name).encode().rjust(32, b".")


def held(cache: MemoryCache, names: str) -> str:
    """Those of the names that are still there; looking counts as use."""
    return "".join(name for name in names if cache.peek(key(name)) is not None)


def filled(names: str, *, room_for: int) -> MemoryCache:
    cache = MemoryCache(room_for * ONE_ENTRY)
    for name in names:
        cache.put(key(name), VALUE, 60, BUDGET)
    return cache


def test_least_recently_stored_goes_first() -> None:
    """Without any look-up the oldest entry makes room."""
    assert held(filled("abcd", room_for=3), "abcd") == "bcd"


def test_use_keeps_an_entry() -> None:
    """An entry that was looked up goes after one that was not."""
    cache = filled("abc", room_for=3)

    cache.peek(key("a"))
    cache.put(key("d"), VALUE, 60, BUDGET)

    assert held(cache, "abcd") == "acd"


async def test_get_many_is_use() -> None:
    """Entries that were fetched together are kept too."""
    cache = filled("abc", room_for=3)

    await cache.get_many([key("a"), key("b")], BUDGET)
    cache.put(key("d"), VALUE, 60, BUDGET)

    assert held(cache, "abcd") == "abd"


def test_storing_again_is_use() -> None:
    """A replaced entry is the newest."""
    cache = filled("abc", room_for=3)

    cache.put(key("a"), VALUE, 60, BUDGET)
    cache.put(key("d"), VALUE, 60, BUDGET)

    assert held(cache, "abcd") == "acd"


def test_large_value_puts_out_as_many_as_it_needs() -> None:
    """Entries go one by one until the new value has room."""
    cache = filled("abcd", room_for=4)

    cache.put(key("e"), b"v" * (len(VALUE) + ONE_ENTRY), 60, BUDGET)

    assert held(cache, "abcde") == "cde"


def test_replacing_takes_no_second_room() -> None:
    """The old value's bytes are free again before the new one is weighed."""
    cache = filled("abc", room_for=3)

    cache.put(key("b"), VALUE, 60, BUDGET)

    assert held(cache, "abc") == "abc"
    assert cache.statistics().num_evicted == 0


def test_value_over_the_bound_is_not_stored() -> None:
    """A value that could never fit puts nothing else out."""
    cache = filled("ab", room_for=2)

    cache.put(key("c"), b"v" * 2 * ONE_ENTRY, 60, BUDGET)

    assert held(cache, "abc") == "ab"


def test_value_over_the_bound_still_ends_the_old_one() -> None:
    """After a put that is not kept, the value before it is not found either: it is out of date."""
    cache = filled("ab", room_for=2)

    cache.put(key("a"), b"v" * 2 * ONE_ENTRY, 60, BUDGET)

    assert held(cache, "ab") == "b"


def test_bound_of_zero_stores_nothing() -> None:
    """With max_bytes 0 there is no cache: even an empty value is not kept."""
    cache = MemoryCache(0)

    cache.put(key("a"), b"", 60, BUDGET)

    assert cache.peek(key("a")) is None
    assert cache.statistics() == (0, 0, 0)


def test_bound_may_be_filled_to_the_last_byte() -> None:
    """Entries of exactly max_bytes are kept."""
    cache = filled("abc", room_for=3)

    assert cache.statistics().num_bytes == 3 * ONE_ENTRY
    assert held(cache, "abc") == "abc"


def test_statistics_count_entries_bytes_and_evictions() -> None:
    """Each counts what it says; expired entries are not evicted ones."""
    clock = ManualClock()
    cache = MemoryCache(2 * ONE_ENTRY, clock=clock)
    for name in "abc":
        cache.put(key(name), VALUE, 60, BUDGET)

    assert cache.statistics() == (2, 2 * ONE_ENTRY, 1)
    clock.advance(60)
    assert held(cache, "bc") == ""
    assert cache.statistics() == (0, 0, 1)


def test_repr_shows_what_is_held() -> None:
    """A cache prints its entries, its bytes and its bound."""
    cache = filled("ab", room_for=3)

    expected = f"<MemoryCache [2 entries, {2 * ONE_ENTRY}/{3 * ONE_ENTRY} bytes]>"
    assert repr(cache) == expected


def test_hit_comes_from_l1() -> None:
    """The tier of a hit is `l1`."""
    hit = filled("a", room_for=1).peek(key("a"))

    assert hit is not None
    assert (hit.value, hit.tier) == (VALUE, "l1")


def many(clock: ManualClock) -> MemoryCache:
    """A cache of 300 entries that were all asked to live 100 s."""
    cache = MemoryCache(1_000_000, clock=clock)
    for number in range(300):
        cache.put(key(number), VALUE, 100, BUDGET)
    return cache


def living(cache: MemoryCache) -> int:
    return sum(cache.peek(key(number)) is not None for number in range(300))


def test_nothing_lives_longer_than_asked() -> None:
    """At the end of its time to live every entry is gone."""
    clock = ManualClock()
    cache = many(clock)

    clock.advance(100)

    assert living(cache) == 0


def test_nothing_goes_earlier_than_the_jitter() -> None:
    """Until a tenth before its end every entry is there."""
    clock = ManualClock()
    cache = many(clock)

    clock.advance(100 * (1 - TTL_JITTER) - 0.001)

    assert TTL_JITTER == 0.1
    assert living(cache) == 300


def test_what_came_together_does_not_go_together() -> None:
    """Within the last tenth some entries are gone and some are not."""
    clock = ManualClock()
    cache = many(clock)

    clock.advance(95)

    assert 0 < living(cache) < 300


@pytest.mark.parametrize("ttl_seconds", [0, -1])
def test_no_time_to_live_is_a_miss(ttl_seconds: float) -> None:
    """A value for no time is never found."""
    cache = MemoryCache(1_000_000, clock=ManualClock())

    cache.put(key("a"), VALUE, ttl_seconds, BUDGET)

    assert cache.peek(key("a")) is None


def test_expired_entry_frees_its_bytes() -> None:
    """An entry that is found expired is dropped."""
    clock = ManualClock()
    cache = MemoryCache(1_000_000, clock=clock)
    cache.put(key("a"), VALUE, 1, BUDGET)
    clock.advance(1)

    cache.peek(key("a"))

    assert cache.statistics() == (0, 0, 0)


def test_real_clock_is_the_default() -> None:
    """Without a clock of its own the cache goes by seconds that only grow."""
    cache = MemoryCache(1_000_000)
    started = monotonic()

    cache.put(key("a"), VALUE, 3600, BUDGET)

    assert monotonic() - started < 3600 * (1 - TTL_JITTER)
    assert cache.peek(key("a")) is not None


async def test_closed_cache_holds_nothing() -> None:
    """Closing forgets every entry."""
    cache = filled("abc", room_for=3)

    await cache.aclose()

    assert held(cache, "abc") == ""
    assert cache.statistics() == (0, 0, 0)


puts = st.tuples(
    st.just("put"), st.integers(0, 5), st.binary(max_size=1000), st.sampled_from([0, 1, 10, 100])
)
peeks = st.tuples(st.just("peek"), st.integers(0, 5), st.just(b""), st.just(0))
waits = st.tuples(st.just("wait"), st.just(0), st.just(b""), st.sampled_from([0.5, 5, 50]))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4000), st.lists(puts | peeks | waits, max_size=40))
def test_bound_and_truth_hold_in_any_order_of_use(
    max_bytes: int, steps: list[tuple[str, int, bytes, float]]
) -> None:
    """The bound is never exceeded, and a hit is the last value stored, within its time."""
    clock = ManualClock()
    cache = MemoryCache(max_bytes, clock=clock)
    stored: dict[int, tuple[bytes, float]] = {}

    for action, name, value, seconds in steps:
        if action == "put":
            cache.put(key(name), value, seconds, BUDGET)
            stored[name] = value, clock() + seconds
        elif action == "wait":
            clock.advance(seconds)
        elif (hit := cache.peek(key(name))) is not None:
            last, expires = stored[name]
            assert hit.value == last
            assert clock() < expires

        statistics = cache.statistics()
        assert 0 <= statistics.num_bytes <= max_bytes
        assert statistics.num_entries * ENTRY_BYTES <= statistics.num_bytes
