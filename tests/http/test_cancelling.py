"""A coroutine driven without a task, when nobody wants its result any more."""

import asyncio

from tests.http.working import Log


class Waiting:
    """Waits for futures, and tells how that went."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.first = asyncio.get_running_loop().create_future()
        self.second = asyncio.get_running_loop().create_future()

    async def answer(self) -> str:
        """Wait for both."""
        try:
            await self.first
            self.events.append("first")
            await self.second
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        return "a"


async def test_cancel_cancels_what_is_awaited() -> None:
    """The future is cancelled, and CancelledError raised where it is awaited."""
    log, waiting = Log(), Waiting()
    work = log.start(waiting.answer())

    work.cancel()
    await log.wait()

    assert waiting.first.cancelled()
    assert waiting.events == ["cancelled"]
    assert log.done == [None]


async def test_cancel_in_the_turn_of_the_result() -> None:
    """A future that was done just before stops nothing: the coroutine is cancelled there."""
    log, waiting = Log(), Waiting()
    work = log.start(waiting.answer())

    waiting.first.set_result(None)
    work.cancel()
    await log.wait()

    assert waiting.events == ["cancelled"]
    assert log.done == [None]


async def test_cancel_in_a_pause() -> None:
    """`asyncio.sleep(0)` is a place to be cancelled at."""
    events = []

    async def answer() -> str:
        try:
            await asyncio.sleep(0)
        finally:
            events.append("left")
        return "a"

    log = Log()
    log.start(answer()).cancel()
    await log.wait()

    assert (events, log.done) == (["left"], [None])


async def test_a_coroutine_may_clean_up() -> None:
    """What is awaited after CancelledError is waited for."""
    log, waiting = Log(), Waiting()

    async def answer() -> str:
        try:
            await waiting.answer()
        finally:
            await asyncio.sleep(0.001)
            waiting.events.append("clean")
        return "a"

    log.start(answer()).cancel()
    await log.wait()

    assert waiting.events == ["cancelled", "clean"]
    assert log.done == [None]


async def test_cancel_after_the_end_is_harmless() -> None:
    """What is done stays done."""
    log, waiting = Log(), Waiting()
    work = log.start(waiting.answer())
    waiting.first.set_result(None)
    waiting.second.set_result(None)
    await log.wait()

    work.cancel()
    work.cancel()

    assert log.done == ["a"]


async def test_a_future_that_somebody_else_cancels() -> None:
    """Work whose future is cancelled by its maker is done, without a result."""
    log, waiting = Log(), Waiting()
    log.start(waiting.answer())

    waiting.first.cancel()
    await log.wait()

    assert log.done == [None]
