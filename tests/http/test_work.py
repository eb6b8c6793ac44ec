"""A coroutine driven without a task: what it awaits, returns and raises."""

import asyncio
from typing import Any

import pytest

from ml_pipeline.fronts.http.message import Reply, Request
from tests.http.serving import LAST, Site, eventually, get, serving
from tests.http.working import Log


async def test_a_result_that_is_there_at_once() -> None:
    """What awaits nothing is done before `go_on` returns."""

    async def answer() -> str:
        return "a"

    log = Log()
    log.start(answer())

    assert log.done == ["a"]


async def test_several_futures() -> None:
    """One future after the other is waited for, done ones in the same turn."""
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    futures[0].set_result("a")

    async def answer() -> str:
        return "".join([await future for future in futures])

    log = Log()
    log.start(answer())
    for future, letter in zip(futures[1:], "bc", strict=True):
        assert log.done == []
        future.set_result(letter)
        await asyncio.sleep(0)

    assert log.done == ["abc"]


async def test_what_coroutines_await() -> None:
    """Sleeps, tasks, gathered and nested ones, and pauses of one turn all come to their end."""

    async def letter(value: str) -> str:
        await asyncio.sleep(0)
        return value

    async def answer() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        both = await asyncio.gather(letter("a"), letter("b"))
        return "".join(both) + await asyncio.ensure_future(letter("c")) + await letter("d")

    log = Log()
    log.start(answer())
    await log.wait()

    assert log.done == ["abcd"]


async def test_a_failed_future_is_raised_where_it_is_awaited() -> None:
    """A coroutine may handle what it awaits, as in a task."""
    future = asyncio.get_running_loop().create_future()

    async def answer() -> str:
        try:
            return str(await future)
        except ValueError as error:
            return str(error)

    log = Log()
    log.start(answer())
    future.set_exception(ValueError("a"))
    await log.wait()

    assert log.done == ["a"]


async def test_an_exception_at_once_is_raised() -> None:
    """What a coroutine raises reaches whoever began it, and it is done without a result."""

    async def answer() -> str:
        raise ValueError("a")

    log = Log()
    with pytest.raises(ValueError, match="a"):
        log.start(answer())

    assert log.done == [None]


async def test_an_exception_later_is_told_to_the_loop() -> None:
    """What a coroutine raises after it has waited is logged by the event loop."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def answer() -> str:
        await asyncio.sleep(0)
        raise ValueError("a")

    log = Log()
    log.start(answer())
    await log.wait()

    assert log.done == [None]
    assert [str(context["exception"]) for context in told] == ["a"]


async def test_awaiting_something_strange_is_a_fault() -> None:
    """What is neither a future nor a pause ends the work, instead of leaving it for ever."""

    class Strange:
        def __await__(self) -> Any:
            yield "strange"

    async def answer() -> str:
        await Strange()
        return "a"

    log = Log()
    with pytest.raises(AttributeError):
        log.start(answer())

    assert log.done == [None]


# What becomes of the connection.


class Faulty(Site):
    """Fails by `/fail`, loses its future by `/lose`, answers what is no HTTP by `/nonsense`."""

    may_fail = True

    async def answer(self, request: Request) -> Reply:
        """Answer a request, or do not."""
        if "later" in request.query_string.decode():
            await asyncio.sleep(0)
        if request.path == "/fail":
            raise ValueError("a fault")
        if request.path == "/lose":
            raise asyncio.CancelledError
        if request.path == "/nonsense":
            return Reply(999, [], b"")
        return await super().answer(request)


@pytest.mark.parametrize("query", ["", "?later"])
@pytest.mark.parametrize("path", ["/fail", "/lose", "/nonsense"])
async def test_a_request_without_an_answer_ends_its_connection(path: str, query: str) -> None:
    """Where no answer will ever come the client is hung up on, and the next one is served."""
    async with serving(Faulty()) as site, site.client() as client:
        await client.send(get(path + query) + get("/b") + get("/c"))
        received = await client.rest()
        await eventually(lambda: site.num_connections == 0)
        after = await site.exchange(LAST)

    assert received == b""
    assert len(site.asked) == 1
    assert len(after) == 1
    assert len(site.faults) == (path != "/lose")
