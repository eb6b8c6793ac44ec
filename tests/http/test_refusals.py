"""Bytes that are no proper request: one answer, the end, and nothing else is disturbed."""

import asyncio
import weakref

import pytest

from ml_pipeline.build import create_app
from ml_pipeline.errors import MalformedRequest
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.settings import Settings
from tests.http.serving import LAST, Site, get, post, serving
from tests.server import Server, read_answer, settled
from tests.web.problem import assert_problem

START = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKS = START + b"Transfer-Encoding: chunked\r\n\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

MALFORMED = {
    "words": b"no HTTP at all\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "offer with an encoding": START + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    b"Transfer-Encoding: gzip\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without a slash": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "target with a space": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "target with a tab": b"GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n",
    "target that is no ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in target": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host, but a body": b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "the same host twice": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nhost: x\r\n\r\n",
    "two hosts of HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "offer without a host": b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "no version": b"GET /a\r\nHost: x\r\n\r\n",
    "no version, kept": b"GET /a\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    "no version, a line feed": b"GET /a\nHost: x\r\n\r\n",
    "no such version": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "version of two digits": b"GET / HTTP/11.1\r\nHost: x\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare line feed in headers": START + b"A: b\nC: d\r\n\r\n",
    "bare carriage return": START + b"A: b\rC: d\r\n\r\n",
    "NUL in header": START + b"A: \x00\r\n\r\n",
    "header without a colon": START + b"A\r\n\r\n",
    "header without a name": START + b": b\r\n\r\n",
    "space before the colon": START + b"Content-Length : 5\r\n\r\nabcde",
    "obsolete folding": START + b"A: b\r\n c\r\n\r\n",
    "folding of the first header": b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
    "folded encoding": START + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "length and chunks": START
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": START
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "the same length twice": START + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "list of lengths": START + b"Content-Length: 2, 2\r\n\r\nab",
    "negative length": START + b"Content-Length: -1\r\n\r\n",
    "length with a plus": START + b"Content-Length: +2\r\n\r\nab",
    "length of hexadecimals": START + b"Content-Length: 0x2\r\n\r\nab",
    "length with an underscore": START + b"Content-Length: 1_0\r\n\r\n0123456789",
    "empty length": START + b"Content-Length:\r\n\r\n",
    "length of 30 digits": START + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "length of 5,000 digits": START + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "other encoding": START + b"Transfer-Encoding: gzip\r\n\r\nab",
    "encoding that only ends so": START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "encoding twice": START + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "encoding below chunks": START + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no encoding below chunks": START + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "two encodings": START + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "comma before an encoding": START + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "encoding over chunks": START + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "encoding behind a tabulator": START + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "size no number": CHUNKS + b"zz\r\nab\r\n0\r\n\r\n",
    "size with a plus": CHUNKS + b"+2\r\nab\r\n0\r\n\r\n",
    "size with a minus": CHUNKS + b"-2\r\nab\r\n0\r\n\r\n",
    "size with 0x": CHUNKS + b"0x2\r\nab\r\n0\r\n\r\n",
    "size with a space": CHUNKS + b"2 \r\nab\r\n0\r\n\r\n",
    "no size": CHUNKS + b"\r\nab\r\n0\r\n\r\n",
    "size of 20 digits": CHUNKS + b"f" * 20 + b"\r\nab",
    "chunk longer than its size": CHUNKS + b"1\r\nab\r\n0\r\n\r\n",
    "chunk shorter than its size": CHUNKS + b"5\r\nab\r\n0\r\n\r\n",
    "bare line feed behind a size": CHUNKS + b"2\nab\r\n0\r\n\r\n",
    "line feed in an extension": CHUNKS + b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "malformed trailer": CHUNKS + b"0\r\nA\x00: b\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n\x16\x03\x01",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests(site: Site, sent: bytes) -> None:
    """A malformed request is a 400, the end of its connection, and hides no other request."""
    (answer,) = await site.exchange(sent + BEHIND)

    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert len(site.asked) == 1
    assert site.asked[0].fault is not None


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests_byte_by_byte(site: Site, sent: bytes) -> None:
    """A malformed request is refused the same in whatever pieces it comes."""
    cut = len(sent) - 60
    pieces = [sent[:cut], *(sent[i : i + 1] for i in range(max(cut, 0), len(sent)))]
    async with site.client() as client:
        await client.send(*(piece for piece in pieces if piece), BEHIND)
        answers = await client.answers()

    assert [answer.status for answer in answers] == [400]


async def test_a_refusal_behind_an_answer_has_nothing_of_the_request_before(site: Site) -> None:
    """What is known of a malformed request is its own."""
    await site.exchange(get("/before", "X-Request-ID: before") + b"BREW / HTTP/1.1\r\n\r\n")

    refused = site.asked[1]
    assert (refused.method, refused.headers, refused.fields) == ("", [], {})


# Heads that are too large.


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET / HTTP/1.1\r\n", b"A: " + b"b" * 4000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nA: ", b"b" * 4000),
        (b"GET / HTTP/1.1\r\nA", b"b" * 4000),
        (b"GET /", b"b" * 4000),
    ],
    ids=["headers", "value", "name", "target"],
)
async def test_heads_that_do_not_end(site: Site, start: bytes, piece: bytes) -> None:
    """A head beyond 64 KiB, of whatever, is a 431 before its end, which never comes."""
    num_pieces = 0
    async with site.client() as client:
        await client.send(start)
        while not site.asked:
            num_pieces += 1
            await client.send(piece)
            await asyncio.sleep(0.001)
        (answer,) = await client.answers()

    assert answer.status == 431
    assert 64 * 1024 <= num_pieces * 4000 < 128 * 1024


