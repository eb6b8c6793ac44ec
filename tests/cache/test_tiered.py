"""L1, then L2: what is near is not asked for far; what is far comes near for the time left."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest

from ml_pipeline.cache.base import Hit, LookupBudget
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from tests.fakes import BUDGET
from tests.redis_cache import RedisTier, kept, look, lost, named, num_calls, until
from tests.redis_server import RedisServer

KEY, OTHER, THIRD = named(1), named(2), named(3)


class FarTier:
    """A tier in a dict, which can be asked or not.

    Attributes:
        waits: As a test says.
        asked: Keys of each look-up.
        budgets: Of each look-up and store.
        ttls: Of each store, in seconds.
        num_closed: How often it was closed.
        hits: What it holds.
    """

    def __init__(self) -> None:
        self.waits = True
        self.asked: list[list[bytes]] = []
        self.budgets: list[LookupBudget] = []
        self.ttls: list[float] = []
        self.num_closed = 0
        self.hits: dict[bytes, Hit] = {}

    def hold(self, key: bytes, value: bytes, seconds: float = 60.0) -> None:
        """Have a value that expires in so many seconds."""
        self.hits[key] = Hit(value, "redis", monotonic() + seconds)

    def peek(self, key: bytes) -> Hit | None:
        raise AssertionError("a far tier costs a wait")

    async def get(self, key: bytes, budget: LookupBudget) -> Hit | None:
        (hit,) = await self.get_many([key], budget)
        return hit

    async def get_many(self, keys: Sequence[bytes], budget: LookupBudget) -> list[Hit | None]:
        self.asked.append(list(keys))
        self.budgets.append(budget)
        await asyncio.sleep(0)
        return [self.hits.get(key) for key in keys]

    def put(self, key: bytes, value: bytes, ttl_seconds: float, budget: LookupBudget) -> None:
        self.hold(key, value, ttl_seconds)
        self.ttls.append(ttl_seconds)
        self.budgets.append(budget)

    async def aclose(self) -> None:
        self.num_closed += 1


@pytest.fixture
def near() -> MemoryCache:
    """Room for all that a test stores."""
    return MemoryCache(1_000_000)


@pytest.fixture
def far() -> FarTier:
    """Empty, and can be asked."""
    return FarTier()


@pytest.fixture
def tiered(near: MemoryCache, far: FarTier) -> TieredCache:
    """Both as one."""
    return TieredCache(near, far)


async def test_what_is_near_is_not_asked_for_far(
    tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """A look-up of what this process has makes no round trip."""
    near.put(KEY, b"near", 60, BUDGET)
    far.hold(KEY, b"far")

    assert await look(tiered, KEY) == [b"near"]
    assert far.asked == []


async def test_only_what_is_missing_is_asked_for_in_one_go(
    tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """Of many keys the far tier gets those that are not near; each answer finds its place."""
    near.put(OTHER, b"2", 60, BUDGET)
    far.hold(THIRD, b"3")
    far.hold(KEY, b"1")

    values = await look(tiered, THIRD, OTHER, named(4), KEY)

    assert values == [b"3", b"2", None, b"1"]
    assert far.asked == [[THIRD, named(4), KEY]]


async def test_budgets_are_handed_on(tiered: TieredCache, far: FarTier) -> None:
    """The far tier knows what a look-up and a store are for."""
    await look(tiered, KEY)
    tiered.put(KEY, b"answer", 60, BUDGET)

    assert far.budgets == [BUDGET, BUDGET]


async def test_hit_tells_where_it_was_found(tiered: TieredCache, far: FarTier) -> None:
    """The first time an answer is the far tier's, then it is near, and a peek finds it."""
    far.hold(KEY, b"answer")

    before = tiered.peek(KEY)
    (first,) = await tiered.get_many([KEY], BUDGET)
    (second,) = await tiered.get_many([KEY], BUDGET)
    after = tiered.peek(KEY)

    assert before is None
    assert first is not None
    assert second is not None
    assert after is not None
    assert [first.tier, second.tier, after.tier] == ["redis", "l1", "l1"]
    assert far.asked == [[KEY]]


