"""L2 over a real Redis: what stands there, how few round trips it takes, what is not believed."""

import asyncio
from time import monotonic, time
from typing import Any

import msgspec
import pytest

from ml_pipeline.cache.envelope import seal
from ml_pipeline.cache.redis_lanes import MAX_VALUE_BYTES, WRITE_BUFFER_BYTES
from tests.cache.conftest import OpenTier
from tests.fakes import BUDGET, turns
from tests.redis_cache import (
    PATIENT_SECONDS,
    RedisTier,
    kept,
    look,
    named,
    num_calls,
    stored,
    until,
)
from tests.redis_server import RedisServer

KEY, OTHER = named(1), named(2)
NAME = b"ml_pipeline:answer:" + KEY.hex().encode()
MSGPACK_BUDGET = msgspec.structs.replace(BUDGET, content_type=b"application/msgpack")
CHEAP_BUDGET = msgspec.structs.replace(BUDGET, compute_seconds=0.0)


LIFETIME = 60


def sealed(value: bytes = b"answer", key: bytes = KEY, expires: int | None = None) -> bytes:
    """What a replica stores."""
    expires = int(time()) + LIFETIME if expires is None else expires
    return seal(key, value, BUDGET.content_type, expires, LIFETIME)


async def stored_many(tier: RedisTier, client: Any, count: int) -> list[bytes]:
    """Keys under which something stands; the server has counted no command since."""
    await until(lambda: num_calls(client, "mget") == 5)  # breaker, lanes and beat
    keys = [named(number) for number in range(count)]
    for key in keys:
        tier.cache.put(key, key.hex().encode(), 600, BUDGET)
    await until(lambda: client.dbsize() == count)
    client.config_resetstat()
    return keys


# What goes out together.


async def test_look_ups_of_one_turn_are_one_mget(tier: RedisTier, client: Any) -> None:
    """However many ask in a turn of the loop, Redis is asked once, and each has its own answer."""
    keys = await stored_many(tier, client, 50)

    found = await asyncio.gather(*(look(tier.cache, key) for key in keys))

    assert found == [[key.hex().encode()] for key in keys]
    assert (num_calls(client, "mget"), num_calls(client, "get")) == (1, 0)


async def test_many_keys_are_one_round_trip(tier: RedisTier, client: Any) -> None:
    """A hundred keys of one look-up are one MGET."""
    keys = await stored_many(tier, client, 100)

    assert await look(tier.cache, *keys) == [key.hex().encode() for key in keys]
    assert num_calls(client, "mget") == 1


async def test_look_ups_that_come_while_lanes_are_busy_go_together(
    server: RedisServer, tier: RedisTier, client: Any
) -> None:
    """Two round trips are under way at most; what comes meanwhile is the third."""
    keys = await stored_many(tier, client, 30)
    server.freeze()
    asking = []
    for key in keys:  # each in a turn of its own
        asking.append(asyncio.create_task(look(tier.cache, key)))
        await asyncio.sleep(0.001)
    server.thaw()

    found = await asyncio.gather(*asking)

    assert found == [[key.hex().encode()] for key in keys]
    assert num_calls(client, "mget") == 3


@pytest.mark.parametrize(
    "sizes", [[3000], [100] * 30, [1000, 1, 1000]], ids=["one", "many", "full"]
)
async def test_no_round_trip_carries_more_keys_than_a_thousand(
    sizes: list[int], tier: RedisTier, client: Any
) -> None:
    """What is too much for one round trip is several, and all is found."""
    keys = await stored_many(tier, client, 10)

    asked = [[keys[number % 10] for number in range(size)] for size in sizes]
    found = await asyncio.gather(*(look(tier.cache, *some) for some in asked))

    assert found == [[key.hex().encode() for key in some] for some in asked]
    assert num_calls(client, "mget") == 3


async def test_question_after_a_single_one_goes_out_at_once(tier: RedisTier, client: Any) -> None:
    """While each turn brings one question, the next is on its way before the turn is over."""
    key = named(1)
    await kept(tier, key)
    await look(tier.cache, key)
    sent = num_calls(client, "mget")

    asking = asyncio.create_task(look(tier.cache, key))
    await asyncio.sleep(0)  # it has asked, and its turn of the loop is not over
    give_up = monotonic() + PATIENT_SECONDS
    while num_calls(client, "mget") == sent and monotonic() < give_up:
        pass  # without giving way

    assert num_calls(client, "mget") == sent + 1
    assert await asking == [key]


