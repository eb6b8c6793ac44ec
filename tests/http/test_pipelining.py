"""Requests that come before the answers to those in front of them."""

import asyncio

from tests.http.serving import LARGE, LAST, Site, eventually, get, post

MANY = 5000


async def test_answers_keep_the_order_of_requests(site: Site) -> None:
    """What is ready at once waits for what is not."""
    async with site.client() as client:
        await client.send(get("/wait") + get("/a") + post(b"b") + LAST)
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        answers = await client.answers()

    bodies = [answer.body for answer in answers]
    assert bodies == [b"GET /wait ", b"GET /a ", b"POST / b", b"GET /last "]


async def test_requests_are_answered_one_at_a_time(site: Site) -> None:
    """Nobody is asked for the second answer before the first is there."""
    async with site.client() as client:
        await client.send(get("/wait") + get("/wait"))
        await eventually(lambda: len(site.asked) == 1)
        await asyncio.sleep(0.02)

        assert len(site.asked) == 1


async def test_thousands_behind_one_that_waits(site: Site) -> None:
    """However many answers are ready at once, all come, in their order."""
    async with site.client() as client:
        await client.send(get("/wait") + b"".join(get(f"/{i}") for i in range(MANY)) + LAST)
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        answers = await client.answers()

    assert [answer.body for answer in answers[1:-1]] == [b"GET /%d " % i for i in range(MANY)]


async def test_thousands_that_all_wait(site: Site) -> None:
    """Answers that each come in a later turn of the event loop come all."""
    site.gate.set_result(None)

    answers = await site.exchange(get("/wait") * MANY + LAST)

    assert len(answers) == MANY + 1


async def test_heads_across_reads_are_no_long_head(site: Site) -> None:
    """Reads that begin and end within heads of different requests refuse none of them."""
    request = get("/a", "X: " + "x" * 50_000)

    answers = await site.exchange(request * 40 + LAST)

    assert {answer.status for answer in answers} == {200}
    assert len(answers) == 41


async def test_reading_pauses_behind_one_that_waits(site: Site) -> None:
    """A client that goes on sending is held up, and what it has sent is not kept whole."""
    flood = post(b"x" * 1000) * 20_000
    async with site.client() as client:
        client.writer.write(get("/wait") + flood)
        await asyncio.sleep(0.1)
        unsent = client.writer.transport.get_write_buffer_size()

        site.gate.set_result(None)
        await client.send(LAST)
        answers = await client.answers()

    assert unsent > 5_000_000
    assert len(answers) == 20_002


async def test_reading_goes_on_while_the_last_that_waited_is_answered(site: Site) -> None:
    """Reading goes on as soon as none waits, though one is being answered."""
    async with site.client() as client:
        await client.send(get("/a") + get("/wait") + get("/b"), get("/c"))
        await eventually(lambda: len(site.asked) == 2)
        site.gate.set_result(None)
        await client.send(LAST)
        answers = await client.answers()

    assert [answer.body.split()[1] for answer in answers] == [
        *(b"/a", b"/wait", b"/b", b"/c", b"/last")
    ]


async def test_a_client_that_does_not_read_is_answered_no_further(site: Site) -> None:
    """While a large answer is not read, those behind it are not worked out."""
    async with site.client() as client:
        client.pause()
        await client.send(get("/large"))
        await eventually(lambda: len(site.asked) == 1)
        await asyncio.sleep(0.05)
        await client.send(get("/large") + get("/large"))
        await asyncio.sleep(0.05)
        asked = len(site.asked)

        client.resume()
        sizes = [len((await client.answer()).body) for _ in range(3)]

    assert asked == 1
    assert sizes == [len(LARGE)] * 3


async def test_a_reply_that_closes_drops_those_behind(site: Site) -> None:
    """Behind an answer with `Connection: close` nothing is answered, nor worked out."""
    answers = await site.exchange(get("/first") + get("/close") + get("/a") + get("/b"))

    assert [answer.status for answer in answers] == [200, 200]
    assert answers[-1].headers["connection"] == "close"
    assert [request.path for request in site.asked] == ["/first", "/close"]


async def test_a_malformed_request_waits_for_its_turn(site: Site) -> None:
    """What cannot be read is refused behind the answers to what could."""
    async with site.client() as client:
        await client.send(get("/wait") + get("/a") + b"no HTTP\r\n\r\n")
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        answers = await client.answers()

    assert [answer.status for answer in answers] == [200, 200, 400]


async def test_what_follows_a_refusal_that_waited_loses_no_answer(site: Site) -> None:
    """A client that sends on behind its malformed request still reads all answers."""
    site.linger_seconds = 60.0
    async with site.client() as client:
        client.writer.write(get("/wait") + b"no HTTP\r\n\r\n" + b"x" * 30_000_000)
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        await client.send(b"x")
        answers = await client.answers()

    assert [answer.status for answer in answers] == [200, 400]
