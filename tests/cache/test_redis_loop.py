"""L2 and its event loop: held up it finds what has come, closed it leaves nothing behind."""

import asyncio
import gc
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import uvloop

from tests.fakes import turns
from tests.redis_cache import (
    PATIENT_SECONDS,
    SLACK_SECONDS,
    RedisTier,
    impatient,
    kept,
    look,
    lost,
    named,
    until,
)
from tests.redis_server import RedisServer

KEY, OTHER = named(1), named(2)

loops = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


# A loop that is held up, by a long run or a large body, is no slow Redis.


class Appointment:
    """A timer that has not begun to run."""

    def __init__(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._callback, self._arguments = callback, arguments
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def __call__(self) -> None:
        if not self._cancelled:
            self._callback(*self._arguments)


class LongTimers:
    """A loop on whose long timers no real time passes; the others are as ever.

    So nothing is late because the machine is busy, and everything when a test says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._appointments: list[Appointment] = []
        self._overslept_seconds = 0.0

    def monotonic(self) -> float:
        """Tell the time, for who sets the long timers."""
        return time.monotonic() + self._overslept_seconds

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> Any:
        """Keep the timers of who has half a second, such as the tier's."""
        if delay < 0.5:
            return super().call_later(delay, callback, *args, context=context)  # type: ignore[misc]
        self._appointments.append(Appointment(callback, args))
        return self._appointments[-1]

    def oversleep(self) -> None:
        """Have all that were kept become due in this turn, as if it had taken so long."""
        self._overslept_seconds += 2 * PATIENT_SECONDS
        appointments, self._appointments = self._appointments, []
        for appointment in appointments:
            super().call_later(0.001, appointment)  # type: ignore[misc]
        time.sleep(0.01)


class HeldUpLoop(LongTimers, asyncio.SelectorEventLoop):  # type: ignore[misc]  # another handle
    """asyncio's."""


class HeldUpUvloop(LongTimers, uvloop.Loop):  # type: ignore[misc]  # its stub is none of asyncio's
    """uvloop's."""


held_up_loops = pytest.mark.parametrize(
    "new_loop", [HeldUpLoop, HeldUpUvloop], ids=["asyncio", "uvloop"]
)

NewLoop = Callable[[], HeldUpLoop | HeldUpUvloop]
HoldUp = Callable[[Callable[[], None]], None]


def in_a_turn(block: Callable[[], None]) -> None:
    """Hold the loop up in one of its turns."""
    asyncio.get_running_loop().call_soon(block)


def in_a_socket(block: Callable[[], None]) -> None:
    """Hold the loop up while it reads its sockets, as a large body does."""
    loop = asyncio.get_running_loop()
    reader, writer = socket.socketpair()

    def readable() -> None:
        loop.remove_reader(reader)
        reader.close()
        writer.close()
        block()

    loop.add_reader(reader, readable)
    writer.send(b"x")


async def held_up(
    server: RedisServer, hold_up: HoldUp, moment: int, num_before: int = 0
) -> tuple[list[bytes | None], dict[str, int]]:
    """Look up, and so many turns later hold the loop up while Redis answers, for too long.

    Gives what was found, and the failures that were counted.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LongTimers)
    tier = await RedisTier(server.url).start()
    await kept(tier, KEY)

    def block() -> None:
        server.thaw()
        with closing(server.client()) as client:
            client.ping()  # when it has an answer, so has what was asked before
        loop.oversleep()

    server.freeze()
    others = []
    for _ in range(num_before):  # these keep the lanes busy
        others.append(asyncio.create_task(look(tier.cache, OTHER)))
        await turns(2)
    asking = asyncio.create_task(look(tier.cache, KEY))
    await turns(moment)
    hold_up(block)
    found = await asking
    await asyncio.gather(*others)
    failures = tier.num_failures
    await tier.cache.aclose()
    return found, failures


@held_up_loops
@pytest.mark.parametrize("hold_up", [in_a_turn, in_a_socket], ids=lambda how: how.__name__)
@pytest.mark.parametrize("moment", range(6))
def test_loop_that_was_held_up_still_finds(
    moment: int,
    hold_up: HoldUp,
    new_loop: NewLoop,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whenever it is held up, an answer that came meanwhile is a hit, and nothing has failed."""
    loop = new_loop()
    monkeypatch.setattr("ml_pipeline.cache.redis_wire.monotonic", loop.monotonic)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        found, failures = runner.run(held_up(server, hold_up, moment))

    assert found == [KEY]
    assert failures == {}


@held_up_loops
def test_question_that_waits_for_a_lane_outlives_a_loop_that_was_held_up(
    new_loop: NewLoop, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up that could not be sent while the loop was held up is sent after it."""
    loop = new_loop()
    monkeypatch.setattr("ml_pipeline.cache.redis_wire.monotonic", loop.monotonic)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        found, failures = runner.run(held_up(server, in_a_turn, 1, num_before=3))

    assert found == [KEY]
    assert failures == {}


# The end.


async def test_close_makes_the_last_stores(server: RedisServer, client: Any) -> None:
    """What waits to be stored is stored before the connections are closed."""
    tier = await RedisTier(server.url).start()
    for number in range(300):
        tier.cache.put(named(number), b"v" * 2000, 60, impatient(0))

    await tier.cache.aclose()

    assert client.dbsize() == 300
    assert tier.num_dropped == 0


async def test_after_the_close_everything_is_a_miss(tier: RedisTier, client: Any) -> None:
    """A closed tier asks and stores nothing, however often it is closed, and has no connection."""
    await kept(tier, KEY)

    await tier.cache.aclose()
    await tier.cache.aclose()
    tier.cache.put(OTHER, b"answer", 60, impatient(0))

    assert not tier.cache.waits
    assert await look(tier.cache, KEY) == [None]
    assert tier.num_dropped == 1
    await until(lambda: len(client.client_list()) == 1)


async def test_close_answers_who_waits(server: RedisServer, tier: RedisTier) -> None:
    """Look-ups under way at the close are misses, and do not wait for ever."""
    server.freeze()
    asking = []
    for number in range(5):
        asking.append(asyncio.create_task(look(tier.cache, named(number))))
        await asyncio.sleep(0.001)

    await tier.cache.aclose()

    assert await asyncio.wait_for(asyncio.gather(*asking), SLACK_SECONDS) == [[None]] * 5


async def test_close_does_not_wait_long_for_a_frozen_redis(
    server: RedisServer, tier: RedisTier
) -> None:
    """Stores that do not arrive within a second are given up, be they one write or many."""
    await kept(tier, KEY)
    server.freeze()
    for number in range(10):
        tier.cache.put(named(number), b"v" * 200_000, 60, impatient(0))

    await asyncio.wait_for(tier.cache.aclose(), 1.0 + SLACK_SECONDS)

    assert not tier.cache.waits


async def test_close_with_nothing_to_store_does_not_wait(
    tier: RedisTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the last store has arrived the close is over."""
    monkeypatch.setattr("ml_pipeline.cache.redis_lanes.FLUSH_SECONDS", 100 * PATIENT_SECONDS)
    await kept(tier, KEY)
    await until(lambda: tier.waiting == (0, 0))

    await asyncio.wait_for(tier.cache.aclose(), PATIENT_SECONDS)

    assert not tier.cache.waits


async def eventful(server: RedisServer, noise: list[dict[str, Any]]) -> None:
    """Live through everything at once."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    tier = await RedisTier(server.url, timeout_seconds=0.05).start()
    await kept(tier, KEY)
    leaving = asyncio.create_task(look(tier.cache, KEY))
    await turns(3)
    leaving.cancel()
    server.freeze()
    await lost(tier)
    server.thaw()
    await until(lambda: tier.cache.waits)
    server.kill()
    await lost(tier)
    await tier.cache.aclose()


@loops
def test_nothing_is_left_lying_about(new_loop: Callable[[], Any]) -> None:
    """After any outage no task, exception or socket is left unattended."""
    noise: list[dict[str, Any]] = []

    with RedisServer() as server, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(eventful(server, noise))
        gc.collect()

    assert noise == []