async def test_pairs_go_out_together(tier: RedisTier, client: Any) -> None:
    """Two that ask in each turn are one round trip, but for the first time after a single one."""
    one, other = named(1), named(2)
    await kept(tier, one, other)
    await look(tier.cache, one)
    sent = num_calls(client, "mget")

    for _ in range(10):
        found = await asyncio.gather(look(tier.cache, one), look(tier.cache, other))
        assert [*found] == [[one], [other]]

    assert num_calls(client, "mget") == sent + 11


async def test_many_after_a_single_question_take_two_round_trips(
    tier: RedisTier, client: Any
) -> None:
    """Of many that ask in a turn after a single one, the first goes at once, the rest together."""
    keys = [named(number) for number in range(20)]
    await kept(tier, *keys)
    await look(tier.cache, keys[0])
    sent = num_calls(client, "mget")

    found = await asyncio.gather(*(look(tier.cache, key) for key in keys))

    assert found == [[key] for key in keys]
    assert num_calls(client, "mget") == sent + 2


@pytest.mark.parametrize(("first", "round_trips"), [(2, 2), (3, 1)], ids=["pair", "busy"])
async def test_a_busy_turn_waits_for_the_next(
    first: int, round_trips: int, tier: RedisTier, client: Any
) -> None:
    """Three questions of a turn go out with those of the next, two do not wait."""
    keys = [named(number) for number in range(first + 2)]
    await kept(tier, *keys)
    await asyncio.gather(
        *(look(tier.cache, key) for key in keys)
    )  # so that none goes as a single one
    sent = num_calls(client, "mget")

    tasks = [asyncio.create_task(look(tier.cache, key)) for key in keys[:first]]
    await asyncio.sleep(0)  # they have asked, and the end of their turn is due
    tasks += [asyncio.create_task(look(tier.cache, key)) for key in keys[first:]]

    assert await asyncio.gather(*tasks) == [[key] for key in keys]
    assert num_calls(client, "mget") == sent + round_trips


async def test_stores_of_one_turn_are_few_writes(tier: RedisTier, client: Any) -> None:
    """Hundreds of small stores go out as one write."""
    await stored_many(tier, client, 500)
    await until(lambda: "write" in tier.round_trips)

    assert tier.round_trips.count("write") == 1


async def test_stores_of_some_turns_gather(tier: RedisTier, client: Any) -> None:
    """A store waits a little for others to go with it."""
    await stored_many(tier, client, 1)
    await until(lambda: "write" in tier.round_trips)
    tier.round_trips.clear()

    tier.cache.put(KEY, b"1", 60, BUDGET)
    await turns(4)
    tier.cache.put(OTHER, b"2", 60, BUDGET)
    await stored(tier.cache, [b"1", b"2"], KEY, OTHER)
    await until(lambda: "write" in tier.round_trips)

    assert tier.round_trips.count("write") == 1


async def test_store_is_behind_the_answer(tier: RedisTier, client: Any) -> None:
    """`put` returns before anything is sent, and counts what waits until it has arrived."""
    tier.cache.put(KEY, b"answer", 60, BUDGET)
    (num_stores, num_bytes), before = tier.waiting, client.dbsize()
    await until(lambda: client.dbsize() == 1)
    await until(lambda: tier.waiting == (0, 0))

    assert (num_stores, before) == (1, 0)
    assert num_bytes >= len(b"answer")


# What stands in Redis.


async def test_name_and_value_are_as_documented(tier: RedisTier, client: Any) -> None:
    """An answer stands under `ml_pipeline:answer:` and its key in hexadecimal digits, sealed."""
    tier.cache.put(KEY, b"answer", 60, BUDGET)
    await until(lambda: client.dbsize() == 1)

    assert client.keys() == [NAME]
    assert client.get(NAME)[:4] == b"mlp2"
    assert client.get(NAME).endswith(b"application/json\nanswer")