async def test_what_comes_near_expires_no_later_than_far(
    tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """The near copy lives for the time that is left, not for a new one."""
    far.hold(KEY, b"answer", 100.0)

    await look(tiered, KEY)

    hit = near.peek(KEY)
    assert hit is not None
    assert far.hits[KEY].expires - 12 < hit.expires <= far.hits[KEY].expires


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_what_has_no_time_left_does_not_come_near(
    seconds: float, tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """A hit in its last moment takes no room."""
    far.hold(KEY, b"answer", seconds)

    await look(tiered, KEY)

    assert near.statistics() == (0, 0, 0)


async def test_misses_leave_nothing_near(
    tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """What is nowhere is asked for again the next time: another replica may have stored it."""
    await look(tiered, KEY)
    far.hold(KEY, b"answer")

    assert near.statistics().num_entries == 0
    assert await look(tiered, KEY) == [b"answer"]


async def test_put_goes_to_both(tiered: TieredCache, near: MemoryCache, far: FarTier) -> None:
    """An answer is stored in either tier, with its whole time to live."""
    tiered.put(KEY, b"answer", 60, BUDGET)

    assert await look(near, KEY) == await look(far, KEY) == [b"answer"]
    assert far.ttls == [60]


async def test_far_tier_that_cannot_be_asked_is_left_alone(
    tiered: TieredCache, near: MemoryCache, far: FarTier
) -> None:
    """While it is away the near tier answers alone, and nobody waits."""
    near.put(KEY, b"answer", 60, BUDGET)
    far.waits = False

    asking = tiered.get_many([KEY, OTHER], BUDGET)
    with pytest.raises(StopIteration) as ended:
        asking.send(None)

    assert [hit and hit.value for hit in ended.value.value] == [b"answer", None]
    assert far.asked == []


async def test_waits_as_the_far_tier_does(tiered: TieredCache, far: FarTier) -> None:
    """A look-up may have to wait exactly while the far tier can be asked."""
    before = tiered.waits
    far.waits = False

    assert (before, tiered.waits) == (True, False)


async def test_peek_does_not_look_far(tiered: TieredCache, far: FarTier) -> None:
    """A peek costs no wait."""
    far.hold(KEY, b"answer")

    assert tiered.peek(KEY) is None


async def test_close_closes_both(tiered: TieredCache, near: MemoryCache, far: FarTier) -> None:
    """Both tiers are let go."""
    tiered.put(KEY, b"answer", 60, BUDGET)

    await tiered.aclose()

    assert far.num_closed == 1
    assert near.statistics().num_entries == 0


# Over a real Redis.


async def test_answer_of_one_replica_is_found_by_another(server: RedisServer, client: Any) -> None:
    """Two replicas share what one has computed; the second looks far once."""
    tiers = [await RedisTier(server.url).start() for _ in range(2)]
    replicas = [TieredCache(MemoryCache(1_000_000), tier.cache) for tier in tiers]
    replicas[0].put(KEY, b"answer", 60, BUDGET)
    await until(lambda: client.dbsize() == 1)
    await until(lambda: num_calls(client, "mget") == 10)  # all lanes have connected
    client.config_resetstat()

    found = [await look(replicas[1], KEY) for _ in range(3)]
    for replica in replicas:
        await replica.aclose()

    assert found == [[b"answer"]] * 3
    assert num_calls(client, "mget") == 1


async def test_without_redis_the_near_tier_goes_on(near: MemoryCache) -> None:
    """When Redis is killed, what is near is found and what is new is kept near."""
    with RedisServer() as server:
        tier = await RedisTier(server.url).start()
        tiered = TieredCache(near, tier.cache)
        await kept(tier, KEY)
        first = await look(tiered, KEY)
        server.kill()
        await lost(tier)
        tiered.put(OTHER, b"new", 60, BUDGET)

        assert first == [KEY]
        assert not tiered.waits
        assert await look(tiered, KEY, OTHER, THIRD) == [KEY, b"new", None]
        await tiered.aclose()


# One key.


async def test_one_key_is_asked_near_first(near: MemoryCache, far: FarTier) -> None:
    """What is near is not asked far."""
    near.put(KEY, b"near", 60, BUDGET)
    far.hold(KEY, b"far")

    hit = await TieredCache(near, far).get(KEY, BUDGET)

    assert hit is not None
    assert (hit.value, far.asked) == (b"near", [])


async def test_one_far_hit_is_near_from_then_on(near: MemoryCache, far: FarTier) -> None:
    """What was found far is found near the next time, and not asked for again."""
    far.hold(KEY, b"far")
    tiered = TieredCache(near, far)

    first = await tiered.get(KEY, BUDGET)
    second = tiered.peek(KEY)

    assert first is not None
    assert second is not None
    assert (first.tier, second.tier, second.value) == ("redis", "l1", b"far")


async def test_one_expired_far_hit_is_not_kept_near(near: MemoryCache, far: FarTier) -> None:
    """A value that Redis still had, and whose time is over by its own word, stays where it is."""
    far.hold(KEY, b"far", seconds=-1.0)

    await TieredCache(near, far).get(KEY, BUDGET)

    assert near.statistics().num_entries == 0


async def test_one_key_is_not_asked_of_a_far_tier_that_cannot_be(
    near: MemoryCache, far: FarTier
) -> None:
    """While the far tier cannot be asked, a miss near is a miss."""
    far.waits = False

    assert await TieredCache(near, far).get(KEY, BUDGET) is None
    assert far.asked == []
