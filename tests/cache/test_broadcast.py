"""Messages to all replicas: heard by those that listen, and found later by those that did not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import redis

from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.cache.redis_errors import RedisFailure
from ml_pipeline.replicas.broadcast import Broadcast
from ml_pipeline.replicas.signature import Signature
from tests.redis_cache import until
from tests.redis_server import RedisServer

KEPT_SECONDS = 1000


class Ear:
    """Keeps what it is told, and whether that was kept; topics are the test's to change."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.told: list[tuple[bytes, bool]] = []
        self.num_listening = 0

    def topics(self) -> Sequence[str]:
        return self.wanted

    async def on_message(self, message: bytes, kept: bool) -> None:
        self.told.append((message, kept))

    async def on_listening(self) -> None:
        self.num_listening += 1


Join = Callable[..., Awaitable[Broadcast]]


@pytest.fixture
async def join(server: RedisServer) -> AsyncIterator[Join]:
    """Begin to listen, or only to speak where there is nobody to tell."""
    joined: list[Broadcast] = []

    async def connected() -> None:
        pass

    async def join(
        ear: Ear | None = None, name: str = "test", token: str = "", **options: float
    ) -> Broadcast:
        listener = ear or Ear()
        broadcast = Broadcast(
            RedisEndpoint(server.url),
            Signature(token, lambda place: None),
            name,
            listener,
            lambda reason: None,
            kept_seconds=KEPT_SECONDS,
            **options,
        )
        joined.append(broadcast)
        if ear is not None:
            broadcast.start(connected)
            await until(lambda: ear.num_listening)
        return broadcast

    yield join
    for broadcast in joined:
        await broadcast.aclose()


async def test_messages_are_heard_by_name(join: Join) -> None:
    """Who listens under another name is not told."""
    ear, other = Ear(), Ear()
    await join(ear)
    await join(other, "other")

    await (await join()).publish(b"news", [])
    await until(lambda: ear.told)

    assert ear.told == [(b"news", False)]
    assert other.told == []


async def test_messages_are_kept_under_their_topics(join: Join, client: "redis.Redis") -> None:
    """For as long as is said, and for those that ask for the topic."""
    await (await join()).publish(b"news", ["a", "b"])
    ear, other = Ear(), Ear()
    ear.wanted, other.wanted = ["b", "c"], ["d"]

    await join(ear)
    await join(other)

    assert ear.told == [(b"news", True)]
    assert other.told == []
    assert KEPT_SECONDS - 10 < int(client.ttl("ml_pipeline:test:last:a")) <= KEPT_SECONDS


async def test_a_topic_that_comes_later_is_looked_up(join: Join) -> None:
    """Once, with the next message or sign of life."""
    speaker = await join()
    await speaker.publish(b"old", ["a"])
    ear = Ear()
    await join(ear)
    ear.wanted = ["a"]

    await speaker.publish(b"one", [])
    await until(lambda: len(ear.told) == 2)
    await speaker.publish(b"two", [])
    await until(lambda: len(ear.told) == 3)

    assert ear.told == [(b"one", False), (b"old", True), (b"two", False)]


async def test_what_is_kept_can_be_asked_for(join: Join) -> None:
    """Each message once, whatever topics it is under."""
    broadcast = await join()
    await broadcast.publish(b"news", ["a", "b"])

    assert await broadcast.kept(["a", "b", "c"]) == [b"news"]
    assert await broadcast.kept(["c"]) == await broadcast.kept([]) == []


async def test_a_dead_redis_is_told(join: Join) -> None:
    """Nobody takes silence for having been heard."""
    with RedisServer() as dead:
        dead.kill()
        broadcast = Broadcast(
            RedisEndpoint(dead.url),
            Signature("", print),
            "test",
            Ear(),
            print,
            kept_seconds=1,
        )
        with pytest.raises(RedisFailure):
            await broadcast.publish(b"news", ["a"])
        with pytest.raises(RedisFailure):
            await broadcast.kept(["a"])


async def test_a_subscription_is_renewed(join: Join) -> None:
    """So that what Redis has thrown out is put back."""
    ear = Ear()
    await join(ear, renew_seconds=0.0)
    await until(lambda: ear.num_listening >= 2)

    assert ear.num_listening >= 2


async def test_what_is_not_signed_is_passed_over(join: Join, client: "redis.Redis") -> None:
    """Published or kept, by who has no token, another one, or a signature of other words."""
    ear = Ear()
    ear.wanted = ["forged", "moved"]
    await (await join(token="another")).publish(b"forged", ["forged"])
    own = await join(token="secret")
    await own.publish(b"moved", [])
    await (await join(name="elsewhere", token="secret")).publish(b"moved", ["moved"])
    moved = client.get("ml_pipeline:elsewhere:last:moved")
    assert moved is not None
    client.set("ml_pipeline:test:last:moved", moved)
    await join(ear, token="secret")

    client.publish("ml_pipeline:test:0", b"forged")
    client.publish("ml_pipeline:test:0", moved)
    await (await join(token="another")).publish(b"forged", [])
    await own.publish(b"news", [])
    await until(lambda: ear.told)

    assert ear.told == [(b"news", False)]