async def test_expiry_is_early_by_a_tenth_at_most(tier: RedisTier, client: Any) -> None:
    """Nothing stays longer than asked, nor much shorter, and what came together goes apart."""
    for number in range(200):
        tier.cache.put(named(number), b"", 1000, BUDGET)
    await until(lambda: client.dbsize() == 200)

    seconds = [client.pttl(name) / 1000.0 for name in client.scan_iter()]

    assert max(seconds) <= 1000
    assert min(seconds) > 900 - 1 - 10  # whole seconds, and what has passed since
    assert max(seconds) - min(seconds) > 20


async def test_hit_expires_as_in_redis(tier: RedisTier, client: Any) -> None:
    """A hit says when it ends, on the clock of this process."""
    tier.cache.put(KEY, b"answer", 1000, BUDGET)
    await stored(tier.cache, [b"answer"], KEY)

    (hit,) = await tier.cache.get_many([KEY], BUDGET)

    assert hit is not None
    left = hit.expires - asyncio.get_running_loop().time()
    assert abs(left - client.pttl(NAME) / 1000.0) < 5


@pytest.mark.parametrize("ttl_seconds", [0.1, 1])
async def test_shortest_time_to_live_is_a_second(
    ttl_seconds: float, tier: RedisTier, client: Any
) -> None:
    """Redis is never asked for an expiry of nothing, which it would refuse."""
    tier.cache.put(KEY, b"answer", ttl_seconds, BUDGET)
    await until(lambda: "write" in tier.round_trips)

    assert tier.num_dropped == 0
    assert 0 < client.pttl(NAME) <= 1000


async def test_value_that_has_waited_out_its_time_is_no_refusal(
    server: RedisServer, tier: RedisTier
) -> None:
    """A store that has waited behind a slow one until its end is made for a second still."""
    await kept(tier, OTHER)
    server.freeze()
    tier.cache.put(OTHER, b"slow", 60, BUDGET)
    await asyncio.sleep(0.03)
    tier.cache.put(KEY, b"answer", 1, BUDGET)
    give_up = time() + 0.6
    await until(lambda: time() > give_up)
    server.thaw()
    await until(lambda: tier.waiting == (0, 0))

    assert (tier.num_dropped, tier.num_failures) == (0, {})


@pytest.mark.parametrize("hours_ahead", [1, 500_000])
async def test_value_of_a_clock_that_is_ahead_is_not_kept(
    tier: RedisTier, client: Any, hours_ahead: int
) -> None:
    """One that claims to live longer than it was given is an answer now, and no longer."""
    expires = min(int(time()) + LIFETIME + 3600 * hours_ahead, 2**32 - 1)
    client.set(NAME, sealed(expires=expires))

    (hit,) = await tier.cache.get_many([KEY], BUDGET)

    assert hit is not None
    assert hit.expires <= asyncio.get_running_loop().time()


async def test_connections_speak_resp3(tier: RedisTier, client: Any) -> None:
    """Every connection has agreed on RESP3."""
    await until(lambda: len(client.client_list()) == 5)  # two to read, one to write, the beat, this
    own = str(client.client_id())

    protocols = [entry["resp"] for entry in client.client_list() if entry["id"] != own]

    assert protocols == ["3"] * 4


# What is not believed: a miss, and counted.

unreadable = {
    "foreign": b"another program's",
    "empty": b"",
    "cut short": sealed()[:-1],
    "altered": sealed()[:-1] + b"X",
    "of another key": sealed(key=OTHER),
    "of another format": b"mlp1" + sealed()[4:],
}


@pytest.mark.parametrize("value", unreadable.values(), ids=list(unreadable))
async def test_value_that_cannot_be_read_is_a_miss(
    value: bytes, tier: RedisTier, client: Any
) -> None:
    """What is not ours, or not whole, is not there, and spoils no neighbour."""
    client.set(NAME, value)
    client.set(b"ml_pipeline:answer:" + OTHER.hex().encode(), sealed(b"other", OTHER))

    assert await look(tier.cache, KEY, OTHER) == [None, b"other"]
    assert tier.num_keys["unreadable"] == tier.num_keys["hit"] == 1
    assert tier.num_failures == {}


