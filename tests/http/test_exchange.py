"""One request and its answer: versions, connections that stay and end, targets, headers."""

import pytest

from tests.http.serving import LAST, Site, get, post

# When a connection stays open, and when it ends.


async def test_http_1_1_connections_are_kept(site: Site) -> None:
    """A connection takes one request after the other, and its answers say nothing of it."""
    async with site.client() as client:
        for path in ("/a", "/b", "/c"):
            await client.send(get(path))
            answer = await client.answer()

            assert answer.body == b"GET %b " % path.encode()
            assert answer.version == "HTTP/1.1"
            assert "connection" not in answer.headers


async def test_http_1_0_connections_end(site: Site) -> None:
    """A client of HTTP/1.0 that asks for no more gets its answer and the end."""
    (answer,) = await site.exchange(get(version="1.0"))

    assert (answer.version, answer.status) == ("HTTP/1.0", 200)
    assert answer.headers["connection"] == "close"


async def test_http_1_0_connections_are_kept_if_asked(site: Site) -> None:
    """A client of HTTP/1.0 that says keep-alive is told the same."""
    async with site.client() as client:
        for _ in range(3):
            await client.send(get("/", "Connection: Keep-Alive", version="1.0"))
            answer = await client.answer()

            assert answer.version == "HTTP/1.0"
            assert answer.headers["connection"] == "keep-alive"


@pytest.mark.parametrize("value", ["close", "Close", "TE, close", "close, TE"])
async def test_a_client_may_close(site: Site, value: str) -> None:
    """`Connection: close` of a client is said back, and obeyed; nothing behind it is answered."""
    answers = await site.exchange(get("/a", f"Connection: {value}") + get("/b"))

    assert [answer.body for answer in answers] == [b"GET /a "]
    assert answers[0].headers["connection"] == "close"
    assert len(site.asked) == 1


async def test_a_reply_may_close(site: Site) -> None:
    """`Connection: close` of a reply is sent once, and obeyed."""
    async with site.client() as client:
        await client.send(get("/close"))
        received = await client.rest()

    assert received.lower().count(b"connection: close\r\n") == 1


async def test_http_1_0_chunks_close(site: Site) -> None:
    """Chunks in HTTP/1.0 are read, but nothing behind them: a proxy may see another end."""
    head = b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"

    answers = await site.exchange(head + b"1\r\nx\r\n0\r\n\r\n" + get("/smuggled"))

    assert [answer.body for answer in answers] == [b"POST / x"]
    assert answers[0].headers["connection"] == "close"


# Answers without a body.


async def test_head_is_answered_without_the_body(site: Site) -> None:
    """HEAD gets the length that GET would, and not a byte of it."""
    async with site.client() as client:
        await client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        head = await client.answer(to_head=True)
        after = await client.answer()

    assert head.headers["content-length"] == str(len("HEAD /a "))
    assert after.body == b"GET /last "


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(site: Site, status: int) -> None:
    """204 and 304 have no body and no length, whatever the reply holds."""
    answer, after = await site.exchange(get(f"/status/{status}") + LAST)

    assert answer.status == status
    assert "content-length" not in answer.headers
    assert after.body == b"GET /last "


async def test_every_answer_has_a_date(site: Site) -> None:
    """The date is in the one format of HTTP."""
    (answer,) = await site.exchange(LAST)

    assert answer.headers["date"].endswith(" GMT")


# Targets and headers.

TARGETS = {
    "plain": ("/a", "/a", b"/a", b""),
    "query": ("/a?b=c&d", "/a", b"/a", b"b=c&d"),
    "question marks": ("/a?b?c", "/a", b"/a", b"b?c"),
    "empty query": ("/a?", "/a", b"/a", b""),
    "percent": ("/a%20b%2Fc%C3%A4", "/a b/cä", b"/a%20b%2Fc%C3%A4", b""),
    "percent in query": ("/a?b=%20", "/a", b"/a", b"b=%20"),
    "no UTF-8": ("/%ff", "/�", b"/%ff", b""),
    "no percent code": ("/a%zz", "/a%zz", b"/a%zz", b""),
    "absolute": ("http://x:80/a?b", "/a", b"/a", b"b"),
    "absolute with percent": ("http://x/a%20b", "/a b", b"/a%20b", b""),
    "absolute without path": ("http://x", "/", b"/", b""),
    "absolute with query alone": ("http://x?b", "/", b"/", b"b"),
    "asterisk": ("*", "*", b"*", b""),
}


@pytest.mark.parametrize("name", TARGETS)
async def test_targets(site: Site, name: str) -> None:
    """A target is split into path and query, of which the path is decoded."""
    target, path, raw_path, query = TARGETS[name]

    await site.exchange(get(target, "Connection: close"))

    (asked,) = site.asked
    assert (asked.path, asked.raw_path, asked.query_string) == (path, raw_path, query)


async def test_headers_are_kept_in_their_order(site: Site) -> None:
    """Names become lower case; values stay as they are, repeated and non-ASCII ones too."""
    sent = ["X-A: 1", "x-b:\t two  words", "X-A: \xff\xe4", "X-Empty:", "Connection: close"]

    await site.exchange(get("/", *sent))

    (asked,) = site.asked
    assert asked.headers == [
        (b"host", b"x"),
        (b"x-a", b"1"),
        (b"x-b", b"two  words"),
        (b"x-a", b"\xff\xe4"),
        (b"x-empty", b""),
        (b"connection", b"close"),
    ]
    assert asked.fields[b"x-a"] == b"\xff\xe4"


async def test_nothing_of_a_request_is_left_for_the_next(site: Site) -> None:
    """Headers, query and body of a request are gone when the next is read."""
    await site.exchange(post(b"body", "/a?b", "X: y") + LAST)

    assert site.asked[1].fields == {b"host": b"x", b"connection": b"close"}
    assert (site.asked[1].query_string, site.asked[1].body) == (b"", b"")


# Offers of another protocol.

OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


async def test_an_offer_of_http_2_is_ignored(site: Site) -> None:
    """A request that offers HTTP/2 is answered with its body, and its connection is kept."""
    answers = await site.exchange(post(b"body", "/a", *OFFER) + post(b"b") + LAST)

    bodies = [answer.body for answer in answers]
    assert bodies == [b"POST /a body", b"POST / b", b"GET /last "]


async def test_an_offer_with_chunks_in_pieces_is_ignored(site: Site) -> None:
    """An offer of another protocol changes nothing of how its chunks are read."""
    head = "\r\n".join(
        ["POST /a HTTP/1.1", "Host: x", *OFFER, "Transfer-Encoding: chunked", "", ""]
    )

    pieces = [bytes([byte]) for byte in head.encode() + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n" + LAST]
    answers = await site.exchange(*pieces)

    assert [answer.body for answer in answers] == [b"POST /a body", b"GET /last "]


async def test_thousands_of_offers_at_once(site: Site) -> None:
    """Offers in one read are ignored one after the other."""
    answers = await site.exchange(post(b"b", "/", *OFFER) * 2000 + LAST)

    assert len(answers) == 2001
    assert {answer.body for answer in answers[:-1]} == {b"POST / b"}


async def test_an_offer_behind_the_last_request_is_not_read(site: Site) -> None:
    """Behind an answer that closes, an offer opens nothing again."""
    answers = await site.exchange(get("/close") + post(b"b", "/a", *OFFER) + get("/b"))

    assert len(answers) == 1
    assert len(site.asked) == 1
