"""Requests that come before the answers to those in front of them."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ml_pipeline.fronts.http.connection import Connection
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.fronts.http.parser import PIECE_BYTES
from ml_pipeline.fronts.http.turns import TURN_SECONDS
from tests.http.serving import LARGE, LAST, Site, chunked, eventually, get, post, serving
from tests.turns import Turns

MANY = 5000


async def test_answers_keep_the_order_of_requests(site: Site) -> None:
    """What is ready at once waits for what is not."""
    async with site.client() as client:
        await site.takes(client, get("/wait") + get("/a") + post(b"b") + LAST)
        site.gate.set_result(None)
        answers = await client.answers()

    bodies = [answer.body for answer in answers]
    assert bodies == [b"GET /wait ", b"GET /a ", b"POST / b", b"GET /last "]


async def test_requests_are_answered_one_at_a_time(site: Site) -> None:
    """Nobody is asked for the second answer before the first is there."""
    async with site.client() as client:
        await site.takes(client, get("/wait") + get("/wait"))
        await asyncio.sleep(0.02)

        assert len(site.asked) == 1


async def test_thousands_behind_one_that_waits(site: Site) -> None:
    """However many answers are ready at once, all come, in their order."""
    async with site.client() as client:
        await site.takes(client, get("/wait") + b"".join(get(f"/{i}") for i in range(MANY)) + LAST)
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
        await site.takes(client, get("/large"))
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
        await site.takes(client, get("/wait") + get("/a") + b"no HTTP\r\n\r\n")
        site.gate.set_result(None)
        answers = await client.answers()

    assert [answer.status for answer in answers] == [200, 200, 400]


async def test_what_follows_a_refusal_that_waited_loses_no_answer(site: Site) -> None:
    """A client that sends on behind its malformed request still reads all answers."""
    site.patience.linger_seconds = 60.0
    async with site.client() as client:
        client.writer.write(get("/wait") + b"no HTTP\r\n\r\n" + b"x" * 30_000_000)
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        await client.send(b"x")
        answers = await client.answers()

    assert [answer.status for answer in answers] == [200, 400]


# What a turn of the event loop holds, and what is kept.

FLOODS = {
    "requests": get("/flood"),
    "short requests": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "requests with bodies": post(b"x" * 300),
    "bodies of several pieces": post(b"x" * 900) * 3,
    "chunks": chunked(b"x" * 900, end=b"0\r\n\r\n"),
    "requests in chunks of a byte": chunked(*[b"x"] * 500),
    "lines before": b"\r\n" * 100 + get("/flood"),
}
"""Streams of requests without a pause, by what is repeated."""

TURN_LIMIT_SECONDS = 0.005
"""Of CPU, which other processes on the machine do not lengthen."""


class Busy(Site):
    """Takes 20 µs of CPU for an answer, as a prediction does."""

    async def answer(self, request: Request) -> Reply:
        """Take that time."""
        until = time.thread_time() + 20e-6
        while time.thread_time() < until:
            pass
        return Reply(200, [], b"x" * 1000)


@contextmanager
def flood(port: int, request: bytes, *, reads: bool) -> Iterator[None]:
    """Send one request after the other, without waiting, from threads of their own."""
    data = request * (1_000_000 // len(request))
    ended = threading.Event()

    def send(connection: socket.socket) -> None:
        rest = memoryview(data)
        while not ended.is_set():
            try:
                rest = rest[connection.send(rest) :] or memoryview(data)
            except TimeoutError:
                pass
            except OSError:
                return

    def read(connection: socket.socket) -> None:
        while not ended.is_set():
            try:
                if not connection.recv(1 << 20):
                    return
            except TimeoutError:
                pass
            except OSError:
                return

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.05)
        threads = [threading.Thread(target=send, args=(connection,))]
        threads += [threading.Thread(target=read, args=(connection,))] * reads
        for thread in threads:
            thread.start()
        yield
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("request_bytes", FLOODS.values(), ids=FLOODS)
async def test_a_flood_takes_its_turns(request_bytes: bytes) -> None:
    """However fast a client sends and reads, the loop is held for 5 ms of CPU at most."""
    async with serving(Busy()) as site:
        with flood(site.port, request_bytes, reads=True):
            await eventually(lambda: site.num_connections == 1)
            turns = Turns()
            await asyncio.sleep(0.5)
            turns.stop()

    assert turns.longest < TURN_LIMIT_SECONDS


async def test_many_floods_take_turns_together() -> None:
    """Ten connections get no more of a turn than one; nobody among them is left out."""
    async with serving(Busy()) as site, site.client() as client:
        with flood(site.port, get("/flood"), reads=True):
            clients = [flood(site.port, get("/flood"), reads=True) for _ in range(9)]
            for each in clients:
                each.__enter__()
            await eventually(lambda: site.num_connections == 11)
            turns = Turns()
            began = time.monotonic()
            for _ in range(20):
                await client.send(get("/modest"))
                await client.answer()
            seconds = time.monotonic() - began
            turns.stop()
            for each in clients:
                each.__exit__(None, None, None)

    assert turns.longest < TURN_LIMIT_SECONDS + 10 * TURN_SECONDS  # ten first pieces may be parsed
    assert seconds < 5.0


async def test_what_a_client_does_not_read_is_bounded() -> None:
    """Of a client that sends and does not read, a few answers are kept, and reading stops."""
    async with serving(Busy()) as site:
        with flood(site.port, get("/flood"), reads=False):
            await asyncio.sleep(0.5)
            (connection,) = site.listener._open
            assert isinstance(connection, Connection)
            waiting = len(connection._waiting)
            outgoing = sum(map(len, connection._sender._parts))
            kept = connection._transport.get_write_buffer_size()

    assert waiting <= PIECE_BYTES // len(get("/flood")) + 1
    assert outgoing + kept < 300_000
