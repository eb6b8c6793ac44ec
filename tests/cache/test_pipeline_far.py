"""The hot path with Redis behind it: one look-up for many, in time, and what may stand there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any, NamedTuple

import pytest
import redis

from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.wire.codec import WireFormat
from tests.conftest import Serve, Served, WriteModel
from tests.models import random_model, scale_model
from tests.redis_cache import RedisTier, num_calls, until
from tests.redis_server import RedisServer

ROW = [[1.0, 2.0, 3.0]]
OTHER_ROW = [[4.0, 5.0, 6.0]]
DOUBLED = [[2.0, 4.0, 6.0]]
MAX_TTL_SECONDS = 5000

NUM_LANES = 3
"""That connect, each with a look-up; and the breaker's probe makes one."""


class Replica(NamedTuple):
    """A server's inner parts, and the tier behind it.

    Attributes:
        served: Answers.
        tier: What was asked of Redis.
    """

    served: Served
    tier: RedisTier

    def forget(self) -> None:
        """Empty the near tier, as a restart does."""
        _join(self.served, self.tier)


NewReplica = Callable[..., Awaitable[Replica]]


def _join(served: Served, tier: RedisTier) -> None:
    served.join(
        TieredCache(MemoryCache(64 * 1024 * 1024), tier.cache),
        default_ttl_seconds=3600,
        max_ttl_seconds=MAX_TTL_SECONDS,
    )


@pytest.fixture
async def new_replica(
    server: RedisServer, write_model: WriteModel, serve: Serve, options: EngineOptions
) -> AsyncIterator[NewReplica]:
    """Start a replica whose lanes have connected; closed at the end of the test."""
    tiers: list[RedisTier] = []

    async def start(
        content: bytes | None = None, options: EngineOptions = options, timeout_seconds: float = 10
    ) -> Replica:
        served = await serve(write_model(content or scale_model()), options)
        tier = RedisTier(server.url, timeout_seconds=timeout_seconds)
        tiers.append(tier)
        with server.client() as client:
            client.config_resetstat()
            await tier.start()
            await until(lambda: num_calls(client, "mget") == 2 + NUM_LANES)  # breaker, beat
            client.config_resetstat()
        _join(served, tier)
        return Replica(served, tier)

    yield start
    server.thaw()  # else each waits for its last stores
    for tier in tiers:
        await tier.cache.aclose()


@pytest.fixture
async def replica(new_replica: NewReplica) -> Replica:
    """A replica of a model that doubles its rows."""
    return await new_replica()


def members(count: int) -> list[dict[str, Any]]:
    """Members of a batch, all different."""
    return [{"data": [[float(value)] * 3]} for value in range(count)]


async def arrived(client: "redis.Redis", count: int) -> None:
    """Wait until so many answers stand in Redis."""
    await until(lambda: client.dbsize() == count)


# One request.


async def test_far_hit_is_near_from_then_on(replica: Replica, client: "redis.Redis") -> None:
    """An answer that only Redis has is told as `redis`, the next time as `l1`; both are cached."""
    await replica.served.ask(ROW)
    await arrived(client, 1)
    replica.forget()

    replies = [await replica.served.ask(ROW) for _ in range(2)]

    assert [reply.timings.cache_state for reply in replies] == ["redis", "l1"]
    assert [reply.cached for reply in replies] == [True, True]
    assert [reply.predictions.tolist() for reply in replies] == [DOUBLED] * 2
    assert len(replica.served.batches) == 1


async def test_answer_of_one_replica_serves_another(new_replica: NewReplica, client: Any) -> None:
    """Two replicas of the same model file compute once between them."""
    first, second = await new_replica(), await new_replica()
    await first.served.ask(ROW)
    await arrived(client, 1)

    reply = await second.served.ask(ROW)

    assert reply.timings.cache_state == "redis"
    assert second.served.batches == []


async def test_formats_of_the_answer_never_meet_in_redis(replica: Replica, client: Any) -> None:
    """What was stored as JSON is a miss for MessagePack."""
    await replica.served.ask(ROW)
    await arrived(client, 1)
    replica.forget()

    reply = await replica.served.ask(ROW, wire_format=WireFormat.MSGPACK)

    assert reply.timings.cache_state == "miss"
    assert reply.predictions.tolist() == DOUBLED


async def test_equal_requests_share_one_look_up(replica: Replica, client: Any) -> None:
    """Of equal requests in flight one looks far; the others share what it finds."""
    await replica.served.ask(ROW)
    await arrived(client, 1)
    replica.forget()
    client.config_resetstat()

    replies = await asyncio.gather(*(replica.served.ask(ROW) for _ in range(20)))

    assert [reply.timings.cache_state for reply in replies] == ["redis", *["coalesced"] * 19]
    assert (num_calls(client, "mget"), replica.tier.num_keys["hit"]) == (1, 1)
    assert len(replica.served.batches) == 1


async def test_followers_of_a_far_miss_are_coalesced(replica: Replica, client: Any) -> None:
    """Of equal requests that are nowhere one looks far and computes, and all have its answer."""
    replies = await asyncio.gather(*(replica.served.ask(ROW) for _ in range(20)))

    assert [reply.timings.cache_state for reply in replies] == ["miss", *["coalesced"] * 19]
    assert num_calls(client, "mget") == 1
    assert [record.num_rows for record in replica.served.batches] == [1]


