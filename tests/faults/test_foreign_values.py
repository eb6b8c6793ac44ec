"""What stands under our keys and is not ours is a miss, and is replaced."""

from collections.abc import Callable
from contextlib import closing

from redis import Redis

from tests.faults.conftest import Serve
from tests.faults.load import ReplicaLoad, under_load
from tests.faults.replica import metric
from tests.redis_server import RedisServer
from tests.server import wait_until

UNREADABLE = 'ml_api_redis_lookups_total{result="unreadable"}'
KEYS = "ml_pipeline:answer:*"
NUM_ANSWERS = 200

Values = dict[bytes, bytes]


def junk(values: Values) -> Values:
    return dict.fromkeys(values, b'{"predictions":[7],"probabilities":[[1.0,0.0,0.0]]}')


def nothing(values: Values) -> Values:
    return dict.fromkeys(values, b"")


def of_another_key(values: Values) -> Values:
    return dict(zip(values, reversed(values.values()), strict=True))


def cut_short(values: Values) -> Values:
    return {key: value[:-1] for key, value in values.items()}


def only_the_header(values: Values) -> Values:
    return {key: value[:12] for key, value in values.items()}


def one_bit_turned(values: Values) -> Values:
    """Make another digit of the first probability."""
    turned = {}
    for key, value in values.items():
        at = value.index(b"[[0.") + 4
        turned[key] = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    return turned


def overwrite(client: Redis, spoil: Callable[[Values], Values]) -> None:
    """Replace every answer in one transaction."""
    values: Values = {}
    for key in client.keys(KEYS):
        value = client.get(key)
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        values[key] = value
    pipeline = client.pipeline()
    for key, value in spoil(values).items():
        pipeline.set(key, value)
    pipeline.execute()


SPOILS = [junk, nothing, of_another_key, cut_short, only_the_header, one_bit_turned]


def test_foreign_strings(serve: Serve) -> None:
    """A string that is not what was stored under its key is counted unreadable, and replaced."""
    with under_load(serve) as (server, load, client):
        num_unreadable = {}
        for spoil in SPOILS:
            client.flushdb()  # of what the last one has left
            wait_until(lambda: client.dbsize() > NUM_ANSWERS)
            before = metric(server, UNREADABLE)
            overwrite(client, spoil)
            load.go_on(0.2)
            num_unreadable[spoil.__name__] = metric(server, UNREADABLE) - before
        load.wait_for("redis")

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}
    assert all(number > 0 for number in num_unreadable.values()), num_unreadable


def test_foreign_types(serve: Serve) -> None:
    """Lists and hashes under our keys are misses, and are replaced."""
    with (
        RedisServer() as redis,
        ReplicaLoad(serve(redis.url)) as load,
        closing(redis.client()) as client,
    ):
        load.wait_for("redis")
        keys = client.keys(KEYS)
        pipeline = client.pipeline()
        for number, key in enumerate(keys):
            pipeline.delete(key)
            if number % 2:
                pipeline.rpush(key, b"one", b"two")
            else:
                pipeline.hset(key, "one", "two")
        pipeline.execute()
        load.wait_for("redis")

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}
    assert len(keys) > 0