async def test_value_of_another_content_type_is_a_miss(tier: RedisTier, client: Any) -> None:
    """What was stored as one content type is never given out as another."""
    tier.cache.put(KEY, b"answer", 60, MSGPACK_BUDGET)
    await until(lambda: client.dbsize() == 1)

    assert await look(tier.cache, KEY) == [None]


async def test_key_of_another_kind_is_a_miss(tier: RedisTier, client: Any) -> None:
    """A list under our name is no answer and no failure."""
    client.lpush(NAME, "x")

    assert await look(tier.cache, KEY) == [None]
    assert (tier.num_keys["miss"], tier.num_failures) == (1, {})


async def test_keys_are_counted_by_result(tier: RedisTier) -> None:
    """Each key of a look-up that was answered is a hit or a miss."""
    tier.cache.put(KEY, b"answer", 60, BUDGET)
    await stored(tier.cache, [b"answer"], KEY)
    before = tier.num_keys

    await look(tier.cache, KEY, OTHER, KEY)

    assert tier.num_keys["hit"] - before["hit"] == 2
    assert tier.num_keys["miss"] - before.get("miss", 0) == 1


async def test_statistics_are_a_snapshot(tier: RedisTier) -> None:
    """What was read does not change afterwards."""
    before = tier.cache.redis_statistics()
    counted = dict(before.num_keys)

    await look(tier.cache, KEY)

    assert before.num_keys == counted


# What is not stored: dropped, and counted.


async def test_large_value_is_not_stored(tier: RedisTier, client: Any) -> None:
    """A value over 1 MiB is dropped; one of nearly as much is not."""
    tier.cache.put(KEY, b"v" * (MAX_VALUE_BYTES + 1), 60, BUDGET)
    tier.cache.put(OTHER, b"v" * (MAX_VALUE_BYTES - 100), 60, BUDGET)
    await until(lambda: client.dbsize() == 1)

    assert MAX_VALUE_BYTES == 1024 * 1024
    assert await look(tier.cache, KEY) == [None]
    assert tier.num_dropped == 1


async def test_full_buffer_drops(tier: RedisTier, client: Any) -> None:
    """What has no room is dropped, what waits arrives, and then there is room again."""
    size = 512 * 1024
    fitting = WRITE_BUFFER_BYTES // (size + 100)
    for number in range(fitting + 3):
        tier.cache.put(named(number), b"v" * size, 60, BUDGET)
    num_stores, num_bytes = tier.waiting
    await until(lambda: client.dbsize() == fitting)
    await until(lambda: tier.waiting == (0, 0))

    assert tier.num_dropped == 3
    assert num_stores == fitting
    assert num_bytes <= WRITE_BUFFER_BYTES == 16 * 1024 * 1024


async def test_what_would_not_be_looked_for_is_neither_asked_for_nor_stored(
    server: RedisServer, client: Any
) -> None:
    """Where nothing is found and computing is cheap, fifteen keys of sixteen are left out."""
    tier = RedisTier(server.url, always=False)
    await tier.start()
    await tier.cache.get_many([named(number) for number in range(300)], CHEAP_BUDGET)
    client.config_resetstat()

    keys = [bytes([first]) * 32 for first in range(256)]
    await tier.cache.get_many(keys, CHEAP_BUDGET)
    for key in keys:
        tier.cache.put(key, b"answer", 60, CHEAP_BUDGET)
    await tier.cache.aclose()

    assert (tier.num_keys["left_out"], tier.num_keys["miss"]) == (240, 300 + 16)
    assert num_calls(client, "set") == 16


async def test_with_the_policy_always_nothing_is_left_out(
    server: RedisServer, open_tier: OpenTier
) -> None:
    """However rarely something is found, every key is asked for."""
    tier = await open_tier(server)
    await tier.cache.get_many([named(number) for number in range(300)], CHEAP_BUDGET)

    await tier.cache.get_many([named(number) for number in range(300)], CHEAP_BUDGET)

    assert (tier.num_keys.get("left_out", 0), tier.num_keys["miss"]) == (0, 600)
