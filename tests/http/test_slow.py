"""Clients that keep a connection waiting: the sweep ends them, and nobody else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ml_pipeline.fronts.http.service import Patience
from tests.http.serving import (
    LARGE,
    LAST,
    SWEEP_SECONDS,
    Site,
    chunked,
    eventually,
    get,
    post,
    serving,
)

SHORT, LONG = 0.1, 60.0


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A listener that waits for nobody longer than for a moment."""
    patience = Patience(SHORT, SHORT, SHORT, SWEEP_SECONDS)
    async with serving(Site(patience=patience)) as site:
        yield site


BEGUN = {
    "nothing": b"",
    "line ends": b"\r\n\r\n",
    "half a head": get()[:20],
    "half a body": post(b"body")[:-2],
    "half a chunk": chunked(b"body", end=b"")[:-3],
    "half a trailer": chunked(b"body", end=b"0\r\nA: "),
    "nothing more": get(),
}


@pytest.mark.parametrize("sent", BEGUN.values(), ids=BEGUN)
async def test_clients_that_say_no_more_are_ended(site: Site, sent: bytes) -> None:
    """A connection on which nothing comes is ended, wherever the request stands."""
    async with site.client() as client:
        await client.send(sent)
        received = await client.rest()

    assert received.count(b"HTTP/1.1 ") == (1 if sent == get() else 0)
    assert site.num_connections == 0


@pytest.mark.parametrize("start", [get()[:-2] + b"A: ", chunked(end=b"3e8\r\n"), b""])
async def test_a_trickle_is_not_enough(site: Site, start: bytes) -> None:
    """A request that comes byte by byte has the time of any other."""
    async with site.client() as client:
        await client.send(start)
        await eventually(lambda: site.num_connections == 1)
        for _ in range(200):
            client.writer.write(b"\r\n" if not start else b"x")
            await asyncio.sleep(0.01)
            if site.num_connections == 0:
                break

        assert site.num_connections == 0
    assert site.asked == []


@pytest.mark.parametrize("sent", [b"G", get()[:20], get("/a") + get()[:20], post(b"body")[:-2]])
async def test_who_has_begun_a_request_has_less_time(site: Site, sent: bytes) -> None:
    """A connection may be idle for long, and half a request may not, whatever came before it."""
    site.patience.idle_seconds = LONG
    async with site.client() as client:
        await client.send(sent)
        await client.rest()

    assert site.num_connections == 0


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_client_that_does_not_read_is_ended(site: Site, half_closed: bool) -> None:
    """An answer that is not read is given up after a while, half-closed or not."""
    async with site.client() as client:
        client.pause()
        await client.send(get("/large"))
        if half_closed:
            client.writer.write_eof()
        await eventually(lambda: len(site.asked) == 1)
        await eventually(lambda: site.num_connections == 0)
        client.resume()

        assert len(await client.rest()) < len(LARGE)


async def test_a_client_that_reads_a_large_answer_slowly_gets_all(site: Site) -> None:
    """The last answer is not cut off by the time that is read on after it."""
    site.patience.busy_seconds = LONG
    async with site.client() as client:
        client.pause()
        await client.send(get("/large", "Connection: close"))
        await asyncio.sleep(4 * SHORT)
        client.resume()
        (answer,) = await client.answers()

    assert len(answer.body) == len(LARGE)


async def test_a_connection_is_idle_anew_after_a_large_answer(site: Site) -> None:
    """The time for reading an answer ends when it is read: the connection is idle from then."""
    site.patience.idle_seconds = LONG
    async with site.client() as client:
        client.pause()
        await site.takes(client, get("/large"))
        client.resume()
        await client.answer()
        await asyncio.sleep(3 * SHORT)
        await client.send(LAST)

        assert len(await client.answers()) == 1


async def test_who_is_being_answered_is_never_ended(site: Site) -> None:
    """An answer may take longer than any client may."""
    async with site.client() as client:
        await client.send(get("/wait"))
        await asyncio.sleep(3 * SHORT)
        site.gate.set_result(None)

        assert (await client.answer()).body == b"GET /wait "


@pytest.mark.parametrize("behind", [get("/b"), get("/b")[:10], post(b"body")[:-1]])
async def test_who_is_being_answered_may_have_begun_another(site: Site, behind: bytes) -> None:
    """A request behind the one that is answered, whole or not, shortens its time no more."""
    async with site.client() as client:
        await client.send(get("/wait"), behind)
        await asyncio.sleep(3 * SHORT)
        site.gate.set_result(None)

        assert (await client.answer()).body == b"GET /wait "


async def test_who_has_read_a_large_answer_is_being_answered(site: Site) -> None:
    """The time that a large answer may take to be read does not end the next one's."""
    async with site.client() as client:
        await client.send(get("/large") + get("/wait"))
        await client.answer()
        await eventually(lambda: len(site.asked) == 2)
        await asyncio.sleep(3 * SHORT)
        site.gate.set_result(None)

        assert (await client.answer()).body == b"GET /wait "


async def test_a_client_that_keeps_an_ended_connection_is_ended(site: Site) -> None:
    """After the last answer a client that does not hang up is hung up on."""
    async with site.client() as client:
        await client.send(LAST)
        received = await client.rest()
        await eventually(lambda: site.num_connections == 0)

    assert received.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_sends_without_end_is_ended(site: Site) -> None:
    """After a refusal, reading on has an end, however much comes."""
    async with site.client() as client:
        await client.send(b"BREW / HTTP/1.1\r\n\r\n")
        for _ in range(1000):
            client.writer.write(b"x" * 1000)
            await asyncio.sleep(0.002)
            if site.num_connections == 0:
                break

        assert site.num_connections == 0