async def test_a_head_of_megabytes_in_one_write(site: Site) -> None:
    """A head of megabytes is a 431 also if all of it is sent before anything is read."""
    async with site.client() as client:
        client.writer.write(get("/", "A: " + "b" * 3_000_000))
        (answer,) = await client.answers()

    assert answer.status == 431


@pytest.mark.parametrize("num_behind", [0, 30_000])
@pytest.mark.parametrize("num_pieces", [1, 2, 7])
async def test_heads_that_end_beyond_the_bound(
    site: Site, num_pieces: int, num_behind: int
) -> None:
    """A head beyond 64 KiB is a 431 in whatever pieces it comes, a body behind it or not."""
    request = post(b"x" * num_behind, "/", "A: " + "b" * 66_000)
    size = -(-len(request) // num_pieces)

    answers = await site.exchange(
        *(request[start : start + size] for start in range(0, len(request), size)), BEHIND
    )

    assert [answer.status for answer in answers] == [431]


@pytest.mark.parametrize("num_pieces", [1, 2, 7])
@pytest.mark.parametrize("length", [8_193, 60_000])
async def test_targets_beyond_the_bound(site: Site, length: int, num_pieces: int) -> None:
    """Path and query beyond 8 KiB are a 414 in whatever pieces they come, and are not decoded."""
    request = post(b"", "/?" + "%ff" * (length // 3))
    request = request.replace(b"/?", b"/" + b"x" * (length % 3 + 1), 1)
    size = -(-len(request) // num_pieces)

    answers = await site.exchange(
        *(request[start : start + size] for start in range(0, len(request), size)), BEHIND
    )

    assert [answer.status for answer in answers] == [414]
    assert len(site.asked[0].raw_path) <= 8_192


async def test_the_longest_target_is_read(site: Site) -> None:
    """Path and query of 8 KiB are read, more than Nginx lets through."""
    answers = await site.exchange(get("/" + "x" * 8_191) + LAST)

    assert [answer.status for answer in answers] == [200, 200]


async def test_a_small_head_behind_a_large_body_is_read() -> None:
    """What is read together with a head, such as the body before it, is no part of it."""
    async with serving(Site(max_body_bytes=400_000)) as site:
        answers = await site.exchange(post(b"x" * 200_000) + get("/", "A: " + "b" * 60_000) + LAST)

    assert [answer.status for answer in answers] == [200, 200, 200]


NEWER = {
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2.0 that is kept": b"GET / HTTP/2.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    "HTTP/2.0 with a body": b"POST / HTTP/2.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/3.0": b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
"""Requests of another major version."""


@pytest.mark.parametrize("sent", NEWER.values(), ids=NEWER)
async def test_newer_versions_are_not_supported(site: Site, sent: bytes) -> None:
    """A request of another major version is a 505, and what stands behind it is not read."""
    (answer,) = await site.exchange(sent + BEHIND)

    assert answer.status == 505
    assert answer.body.startswith(b"request: expected HTTP/1.1, found HTTP/")
    assert len(site.asked) == 1


async def test_http_1_0_needs_no_host(site: Site) -> None:
    """A probe of HTTP/1.0, which had no Host, is answered."""
    (answer,) = await site.exchange(b"GET /a HTTP/1.0\r\n\r\n")

    assert answer.status == 200


async def test_a_head_of_60_kib_is_read(site: Site) -> None:
    """A head below the bound is read, in small pieces too."""
    request = get("/", "A: " + "b" * 60_000, "Connection: close")

    (answer,) = await site.exchange(*(request[i : i + 1000] for i in range(0, len(request), 1000)))

    assert answer.status == 200


async def test_the_next_head_is_counted_anew(site: Site) -> None:
    """Many heads on a connection are not one large head."""
    async with site.client() as client:
        for _ in range(3):
            request = get("/", "A: " + "b" * 40_000)
            await client.send(request[:100], request[100:20_000], request[20_000:])

            assert (await client.answer()).status == 200


async def test_empty_lines_before_a_request_are_skipped(site: Site) -> None:
    """Line ends between requests are no request (RFC 9112, 2.2)."""
    answers = await site.exchange(b"\r\n\r\n" + get() + b"\r\n" + LAST)

    assert len(answers) == 2


# The real application.


async def test_a_refused_request_is_forgotten() -> None:
    """A request and its fault do not hold each other once it is answered."""
    fault = MalformedRequest("request: expected HTTP/1.1, found something else")
    request = Request("GET", "/", b"/", b"", [], {}, b"", 1.0, ("", 0), False, False, fault)
    held = weakref.ref(fault)

    reply = await create_app(Settings()).respond(request)
    del request, fault

    assert reply.status == 400
    assert held() is None


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_refusals_are_problems(server: Server, sent: bytes) -> None:
    """The real server says what is wrong in the one shape of all errors, and serves the next."""
    with server.connect(5.0) as connection:
        connection.sendall(sent + BEHIND)
        answer = read_answer(connection)
        rest = connection.recv(1000)

    assert_problem(answer, 400, "malformed_request")
    assert rest == b""
    assert server.client.get("/health/live").status_code == 200


def test_refusals_are_counted(server: Server) -> None:
    """A request that is no HTTP is in the metrics like any other that is refused."""

    def count() -> int:
        lines = server.client.get("/metrics").text.splitlines()
        found = [line for line in lines if "malformed_request" in line and "{" in line]
        return int(float(found[0].split()[-1])) if found else 0

    before = count()
    with server.connect(5.0) as connection:
        connection.sendall(MALFORMED["TLS"])
        read_answer(connection)

    assert settled(count, before + 1) == before + 1
