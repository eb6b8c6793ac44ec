"""A Redis that does not keep what it is given: what it holds is found all the same."""

from contextlib import closing

from tests.faults.conftest import Serve
from tests.faults.load import ReplicaLoad, under_load
from tests.faults.replica import health, metric
from tests.redis_server import RedisServer
from tests.server import wait_until

ROOM_BYTES = 100_000
TIMEOUTS = 'ml_api_redis_failures_total{kind="timeout"}'
REFUSED = 'ml_api_redis_failures_total{kind="refused"}'


def test_eviction(serve: Serve) -> None:
    """A Redis with room for a few hundred answers, which evicts, is used as far as it goes."""
    with (
        RedisServer("--maxmemory-policy", "allkeys-lru") as redis,
        ReplicaLoad(serve(redis.url)) as load,
        closing(redis.client()) as client,
    ):
        load.wait_for("redis")
        # Redis 7 with these connections takes 1.1 MB when it is empty: 1mb would be no room at all.
        client.config_set("maxmemory", client.info("memory")["used_memory"] + ROOM_BYTES)
        wait_until(lambda: client.info("stats")["evicted_keys"] > 0)
        load.go_on(0.5)
        load.wait_for("redis")

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}


def test_full(serve: Serve) -> None:
    """A full Redis that refuses stores still answers; when there is room it is stored to again."""
    with under_load(serve) as (server, load, client):
        load.wait_for("redis")
        client.config_set("maxmemory", 1)
        wait_until(lambda: metric(server, REFUSED) > 0)
        num_keys = client.dbsize()
        load.wait_for("redis")
        load.go_on(0.5)
        num_keys_full = client.dbsize()
        connected = health(server)["redis_connected"]
        client.config_set("maxmemory", 0)
        wait_until(lambda: client.dbsize() > num_keys)
        load.wait_for("redis")

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}
    assert num_keys_full == num_keys
    assert connected


def test_stores_that_take_long(serve: Serve) -> None:
    """While Redis lets stores wait, look-ups go on; later it is stored to again."""
    with under_load(serve) as (server, load, client):
        load.wait_for("redis")
        num_keys = client.dbsize()
        client.client_pause(3500, all=False)
        wait_until(lambda: metric(server, TIMEOUTS) > 2)
        load.wait_for("redis")
        status = health(server)["status"]
        wait_until(lambda: client.dbsize() > num_keys + 100)

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}
    assert status == "healthy"