async def test_look_up_is_part_of_the_cache_s_time(replica: Replica, server: RedisServer) -> None:
    """What a look-up takes is told as time of the cache."""
    server.freeze()
    asking = asyncio.create_task(replica.served.ask(ROW))
    await asyncio.sleep(0.05)
    server.thaw()

    assert (await asking).timings.cache_seconds > 0.04


# In time.

HURRY_SECONDS = 4.0
"""Of a request: half of them is enough for a run on a busy machine, and less than Redis has."""


async def test_request_in_a_hurry_does_not_wait_for_a_frozen_redis(
    replica: Replica, server: RedisServer
) -> None:
    """Half of the time that is left may go into a look-up: the answer is computed in time."""
    server.freeze()

    started = monotonic()
    reply = await replica.served.ask(ROW, timeout_seconds=HURRY_SECONDS)

    assert reply.timings.cache_state == "miss"
    assert reply.predictions.tolist() == DOUBLED
    assert 0.4 * HURRY_SECONDS < monotonic() - started < HURRY_SECONDS


async def test_batch_in_a_hurry_does_not_wait_for_a_frozen_redis(
    replica: Replica, server: RedisServer
) -> None:
    """The members of a batch are computed in time too."""
    server.freeze()

    results, answered = await replica.served.ask_batch(members(10), timeout_seconds=HURRY_SECONDS)

    assert [result["predictions"][0][0] for result in results] == [2.0 * v for v in range(10)]
    assert {each.cache_state for each in answered} == {"miss"}


async def test_frozen_redis_costs_the_timeout_and_soon_nothing(
    new_replica: NewReplica, server: RedisServer
) -> None:
    """Requests with all the time in the world are answered after the timeout of Redis."""
    replica = await new_replica(timeout_seconds=0.05)
    server.freeze()

    started = monotonic()
    for value in range(20):
        reply = await replica.served.ask([[float(value)] * 3], timeout_seconds=60)
        assert reply.timings.cache_state == "miss"

    assert monotonic() - started < 5.0
    assert not replica.tier.cache.waits


# Batches.


async def test_batch_is_one_round_trip(replica: Replica, client: Any) -> None:
    """A hundred members make one look-up; what is nowhere is computed in one run, once."""
    await replica.served.ask_batch(members(40))
    await arrived(client, 40)
    replica.forget()
    client.config_resetstat()

    results, answered = await replica.served.ask_batch(members(100))

    assert num_calls(client, "mget") == 1
    assert [each.cache_state for each in answered] == ["redis"] * 40 + ["miss"] * 60
    assert [result["predictions"][0][0] for result in results] == [2.0 * v for v in range(100)]
    assert [record.num_rows for record in replica.served.batches] == [40, 60]


async def test_duplicates_of_a_batch_are_computed_once(replica: Replica, client: Any) -> None:
    """Equal members share one computation and one store."""
    _, answered = await replica.served.ask_batch(
        [{"data": ROW}, {"data": OTHER_ROW}, {"data": ROW}]
    )
    await arrived(client, 2)

    assert [each.cache_state for each in answered] == ["miss", "miss", "coalesced"]
    assert [record.num_rows for record in replica.served.batches] == [2]
    assert num_calls(client, "set") == 2


async def test_batch_and_request_at_once_compute_once(replica: Replica) -> None:
    """A member equal to a request in flight shares its answer."""
    reply, (_, answered) = await asyncio.gather(
        replica.served.ask(ROW), replica.served.ask_batch([{"data": ROW}])
    )

    states = sorted([reply.timings.cache_state, answered[0].cache_state])
    assert states == ["coalesced", "miss"]
    assert [record.num_rows for record in replica.served.batches] == [1]


# What may stand in Redis, and for how long.


async def test_use_cache_false_does_not_touch_redis(replica: Replica, client: Any) -> None:
    """It is neither asked nor told, by requests and members alike."""
    before = client.info("stats")["total_commands_processed"]
    reply = await replica.served.ask(ROW, use_cache=False)
    await replica.served.ask_batch([{"data": ROW, "use_cache": False}])
    await asyncio.sleep(0.03)

    own = client.info("stats")["total_commands_processed"] - before
    assert reply.timings.cache_state == "bypass"
    assert own == 1  # the first INFO
    assert client.dbsize() == 0


async def test_random_model_is_not_kept_in_redis(new_replica: NewReplica, client: Any) -> None:
    """A graph with random operators is neither looked up nor stored."""
    replica = await new_replica(random_model())

    replies = [await replica.served.ask(ROW) for _ in range(2)]
    await asyncio.sleep(0.03)

    assert [reply.timings.cache_state for reply in replies] == ["bypass"] * 2
    assert num_calls(client, "mget") == client.dbsize() == 0


@pytest.mark.parametrize(
    ("fields", "ttl_seconds"),
    [({"cache_ttl": 1000}, 1000), ({"cache_ttl": 2_000_000}, MAX_TTL_SECONDS), ({}, 3600)],
    ids=["asked", "bounded", "default"],
)
async def test_time_to_live_is_as_asked_within_its_bound(
    fields: dict[str, Any], ttl_seconds: int, replica: Replica, client: Any
) -> None:
    """An answer stays in Redis as long as `cache_ttl` says, or the default, at most the maximum."""
    await replica.served.ask(ROW, **fields)
    await arrived(client, 1)

    (name,) = client.keys()
    assert 0.9 * ttl_seconds - 12 < client.ttl(name) <= ttl_seconds
