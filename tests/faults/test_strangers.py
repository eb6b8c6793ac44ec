"""Something else listens where Redis should: it is not used, and its place can be taken."""

from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.conftest import Serve
from tests.faults.load import ReplicaLoad
from tests.faults.replica import state_of
from tests.faults.stranger import LIES, MESSAGES, SILLY, Liar, Stranger, Talk
from tests.redis_server import RedisServer
from tests.server import wait_until

TIMES = 5


def recover(load: ReplicaLoad, port: int) -> None:
    """Put a Redis where the stranger was, and wait until it is used for answers and messages."""
    with RedisServer(port=port) as redis, closing(redis.client()) as client:
        load.wait_for("redis")
        wait_until(lambda: client.pubsub_numsub("ml_pipeline:reload:0")[0][1] == 1)


@pytest.mark.parametrize("new_talk", SILLY)
def test_what_is_no_redis_is_not_used(serve: Serve, new_talk: Callable[[], Talk]) -> None:
    """A program that is no Redis is told in `/health`; a Redis that takes its place is found."""
    with Stranger(new_talk) as stranger, ReplicaLoad(server := serve(stranger.url)) as load:
        load.wait_for("coalesced")
        load.go_on(0.5)
        status, reason = state_of(server, "redis")
        states = load.states
        stranger.leave()
        recover(load, stranger.port)

    assert load.faults == []
    assert states == {"miss", "coalesced"}
    assert status == "degraded"
    assert reason


@pytest.mark.parametrize("kind", LIES)
def test_a_liar_spoils_no_answer(serve: Serve, kind: str) -> None:
    """What pretends to be a Redis costs nothing; a Redis that takes its place is found."""
    liar = Liar(LIES[kind])
    with Stranger(liar.new_talk) as stranger, ReplicaLoad(serve(stranger.url)) as load:
        wait_until(lambda: all(liar.told[lie] >= TIMES for lie in LIES[kind]))
        states = load.states
        stranger.leave()
        recover(load, stranger.port)

    assert load.faults == []
    assert states == {"miss", "coalesced"}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_senseless_message_is_survived(serve: Serve, message: str) -> None:
    """After a message that means nothing a server goes on listening for others."""
    liar = Liar({}, MESSAGES[message])
    with Stranger(liar.new_talk) as stranger, ReplicaLoad(serve(stranger.url)) as load:
        load.go_on(0.5)
        stranger.leave()
        recover(load, stranger.port)

    assert load.faults == []
