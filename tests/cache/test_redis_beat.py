"""What is told of Redis is looked at each second, though nobody asks anything of it."""

from collections.abc import AsyncIterator

import pytest

from ml_pipeline.cache.redis_endpoint import CONNECT_SECONDS
from ml_pipeline.cache.redis_errors import CLUSTER, REPLICA
from ml_pipeline.cache.redis_lanes import BEAT_SECONDS
from tests.cache.conftest import OpenTier
from tests.fakes import BUDGET
from tests.redis_cache import (
    PATIENT_SECONDS,
    SLACK_SECONDS,
    RedisTier,
    kept,
    look,
    named,
    num_calls,
    until,
)
from tests.redis_server import RedisServer, cluster_options

KEY = named(1)
NOTICED_SECONDS = BEAT_SECONDS + CONNECT_SECONDS + SLACK_SECONDS


async def test_a_redis_that_died_is_told_though_nobody_asks(open_tier: OpenTier) -> None:
    """Frozen, then going on, then killed: each is noticed by itself, and so is its return."""
    with RedisServer() as server:
        tier = await open_tier(server)
        server.freeze()
        await until(lambda: not tier.cache.waits, NOTICED_SECONDS)
        server.thaw()
        await until(lambda: tier.cache.waits)
        server.kill()
        await until(lambda: not tier.cache.waits, NOTICED_SECONDS)
        reason = tier.cache.reason
        server.start()
        await until(lambda: tier.cache.waits)

    assert reason
    assert [found for found, _ in tier.changes] == [True, False, True, False, True]


async def test_a_master_that_was_demoted_is_left(open_tier: OpenTier) -> None:
    """After a failover nothing is asked of it, and its connections are closed, until it is one."""
    with RedisServer() as server, server.client() as client:
        tier = await open_tier(server)
        await kept(tier, KEY)
        client.replicaof("127.0.0.1", "1")
        await until(lambda: not tier.cache.waits, NOTICED_SECONDS)
        await until(lambda: len(client.client_list(_type="normal")) <= 2)  # this, and a probe
        reason, failures = tier.cache.reason, tier.num_failures["replica"]
        client.replicaof("NO", "ONE")
        await until(lambda: tier.cache.waits)
        await kept(tier, KEY)

    assert reason == REPLICA
    assert failures >= 1


async def test_a_refused_store_tells_of_a_demoted_master(
    open_tier: OpenTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it comes before the next look."""
    monkeypatch.setattr("ml_pipeline.cache.redis_lanes.BEAT_SECONDS", 1000.0)
    with RedisServer() as server, server.client() as client:
        tier = await open_tier(server)
        await kept(tier, KEY)
        client.replicaof("127.0.0.1", "1")
        tier.cache.put(KEY, KEY, 60, BUDGET)
        await until(lambda: not tier.cache.waits)

        assert tier.cache.reason == REPLICA
        assert tier.num_failures["replica"] >= 1


@pytest.fixture
async def cluster() -> AsyncIterator[RedisServer]:
    """A node of a Redis Cluster."""
    with RedisServer(*cluster_options()) as server:
        yield server


async def test_a_cluster_is_not_asked(cluster: RedisServer) -> None:
    """It is told what was found, no look-up is made, and no part of a reply is shown."""
    tier = RedisTier(cluster.url)
    await tier.cache.start()
    found = await look(tier.cache, KEY, named(2))
    with cluster.client() as client:
        num_asked = num_calls(client, "mget")
    misfit, reason = tier.cache.misfit, tier.cache.reason
    await tier.cache.aclose()

    assert found == [None, None]
    assert num_asked == 0
    assert misfit == reason == CLUSTER


async def test_a_cluster_that_comes_later_is_told(cluster: RedisServer) -> None:
    """A place where Redis is not yet at the start is looked at all the same."""
    cluster.kill()
    tier = RedisTier(cluster.url)
    await tier.cache.start()
    cluster.start()
    await until(lambda: tier.cache.misfit, PATIENT_SECONDS)
    reason, waits = tier.cache.reason, tier.cache.waits
    await tier.cache.aclose()

    assert (reason, waits) == (CLUSTER, False)
