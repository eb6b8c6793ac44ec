"""Fixtures of the shared tier: one redis-server for all tests that leave it as it was."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis

from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.cache.redis_link import RedisLink
from tests.redis_cache import RedisTier
from tests.redis_server import RedisServer

OpenTier = Callable[..., Awaitable[RedisTier]]
NewLink = Callable[[str], RedisLink]


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    """A server that no test kills, reconfigures, or leaves frozen."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(shared_server: RedisServer) -> Iterator["redis.Redis"]:
    """To look and meddle with; the server is empty and has counted nothing yet."""
    with shared_server.client() as client:
        client.flushall()
        client.config_resetstat()
        yield client


@pytest.fixture
def server(shared_server: RedisServer, client: "redis.Redis") -> Iterator[RedisServer]:
    """The shared server, empty; it may be frozen."""
    yield shared_server
    shared_server.thaw()


@pytest.fixture
async def open_tier() -> AsyncIterator[OpenTier]:
    """Connect to a server and give the tier; closed at the end of the test."""
    opened: list[RedisTier] = []

    async def connect(server: RedisServer, *, timeout_seconds: float = 10.0) -> RedisTier:
        tier = RedisTier(server.url, timeout_seconds=timeout_seconds)
        opened.append(tier)
        return await tier.start()

    yield connect
    for tier in opened:
        await tier.cache.aclose()


@pytest.fixture
async def tier(server: RedisServer, open_tier: OpenTier) -> RedisTier:
    """Connected to the shared server, and patient."""
    return await open_tier(server)


@pytest.fixture
async def new_link() -> AsyncIterator[NewLink]:
    """Make a link, which is closed at the end."""
    links: list[RedisLink] = []

    def make(url: str) -> RedisLink:
        links.append(RedisLink(RedisEndpoint(url)))
        return links[-1]

    yield make
    for link in links:
        link.drop()
