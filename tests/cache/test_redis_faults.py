"""L2 when Redis is slow, frozen, gone or full: a miss, in time."""

import asyncio
import time
from typing import Any

import pytest

from ml_pipeline.cache.circuit_breaker import FAILURES_TO_OPEN
from tests.cache.conftest import OpenTier
from tests.fakes import turns
from tests.redis_cache import (
    SLACK_SECONDS,
    RedisTier,
    impatient,
    kept,
    look,
    lost,
    named,
    stored,
    until,
)
from tests.redis_server import RedisServer

KEY, OTHER = named(1), named(2)


# A Redis that does not answer.


async def test_frozen_redis_is_a_miss_in_time(server: RedisServer, open_tier: OpenTier) -> None:
    """A look-up ends after the timeout, as a miss that is counted."""
    tier = await open_tier(server, timeout_seconds=0.1)
    await kept(tier, KEY)
    server.freeze()

    started = time.monotonic()
    found = await look(tier.cache, KEY)
    seconds = time.monotonic() - started

    assert found == [None]
    assert 0.05 < seconds < 0.1 + SLACK_SECONDS
    assert tier.num_failures == {"timeout": 1}
    assert tier.num_keys["unanswered"] == 1


async def test_frozen_redis_is_soon_not_waited_for(
    server: RedisServer, open_tier: OpenTier
) -> None:
    """After a few timeouts a look-up is a miss at once, without a turn of the loop."""
    tier = await open_tier(server, timeout_seconds=0.05)
    server.freeze()

    num_slow = await lost(tier)
    asking = asyncio.create_task(look(tier.cache, KEY))
    await asyncio.sleep(0)
    at_once = asking.done()

    assert num_slow <= FAILURES_TO_OPEN
    assert at_once
    assert await asking == [None]


async def test_look_ups_that_wait_for_a_lane_are_answered_in_time(
    server: RedisServer, open_tier: OpenTier
) -> None:
    """Nobody waits longer than for a round trip and the one before it, however many there are."""
    tier = await open_tier(server, timeout_seconds=0.2)
    server.freeze()
    asking = []
    for number in range(20):
        asking.append(asyncio.create_task(look(tier.cache, named(number))))
        await asyncio.sleep(0.001)

    _, waiting = await asyncio.wait(asking, timeout=2 * 0.2 + SLACK_SECONDS)

    assert not waiting
    assert {task.result()[0] for task in asking} == {None}


async def test_thawed_redis_is_found_again(server: RedisServer, open_tier: OpenTier) -> None:
    """When it goes on it is asked again, without anybody's help, and gives right answers."""
    tier = await open_tier(server, timeout_seconds=0.05)
    server.freeze()
    await lost(tier)

    server.thaw()
    await until(lambda: tier.cache.waits)

    await kept(tier, KEY, OTHER)
    assert tier.cache.reason == ""


async def test_a_wait_may_be_shorter_than_the_timeout(
    server: RedisServer, open_tier: OpenTier
) -> None:
    """Who has little time waits no longer, and that is no failure of Redis."""
    tier = await open_tier(server, timeout_seconds=60.0)
    await kept(tier, KEY)
    server.freeze()

    started = time.monotonic()
    found = await tier.cache.get_many([KEY], impatient(0.05))
    seconds = time.monotonic() - started
    server.thaw()

    assert found == [None]
    assert 0.04 < seconds < 0.05 + SLACK_SECONDS
    assert tier.num_failures == {}
    assert await look(tier.cache, KEY) == [KEY]


@pytest.mark.parametrize("max_wait_seconds", [0.0, -1.0])
async def test_no_time_to_wait_is_a_miss(
    max_wait_seconds: float, server: RedisServer, tier: RedisTier
) -> None:
    """Whose time is up does not wait at all."""
    server.freeze()

    asking = tier.cache.get_many([KEY], impatient(max_wait_seconds))

    assert await asyncio.wait_for(asking, SLACK_SECONDS) == [None]


