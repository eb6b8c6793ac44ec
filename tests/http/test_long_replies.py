"""Replies that are long: not copied, and sent whole, in their order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop

from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.fronts.http.wire import UNJOINED_BYTES, encode
from tests.http.serving import LAST, Answer, Site, get, serving

BODY = b"0123456789" * (UNJOINED_BYTES // 10 + 1)
REST = (memoryview(b"abc" * 100_000)[3:], b"", b"d" * 1_000_000)


class LongSite(Site):
    """Answers `/long` and `/parts` with what is long."""

    async def answer(self, request: Request) -> Reply:
        """Answer a request by its path."""
        if request.path == "/long":
            return Reply(200, [], BODY)
        if request.path == "/parts":
            return Reply(200, [], b"first", b"x-a: b\r\n", REST)
        return await super().answer(request)


@pytest.fixture
async def long_site() -> AsyncIterator[LongSite]:
    """In the loop of the test."""
    async with serving(LongSite()) as site:
        yield site


def request(method: str = "GET") -> Request:
    """What is replied to."""
    return Request(method, "/", b"/", b"", [], {}, b"", 0.0, ("", 0), keep_alive=True)


@pytest.mark.parametrize(
    "reply", [Reply(200, [], BODY), Reply(200, [], b"a", rest=REST)], ids=["body", "rest"]
)
def test_a_long_body_is_not_copied(reply: Reply) -> None:
    """It follows its head as it is; to HEAD there is the length alone."""
    head, rest, keep_alive = encode(request(), reply, b"")
    only_head, nothing, _ = encode(request("HEAD"), reply, b"")

    assert keep_alive
    assert all(sent is own for sent, own in zip(rest, (reply.body, *reply.rest), strict=True))
    assert head == only_head
    assert f"content-length: {sum(map(len, rest))}\r\n".encode() in head
    assert not nothing


def test_a_short_body_goes_with_its_head() -> None:
    """In one piece."""
    head, rest, _ = encode(request(), Reply(200, [], BODY[:UNJOINED_BYTES]), b"")

    assert head.endswith(b"\r\n\r\n" + BODY[:UNJOINED_BYTES])
    assert not rest


def exchange(sent: bytes) -> list[Answer]:
    """Send it to a fresh listener on the loop of the server, and read all answers to the end."""

    async def run() -> list[Answer]:
        async with serving(LongSite()) as site:
            return await site.exchange(sent)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def test_answers_come_whole_and_in_their_order() -> None:
    """Short ones before, between and behind long ones, all asked for at once."""
    paths = ["/a", "/long", "/b", "/parts", "/parts", "/c", "/long"]
    answers = exchange(b"".join(get(path) for path in paths) + LAST)

    bodies = {"/long": BODY, "/parts": b"first" + b"".join(REST)}
    assert [answer.body for answer in answers] == [
        *(bodies.get(path, b"GET %b " % path.encode()) for path in paths),
        b"GET /last ",
    ]


@pytest.mark.parametrize("path", ["/long", "/parts"])
async def test_a_client_may_read_late(long_site: LongSite, path: str) -> None:
    """What the kernel does not take at once is sent later, also behind the last request."""
    async with long_site.client() as client:
        client.pause()
        await client.send(get(path) * 8, LAST)
        await asyncio.sleep(0.05)
        client.resume()
        answers = await client.answers()

    assert len(answers) == 9
    assert len({answer.body for answer in answers[:-1]}) == 1
