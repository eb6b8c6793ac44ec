"""Long work in short pieces: who gets a turn when."""

import asyncio
import time

import pytest

from ml_pipeline.engine.wire.turns import Steps, Turns, at_once
from ml_pipeline.errors import DeadlineExceeded, InvalidInput

LATER = float("inf")


def counting(name: str, pieces: int, log: list[str]) -> Steps[str]:
    """Work of so many pieces, each of which leaves its name."""
    for number in range(pieces):
        log.append(f"{name}{number}")
        if number < pieces - 1:
            yield
    return name


async def test_the_loop_gets_a_turn_between_pieces() -> None:
    """Whatever else is ready goes first."""
    log: list[str] = []
    work = asyncio.create_task(Turns().take(counting("a", 3, log), LATER))
    await asyncio.sleep(0)
    while not work.done():
        log.append("loop")
        await asyncio.sleep(0)

    assert work.result() == "a"
    assert log[0] == "a0"
    assert log.index("a2") - log.index("a1") > 1
    assert "loop" in log[log.index("a1") : log.index("a2")]


async def test_one_work_is_gone_on_with() -> None:
    """A second waits with its second piece until the first has ended."""
    log: list[str] = []
    turns = Turns()

    await asyncio.gather(*(turns.take(counting(name, 3, log), LATER) for name in "ab"))

    assert log == ["a0", "b0", "a1", "a2", "b1", "b2"]


async def test_what_takes_one_piece_waits_for_nobody() -> None:
    """However much is under way."""
    log: list[str] = []
    turns = Turns()
    long = asyncio.create_task(turns.take(counting("a", 1000, log), LATER))
    await asyncio.sleep(0)

    assert await turns.take(counting("b", 1, log), LATER) == "b"
    assert not long.done()
    assert await long == "a"


async def test_a_deadline_ends_it() -> None:
    """And the next gets its turn."""
    log: list[str] = []
    turns = Turns()

    with pytest.raises(DeadlineExceeded):
        await turns.take(counting("a", 3, log), time.monotonic() - 1.0)

    assert log == ["a0"]
    assert await turns.take(counting("b", 2, log), LATER) == "b"


async def test_nobody_waits_for_a_turn_beyond_the_deadline() -> None:
    """However long another's work takes."""
    turns = Turns()
    long = asyncio.create_task(turns.take(counting("a", 10_000, []), LATER))
    await asyncio.sleep(0)

    with pytest.raises(DeadlineExceeded, match="before a large body had its turn"):
        await turns.take(counting("b", 2, []), time.monotonic() + 0.01)

    assert not long.done()
    assert await long == "a"


async def test_no_task_is_needed() -> None:
    """Hot routes have none, and may have to wait for others all the same."""
    turns = Turns()
    long = asyncio.create_task(turns.take(counting("a", 3, []), LATER))
    await asyncio.sleep(0)
    route = turns.take(counting("b", 2, []), time.monotonic() + 10.0)

    loop = asyncio.get_running_loop()
    loop.call_soon(route.send, None)
    assert await long == "a"
    route.close()

    assert await turns.take(counting("c", 2, []), LATER) == "c"


async def test_who_leaves_holds_nobody_up() -> None:
    """A client that has gone takes its work with it."""
    log: list[str] = []
    turns = Turns()
    left = asyncio.create_task(turns.take(counting("a", 1000, log), LATER))
    waits = asyncio.create_task(turns.take(counting("b", 2, log), LATER))
    await asyncio.sleep(0)
    left.cancel()

    assert await waits == "b"
    assert len(log) < 10


async def test_an_error_reaches_its_own_caller() -> None:
    """Whichever piece it is of."""

    def failing() -> Steps[None]:
        yield
        raise InvalidInput("data: expected something else")

    turns = Turns()
    with pytest.raises(InvalidInput, match="something else"):
        await turns.take(failing(), LATER)

    assert await turns.take(counting("b", 2, []), LATER) == "b"


def test_short_work_needs_no_loop() -> None:
    """It is done in one go."""
    assert at_once(counting("a", 3, [])) == "a"
