"""Bodies: with a length, in chunks, in pieces, too large, and those that are asked for."""

import asyncio
import sys

import pytest

from ml_pipeline.fronts.http.message import Request
from tests.http.serving import LAST, Site, chunked, get, post

BOUND = 1000
EXPECT = "Expect: 100-continue"


@pytest.mark.parametrize("size", [0, 1, BOUND])
async def test_bodies_with_a_length(site: Site, size: int) -> None:
    """A body of up to the bound is read whole."""
    answer, after = await site.exchange(post(b"x" * size) + LAST)

    assert answer.body == b"POST / " + b"x" * size
    assert after.status == 200


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"x"] * BOUND, [b"x" * BOUND], [b"ab", b"c" * 99]])
async def test_bodies_in_chunks(site: Site, chunks: list[bytes]) -> None:
    """Chunks of any size, up to the bound together, are one body."""
    answer, after = await site.exchange(chunked(*chunks) + LAST)

    assert answer.body == b"POST / " + b"".join(chunks)
    assert after.status == 200


async def test_extensions_of_chunks_are_ignored(site: Site) -> None:
    """What stands behind the size of a chunk is no part of the body."""
    sent = chunked(end=b'1;a=b\r\nx\r\n2;c="d;e"\r\nyz\r\n0;last\r\n\r\n')

    answer, _ = await site.exchange(sent + LAST)

    assert answer.body == b"POST / xyz"


async def test_trailers_are_no_headers(site: Site) -> None:
    """What follows the last chunk cannot pass for a header that somebody has checked."""
    trailers = b"0\r\nAuthorization: Bearer x\r\nX-Request-ID: y\r\n\r\n"

    answer, _ = await site.exchange(chunked(b"body", end=trailers) + LAST)

    assert answer.body == b"POST / body"
    assert [name for name, _ in site.asked[0].headers] == [b"host", b"transfer-encoding"]
    assert site.asked[0].fields.keys() == {b"host", b"transfer-encoding"}


@pytest.mark.parametrize("trailer", [b"T: " + b"x" * 1000, b"T: x\r\n" * 200])
async def test_trailers_that_do_not_end_are_refused(site: Site, trailer: bytes) -> None:
    """Trailers beyond 64 KiB are a 431, in one line or in many."""
    async with site.client() as client:
        await client.send(chunked(b"body", end=b"0\r\n"))
        for _ in range(1000):
            if site.asked:
                break
            await client.send(trailer)
            await asyncio.sleep(0.0005)
        (answer,) = await client.answers()

    assert answer.status == 431


REQUESTS = {
    "length": post(b"body", "/a?b"),
    "chunks": chunked(b"bo", path="/a", end=b"1;e\r\nd\r\n1\r\ny\r\n0\r\nT: v\r\n\r\n"),
    "nothing": get("/a"),
}


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
async def test_requests_in_two_pieces(site: Site, request_bytes: bytes) -> None:
    """A request may be cut in two anywhere."""
    async with site.client() as client:
        await client.send(request_bytes)
        whole = await client.answer()
        for cut in range(1, len(request_bytes)):
            await client.send(request_bytes[:cut])
            await asyncio.sleep(0.0005)
            await client.send(request_bytes[cut:])

            assert (await client.answer()).body == whole.body

    assert {(asked.path, asked.body) for asked in site.asked} == {("/a", site.asked[0].body)}


# Too large.


async def test_an_announced_body_over_the_bound_is_refused_before_it_comes(site: Site) -> None:
    """One byte over the bound is a 413 as soon as it is announced."""
    (answer,) = await site.exchange(post(b"", "/a").replace(b"Length: 0", b"Length: 1001"))

    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert answer.body == b"body: expected at most 1000 bytes, found 1001"


@pytest.mark.parametrize("zeros", [1, 19, 20, 4300, 4301, 60_000])
@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_a_length_may_begin_with_zeros(site: Site, zeros: int, body: bytes) -> None:
    """However many they are, they change nothing: `int()` would read 4,300 digits at most."""
    length = "0" * zeros + str(len(body))
    head = f"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"

    answers = await site.exchange(head.encode() + body + LAST)

    assert [answer.body for answer in answers] == [b"POST /a " + body, b"GET /last "]


async def test_a_length_with_zeros_over_the_bound_is_told_short(site: Site) -> None:
    """The refusal names the number, not its zeros."""
    length = "0" * 5000 + "1001"
    (answer,) = await site.exchange(
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    )

    assert answer.status == 413
    assert answer.body == b"body: expected at most 1000 bytes, found 1001"


async def test_chunks_over_the_bound_are_refused_when_they_pass_it(site: Site) -> None:
    """One byte over the bound in chunks is a 413, though no end has come."""
    (answer,) = await site.exchange(chunked(b"x" * BOUND, b"x", end=b""))

    assert answer.status == 413


@pytest.mark.parametrize("start", [post(b"").replace(b": 0", b": 9000000"), chunked(end=b"")])
async def test_a_client_that_sends_on_reads_its_413(site: Site, start: bytes) -> None:
    """Megabytes that were on the way when a body was refused do not lose the answer."""
    if b"chunked" in start:
        start += b"895440\r\n"
    async with site.client() as client:
        client.writer.write(start + b"x" * 9_000_000)
        await client.writer.drain()
        (answer,) = await client.answers()

    assert answer.status == 413


async def test_the_rest_of_a_refused_body_is_no_request(site: Site) -> None:
    """What comes behind a refused announcement is not answered."""
    start = post(b"").replace(b": 0", b": 1001")

    answers = await site.exchange(start, get("/smuggled") * 100, post(b"", "/", EXPECT))

    assert [answer.status for answer in answers] == [413]
    assert len(site.asked) == 1


async def test_an_idle_connection_holds_no_body(site: Site) -> None:
    """Once a request is answered, nothing of the connection refers to it or to its body."""
    async with site.client() as client:
        await client.send(post(b"x" * BOUND))
        await client.answer()
        asked = site.asked.pop()
        held = sys.getrefcount(asked), sys.getrefcount(asked.body)

    alone = Request("", "", b"", b"", [], {}, bytes(BOUND), 0.0, ("", 0), keep_alive=True)
    assert held == (sys.getrefcount(alone), sys.getrefcount(alone.body))


# Those that are asked for.


async def test_a_client_is_told_to_go_on(site: Site) -> None:
    """A client that asks before it sends gets a 100, and then its answer."""
    async with site.client() as client:
        head, body = post(b"body", "/", EXPECT).split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        told = await client.answer()
        await client.send(body)
        answer = await client.answer()

    assert told.status == 100
    assert answer.body == b"POST / body"


async def test_a_client_is_not_told_to_send_what_is_refused(site: Site) -> None:
    """A body that is announced too large is refused at once, without a 100."""
    sent = post(b"", "/", EXPECT).replace(b"Length: 0", b"Length: 1001")

    answers = await site.exchange(sent)

    assert [answer.status for answer in answers] == [413]


async def test_http_1_0_knows_no_continue(site: Site) -> None:
    """To a client of HTTP/1.0 no 100 is sent, which it would take for its answer."""
    sent = post(b"body", "/", EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0")

    answers = await site.exchange(sent)

    assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize("path", ["/close", "/status/200"])
async def test_nothing_follows_the_last_answer(site: Site, path: str) -> None:
    """Behind an answer that ends the connection no client is told to go on."""
    last = get(path, "Connection: close") if path == "/status/200" else get(path)

    answers = await site.exchange(last + post(b"body", "/", EXPECT))

    assert [answer.status for answer in answers] == [200]
