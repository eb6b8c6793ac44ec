"""CACHE_POLICY over HTTP: asked for each key, for some, or for none, of a real Redis."""

from collections.abc import Iterator

import pytest

from tests.faults.replica import metric
from tests.redis_server import RedisServer
from tests.server import Server, wait_until

LEFT_OUT = 'ml_api_redis_lookups_total{result="left_out"}'
ENOUGH = 400
"""Requests after which the hit rate is believed, and many more."""


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis for all."""
    with RedisServer() as redis:
        yield redis.url


def ask(server: Server, number: int) -> str:
    """Ask for a row of its own, and give where the answer came from."""
    answer = server.client.post("/predict", json={"data": [[float(number), *[1.0] * 9]]})
    assert answer.status_code == 200
    return answer.headers["x-cache"]


def test_off_caches_nowhere(redis_url: str) -> None:
    """Neither tier is read or written, though there is room in one and the other is there."""
    with Server(REDIS_URL=redis_url, CACHE_POLICY="off") as server:
        assert [ask(server, 1), ask(server, 1)] == ["bypass", "bypass"]


def test_auto_leaves_out_what_does_not_pay(redis_url: str) -> None:
    """Rows that never repeat, for a model quicker than Redis, are mostly not looked up."""
    with Server(REDIS_URL=redis_url) as server:
        states = {ask(server, 10_000 + number) for number in range(ENOUGH)}

        assert states == {"miss"}
        assert metric(server, LEFT_OUT) > ENOUGH / 10


def test_always_leaves_out_nothing(redis_url: str) -> None:
    """Each row is looked up, whether it pays or not."""
    with Server(REDIS_URL=redis_url, CACHE_POLICY="always") as server:
        for number in range(ENOUGH):
            ask(server, 20_000 + number)

        assert metric(server, LEFT_OUT) == 0


def test_what_one_replica_answered_another_finds() -> None:
    """An answer is shared through Redis, and near from then on."""
    with (
        RedisServer() as redis,
        redis.client() as client,
        Server(REDIS_URL=redis.url) as one,
        Server(REDIS_URL=redis.url) as two,
    ):
        first = ask(one, 3)
        wait_until(lambda: client.dbsize() == 1)  # stores go out behind the answer
        others = [ask(two, 3), ask(two, 3)]

    assert (first, *others) == ("miss", "redis", "l1")
