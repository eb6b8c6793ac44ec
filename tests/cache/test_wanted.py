"""What all replicas shall serve, in a real Redis: numbers only grow, all is written or nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.cache.redis_errors import RedisFailure
from ml_pipeline.replicas.signature import Signature
from ml_pipeline.replicas.wanted import Look, Wanted
from tests.redis_cache import PATIENT_SECONDS
from tests.redis_server import RedisServer

Open = Callable[..., Wanted]


@pytest.fixture
async def new(server: RedisServer) -> AsyncIterator[Open]:
    """Make a replica's look at it."""
    opened: list[Wanted] = []

    def new(token: str = "", url: str = "") -> Wanted:
        endpoint = RedisEndpoint(url or server.url)
        signature = Signature(token, lambda place: None)
        opened.append(Wanted(endpoint, "test", signature, kept_seconds=1000))
        return opened[-1]

    yield new
    for each in opened:
        await each.aclose()


def numbered(generation: int) -> bytes:
    return b"state %d" % generation


def found(generation: int) -> Look:
    return Look(generation, numbered(generation))


async def looked(wanted: Wanted, topics: list[str]) -> Look:
    """Look; what was found is no older than the test."""
    look = await wanted.look(topics)
    assert look.state is None or 0 <= look.age_seconds < PATIENT_SECONDS
    return look._replace(age_seconds=0.0)


async def test_an_age_is_told(new: Open) -> None:
    """By Redis' clock: that of who asks may be another."""
    await new().want(numbered, ["a"], 0)
    await asyncio.sleep(0.3)

    assert 0.2 < (await new().look(["a"])).age_seconds < PATIENT_SECONDS


async def test_what_is_wanted_is_found(new: Open) -> None:
    """By its topics."""
    assert await new().want(numbered, ["a", "b"], 0) == 1

    assert await looked(new(), ["b", "c"]) == found(1)
    assert await looked(new(), ["c"]) == Look(0, None)


async def test_generations_grow_beyond_all_that_are_known(new: Open) -> None:
    """Also where Redis has forgotten them."""
    wanted = new()

    assert [await wanted.want(numbered, ["a"], above) for above in (0, 57, 3)] == [1, 58, 59]


async def test_all_at_once_get_numbers_of_their_own(new: Open) -> None:
    """The last number's state is the last that was written."""
    numbers = await asyncio.gather(*(new().want(numbered, ["a"], 0) for _ in range(4)))

    assert sorted(numbers) == [1, 2, 3, 4]
    assert await looked(new(), ["a"]) == found(4)


async def test_what_is_lost_is_told_and_put_back(new: Open, client: "redis.Redis") -> None:
    """A Redis that was emptied has it again, with the number that it had."""
    wanted = new()
    await wanted.want(numbered, ["a"], 56)
    client.flushall()
    assert await looked(wanted, ["a"]) == Look(0, None)

    await wanted.put_back(57, b"state 57", ["a"], 0.0)

    assert await looked(new(), ["a"]) == found(57)
    assert await new().want(numbered, ["a"], 0) == 58


async def test_what_is_older_is_not_put_back(new: Open) -> None:
    """A replica that was cut off does not undo what was announced meanwhile."""
    await new().want(numbered, ["a"], 57)

    await new().put_back(57, b"state 57", ["a"], 0.0)

    assert await looked(new(), ["a"]) == found(58)


@pytest.mark.parametrize(("age_seconds", "found"), [(400.0, 400.0), (5000.0, 940.0)])
async def test_what_is_put_back_is_as_old_as_it_was(
    new: Open, age_seconds: float, found: float
) -> None:
    """It is kept for a minute at least, so it looks younger only at the end of its time."""
    await new().put_back(57, b"state 57", ["a"], age_seconds)

    look = await new().look(["a"])

    assert found <= look.age_seconds < found + PATIENT_SECONDS


async def test_a_state_that_is_gone_is_told(new: Open, client: "redis.Redis") -> None:
    """With the number that it had."""
    await new().want(numbered, ["a"], 0)
    client.delete("ml_pipeline:test:state:1")

    look = await new().look(["a"])

    assert (look.generation, look.state) == (1, None)


async def test_what_is_forged_is_nothing(new: Open, client: "redis.Redis") -> None:
    """Numbers and states that are not signed are as if they were not there."""
    wanted = new("token")
    await wanted.want(numbered, ["a"], 0)
    signed = client.get("ml_pipeline:test:wanted:a")
    assert signed is not None
    client.set("ml_pipeline:test:wanted:a", b"9")
    client.set("ml_pipeline:test:wanted:b", signed)
    client.set("ml_pipeline:test:generation", b"9" * 17)
    client.set("ml_pipeline:test:state:9", b"state 9")

    assert await looked(wanted, ["a", "b"]) == Look(0, None)
    assert await wanted.want(numbered, ["c"], 0) == 1


async def test_a_redis_that_takes_nothing_is_told(new: Open) -> None:
    """Nobody takes for kept what a full Redis refused; the next one is kept whole."""
    with (
        RedisServer("--maxmemory-policy", "noeviction") as full,
        full.client() as client,
    ):
        wanted = new(url=full.url)
        client.config_set("maxmemory", "1")
        with pytest.raises(RedisFailure) as caught:
            await wanted.want(numbered, ["a"], 0)
        client.config_set("maxmemory", "0")

        assert caught.value.kind == "refused"
        assert await wanted.want(numbered, ["a"], 0) == 1


async def test_few_rights_are_enough(new: Open) -> None:
    """It may do all that is asked here, and no more."""
    rules = "on >pw ~ml_pipeline:* +mget +set +watch +multi +exec +pttl"
    with RedisServer() as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "mlpipeline", *rules.split())
        wanted = new(url=server.url.replace("redis://", "redis://mlpipeline:pw@"))

        assert await wanted.want(numbered, ["a"], 0) == 1
        assert await looked(wanted, ["a"]) == found(1)
