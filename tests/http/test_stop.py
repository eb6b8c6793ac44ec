"""How a listener ends, and how many connections it takes."""

import asyncio

import pytest

from tests.http.serving import LARGE, LAST, Site, chunked, eventually, get, post, serving


async def closed(site: Site) -> None:
    """Wait until the last connection is closed; TimeoutError if that takes seconds."""
    async with asyncio.timeout(3.0):
        await site.listener.wait_closed()


async def test_stop_without_connections(site: Site) -> None:
    """A listener that nobody is connected to is closed at once."""
    site.listener.stop()
    await closed(site)

    assert site.num_connections == 0


async def test_stop_accepts_no_more(site: Site) -> None:
    """After a stop nobody can connect."""
    site.listener.stop()
    await asyncio.sleep(0.01)

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", site.port)


@pytest.mark.parametrize("sent", [b"", get()[:10], post(b"body")[:30]])
async def test_stop_ends_who_has_not_asked(site: Site, sent: bytes) -> None:
    """Connections without a whole head end at once, without an answer."""
    async with site.client() as client:
        await client.send(sent)
        await eventually(lambda: site.num_connections == 1)
        site.listener.stop()

        assert await client.rest() == b""
        await closed(site)


async def test_stop_lets_answers_be_sent(site: Site) -> None:
    """Who is being answered gets the answer, with all that waits behind, and then the end."""
    async with site.client() as client:
        await site.takes(client, get("/wait") + get("/b"))
        site.listener.stop()
        site.gate.set_result(None)
        answers = await client.answers()

    assert [answer.body for answer in answers] == [b"GET /wait ", b"GET /b "]
    await closed(site)


HALF = {
    "with a length": (post(b"body")[:-1], b"y"),
    "without a byte of it": (post(b"body")[:-4], b"body"),
    "in chunks": (chunked(b"bo", b"dy")[:-10], chunked(b"bo", b"dy")[-10:]),
    "behind another": (get("/a") + post(b"body")[:-1], b"y"),
}
"""Requests whose bodies are half sent, and the rest."""


@pytest.mark.parametrize(("half", "rest"), HALF.values(), ids=HALF)
async def test_stop_lets_a_body_come(site: Site, half: bytes, rest: bytes) -> None:
    """A request whose head has been read is answered when its body comes, and is the last."""
    async with site.client() as client:
        await client.send(half)
        await asyncio.sleep(0.02)
        site.listener.stop()
        await asyncio.sleep(0.02)
        await client.send(rest + get("/behind"))
        answers = await client.answers()

    assert answers[-1].body == b"POST / body"
    assert [request.path for request in site.asked if request.path == "/behind"] == []
    await closed(site)


@pytest.mark.parametrize(("half", "_"), HALF.values(), ids=HALF)
async def test_a_body_that_does_not_come_is_answered(site: Site, half: bytes, _: bytes) -> None:
    """When there is no time left, its client is told so, and then is hung up on."""
    async with site.client() as client:
        await client.send(half)
        await asyncio.sleep(0.02)
        site.listener.stop()
        site.listener.refuse_half_read()
        answers = await client.answers()

    assert answers[-1].status == 503
    assert answers[-1].headers["connection"] == "close"
    assert answers[-1].body.startswith(b"body: expected its end")
    await closed(site)


async def test_a_body_that_comes_together_with_its_refusal_is_answered_once(site: Site) -> None:
    """What is sent on behind the answer is no request."""
    async with site.client() as client:
        await client.send(post(b"body")[:-1])
        await asyncio.sleep(0.02)
        site.listener.stop()
        site.listener.refuse_half_read()
        await client.send(b"y" + get("/behind"))
        answers = await client.answers()

    assert [answer.status for answer in answers] == [503]
    assert len(site.asked) == 1


async def test_stop_lets_a_large_answer_be_read(site: Site) -> None:
    """An answer that is half sent when the listener stops comes whole."""
    async with site.client() as client:
        client.pause()
        await site.takes(client, get("/large"))
        await asyncio.sleep(0.02)
        site.listener.stop()
        client.resume()
        (answer,) = await client.answers()

    assert len(answer.body) == len(LARGE)
    await closed(site)


async def test_stop_in_the_turn_of_an_answer(site: Site) -> None:
    """An answer that is ready, but not on its way when the listener stops, is sent."""
    site.patience.linger_seconds = 0.1
    async with site.client() as client:
        await client.send(get("/stop"))
        answers = await client.answers()

        assert [answer.status for answer in answers] == [200]
        await closed(site)  # though the client stays


async def test_a_client_that_stays_does_not_hold_up_the_end(site: Site) -> None:
    """A client that keeps its connection after the last answer is hung up on in time."""
    site.patience.linger_seconds = 0.1
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        site.listener.stop()
        site.gate.set_result(None)
        received = await client.rest()
        await closed(site)

    assert received.startswith(b"HTTP/1.1 200 ")


async def test_a_second_stop_is_harmless(site: Site) -> None:
    """Stopping twice is stopping once."""
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        site.listener.stop()
        site.listener.stop()
        site.gate.set_result(None)

        assert len(await client.answers()) == 1
    await closed(site)


async def test_abort_ends_what_is_left(site: Site) -> None:
    """Connections end at once, and what is worked out for them is cancelled."""
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        site.listener.stop()
        site.listener.abort()

        assert await client.rest() == b""
        await closed(site)
    await eventually(lambda: site.left == ["/wait"])


# How many.


async def test_one_connection_too_many_is_hung_up_on() -> None:
    """Beyond the bound a client is hung up on, and those within it are served."""
    async with serving(Site(max_connections=2)) as site, site.client() as a, site.client() as b:
        await eventually(lambda: site.num_connections == 2)
        async with site.client() as third:
            refused = await third.rest()
        await a.send(LAST)
        await b.send(LAST)
        served = [await a.answers(), await b.answers()]

    assert refused == b""
    assert [len(answers) for answers in served] == [1, 1]


async def test_room_is_made_by_who_leaves() -> None:
    """After one of too many has left the next is served."""
    async with serving(Site(max_connections=1)) as site:
        async with site.client():
            await eventually(lambda: site.num_connections == 1)
            async with site.client() as refused:
                await refused.rest()
        await eventually(lambda: site.num_connections == 0)

        assert len(await site.exchange(LAST)) == 1
