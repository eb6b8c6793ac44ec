"""Clients that leave, before, during and after their request, and those that only stop sending."""

import asyncio
import gc
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from ml_pipeline.fronts.http.assembler import Assembler
from ml_pipeline.fronts.http.connection import Connection
from ml_pipeline.fronts.http.parser import Parser
from ml_pipeline.fronts.http.sender import Sender
from tests.http.serving import LARGE, LAST, Site, chunked, eventually, get, post
from tests.server import Server, settled

INTERIM = 100
"""The status that a client skips which has said all and still waits."""

BEGUN = {
    "nothing": b"",
    "half a head": get()[:20],
    "half a body": post(b"body")[:-2],
    "half a chunk": chunked(b"body", end=b"")[:-3],
}


@pytest.mark.parametrize("sent", BEGUN.values(), ids=BEGUN)
@pytest.mark.parametrize("how", ["reset", "end"])
async def test_leaving_before_the_request_is_whole(site: Site, sent: bytes, how: str) -> None:
    """Half a request is forgotten with the client that sent it."""
    async with site.client() as client:
        await client.send(sent)
        await eventually(lambda: site.num_connections == 1)
        client.reset() if how == "reset" else client.writer.close()
        await eventually(lambda: site.num_connections == 0)

    assert site.asked == []


async def test_leaving_cancels_the_answer(site: Site) -> None:
    """What a client waited for that is gone is worked out no further."""
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        client.reset()
        await eventually(lambda: site.num_connections == 0)
        await eventually(lambda: site.left != [])

    assert site.left == ["/wait"]


async def test_leaving_in_order_cancels_the_answer(site: Site) -> None:
    """A client that closes its connection, as most do, ends the work on its answer too."""
    site.patience.idle_seconds = site.patience.busy_seconds = site.patience.linger_seconds = 60.0
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        client.writer.close()
        await eventually(lambda: site.num_connections == 0)
        await eventually(lambda: site.left != [])

    assert site.left == ["/wait"]


async def test_clients_of_http_1_0_get_no_interim_answer(site: Site) -> None:
    """One that has said all is left alone until its answer is there (RFC 9110, 15.2)."""
    async with site.client() as client:
        await client.send(get("/wait", version="1.0"))
        client.writer.write_eof()
        await eventually(lambda: len(site.asked) == 1)
        await asyncio.sleep(0.02)
        site.gate.set_result(None)
        answers = await client.answers()

    assert [(answer.version, answer.status) for answer in answers] == [("HTTP/1.0", 200)]


async def test_leaving_drops_what_waits(site: Site) -> None:
    """Requests behind the one that was cancelled are never begun."""
    async with site.client() as client:
        await site.takes(client, get("/wait"))
        await client.send(get("/b"))
        await asyncio.sleep(0.02)
        site.listener.abort()  # a reset is not heard while reading pauses
        await eventually(lambda: site.num_connections == 0)
        site.gate.set_result(None)
        await asyncio.sleep(0.02)

    assert len(site.asked) == 1


async def test_leaving_while_a_large_answer_is_sent(site: Site) -> None:
    """A client that goes in the middle of its answer leaves nothing behind."""
    async with site.client() as client:
        client.pause()
        await site.takes(client, get("/large"))
        client.reset()
        await eventually(lambda: site.num_connections == 0)

    assert [request.path for request in site.asked] == ["/large"]
    assert site.faults == []


@pytest.mark.parametrize("path", ["/a", "/wait", "/large"])
async def test_half_closed_clients_read_their_answers(site: Site, path: str) -> None:
    """A client that has said all gets its answers, and then the end, at once."""
    async with site.client() as client:
        await client.send(get(path) + get("/b"))
        client.writer.write_eof()
        await eventually(lambda: len(site.asked) >= 1)
        site.gate.set_result(None)
        answers = [answer for answer in await client.answers() if answer.status != INTERIM]

    assert [answer.status for answer in answers] == [200, 200]
    assert len(answers[0].body) == (len(LARGE) if path == "/large" else len(f"GET {path} "))


@pytest.mark.parametrize("path", ["/a", "/wait", "/large"])
async def test_half_closed_connections_end_with_their_answer(site: Site, path: str) -> None:
    """When both sides have said all, the connection is closed without waiting for a sweep."""
    site.patience.idle_seconds = site.patience.linger_seconds = 60.0
    async with site.client() as client:
        await client.send(get(path))
        client.writer.write_eof()
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        received = await client.rest()
        await eventually(lambda: site.num_connections == 0)

    assert b"HTTP/1.1 200 " in received


async def test_half_a_request_and_an_end_is_no_request(site: Site) -> None:
    """A client that stops in the middle of its body gets the answers before it, and no other."""
    async with site.client() as client:
        await client.send(get("/wait") + post(b"body")[:-1])
        client.writer.write_eof()
        await eventually(lambda: len(site.asked) == 1)
        site.gate.set_result(None)
        answers = await client.answers()

    assert [a.body for a in answers if a.status != INTERIM] == [b"GET /wait "]


async def test_a_client_that_closes_after_its_answer_is_forgotten(site: Site) -> None:
    """The end of an idle connection is the end of it here too."""
    async with site.client() as client:
        await client.send(get())
        answer = await client.answer()
        client.writer.close()
        await eventually(lambda: site.num_connections == 0)

    assert answer.status == 200


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Only what nothing refers to is freed, and no cycle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
async def test_connections_that_come_and_go_leave_nothing(site: Site) -> None:
    """Of 2,000 clients that left in every way nothing is held, nor left to be collected."""
    for number in range(500):
        async with site.client() as client:
            await client.send(get())
            await client.answer()
        async with site.client() as client:
            await client.send(get("/wait"))
            client.reset()
        async with site.client() as client:
            await client.send(b"BREW\r\n\r\n" if number % 2 else LAST)
            await client.rest()
        async with site.client() as client:
            client.writer.write_eof()
    await eventually(lambda: site.num_connections == 0)

    kinds = (Connection, Sender, Parser, Assembler)
    assert [type(each) for each in gc.get_objects() if isinstance(each, kinds)] == []


# The real server.


def leave(connection: socket.socket) -> None:
    """Close a connection so that the other side is told at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_reloads_go_on_though_the_client_left(server: Server) -> None:
    """What an ordinary route has begun is brought to its end, for nobody."""
    before = len([line for line in server.log_lines() if line["event"] == "model_loaded"])
    connection = server.connect()
    connection.sendall(b"POST /models/reload HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone\r\n\r\n")
    time.sleep(0.03)  # a busy server has read it by then, and has not done it
    leave(connection)

    def num_loaded() -> int:
        return len([line for line in server.log_lines() if line["event"] == "model_loaded"])

    assert settled(num_loaded, before + 1) == before + 1
    events = ["model_loaded", "request"]
    assert settled(lambda: sorted(server.events_of("gone")), events) == events


def test_clients_that_leave_are_counted(server: Server) -> None:
    """A request whose client hung up before its answer is counted and logged as a 499."""
    for number in range(50):
        connection = server.connect()
        head = f"POST /models/reload HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone-{number}\r\n\r\n"
        connection.sendall(head.encode())
        time.sleep(0.003)
        leave(connection)
        if 'status="499"' in server.client.get("/metrics").text:
            break

    logged = [line["status"] for line in server.log_lines() if line["event"] == "request"]
    assert 'status="499"' in server.client.get("/metrics").text
    assert 499 in logged