@pytest.mark.parametrize("leaving", [[0], [1], [2], [0, 1, 2]], ids=str)
async def test_cancelled_waiter_hurts_no_neighbour(
    leaving: list[int], server: RedisServer, tier: RedisTier
) -> None:
    """Whoever of a round trip leaves, the others and all who come later get their own answers."""
    keys = [named(number) for number in range(3)]
    await kept(tier, *keys, OTHER)
    server.freeze()
    asking = [asyncio.create_task(look(tier.cache, key)) for key in keys]
    await asyncio.sleep(0.02)

    for index in leaving:
        asking[index].cancel()
    await turns()
    server.thaw()
    ends = await asyncio.gather(*asking, return_exceptions=True)

    for index, (key, end) in enumerate(zip(keys, ends, strict=True)):
        if index in leaving:
            assert isinstance(end, asyncio.CancelledError)
        else:
            assert end == [key]
    assert await look(tier.cache, OTHER) == [OTHER]
    assert tier.num_failures == {}


# A Redis that goes and comes.


async def test_killed_redis_comes_back_by_itself(open_tier: OpenTier) -> None:
    """Gone it is a miss, back it is asked again; losing and finding it is told once each."""
    with RedisServer() as server:
        tier = await open_tier(server)
        await kept(tier, KEY)
        server.kill()
        await lost(tier)
        await until(lambda: len(tier.changes) == 2)
        reason = tier.cache.reason
        server.start()
        await until(lambda: tier.cache.waits)

        assert await look(tier.cache, KEY) == [None]  # it has come back empty
        await kept(tier, KEY)
    assert [found for found, _ in tier.changes] == [True, False, True]
    assert tier.changes[1][1] == reason != ""


async def test_redis_that_is_not_there_at_the_start_is_found_later() -> None:
    """Starting does not wait for it: until it comes all are misses."""
    with RedisServer() as server:
        server.kill()
        tier = RedisTier(server.url)
        await asyncio.wait_for(tier.cache.start(), SLACK_SECONDS)
        found, waits = await look(tier.cache, KEY), tier.cache.waits
        server.start()
        await until(lambda: tier.cache.waits)
        await kept(tier, KEY)
        await tier.cache.aclose()

    assert (found, waits) == ([None], False)


async def test_connections_closed_while_idle_are_no_outage(tier: RedisTier, client: Any) -> None:
    """A Redis that hangs up on idle clients is asked again at once; nobody is told of a loss."""
    await kept(tier, KEY)
    client.client_kill_filter(_type="normal", skipme=True)

    assert await stored(tier.cache, [KEY], KEY) == [KEY]
    assert tier.changes == [(True, "")]


async def test_connection_that_was_closed_while_idle_costs_no_answer(
    tier: RedisTier, client: Any
) -> None:
    """Nothing was sent on it, so the look-up is made on a new one: what is there is found."""
    await kept(tier, KEY)
    client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.02)

    assert await look(tier.cache, KEY) == [KEY]


async def test_lane_whose_end_is_not_heard_of_is_not_lost(server: RedisServer) -> None:
    """Look-ups go on when whoever is told of round trips fails."""
    told: list[str] = []

    def fail(operation: str, _: float) -> None:
        told.append(operation)
        raise LookupError(operation)

    tier = RedisTier(server.url, on_round_trip=fail)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it is told of each failure
    await tier.start()
    for number in range(6):
        assert await asyncio.wait_for(look(tier.cache, named(number)), SLACK_SECONDS) == [None]
    await tier.cache.aclose()

    assert told.count("read") == 6


# A Redis that is full.


async def test_full_redis_refuses_stores_and_answers_look_ups(open_tier: OpenTier) -> None:
    """Stores that are refused are counted and then not tried for a while; look-ups go on."""
    with RedisServer("--maxmemory-policy", "noeviction") as server, server.client() as client:
        tier = await open_tier(server)
        await kept(tier, KEY)
        client.config_set("maxmemory", "1mb")
        tier.cache.put(OTHER, b"v" * 500_000, 60, impatient(0))
        await until(lambda: tier.num_failures.get("refused"))
        tier.cache.put(OTHER, b"", 60, impatient(0))

        assert tier.num_dropped == 2
        assert await look(tier.cache, KEY, OTHER) == [KEY, None]
        assert tier.cache.waits
