"""A listener in the test's own event loop, and clients that send it bytes.

What a request gets is said by its path: `/wait` its answer when the test opens the gate, `/large`
a large one, `/status/204` that status, `/close` the end of its connection, `/stop` the end of the
listener; any other an echo.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple, TypeVar, cast

from ml_pipeline.fronts.http.listener import Listener
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.fronts.http.service import Patience
from tests.server import free_port

LARGE = b"x" * 8_000_000
"""More than the kernel keeps for a client that does not read."""

TIMEOUT_SECONDS = 5.0
SWEEP_SECONDS = 0.02


class Answer(NamedTuple):
    """One answer; header names are lower-case, of a repeated header the last."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection of a client; each wait is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each of which is read for itself."""
        for piece in pieces:
            self.writer.write(piece)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self, *, to_head: bool = False) -> Answer:
        """Read one answer; IncompleteReadError if there is none."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            version, status, _ = first.split(" ", 2)
            headers = dict(line.split(": ", 1) for line in lines)
            length = 0 if to_head else int(headers.get("content-length", 0))
            return Answer(version, int(status), headers, await self._reader.readexactly(length))

    async def rest(self) -> bytes:
        """Read to the end, which may be a hang-up."""
        received = b""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                while piece := await self._reader.read(1 << 20):
                    received += piece
            except ConnectionError:
                pass
        return received

    async def answers(self) -> list[Answer]:
        """Read all answers to the end."""
        replay = asyncio.StreamReader(limit=1 << 24)
        replay.feed_data(await self.rest())
        replay.feed_eof()
        reading, found = Client(replay, self.writer), []
        while not replay.at_eof():
            found.append(await reading.answer())
        return found

    def pause(self) -> None:
        """Read no more, until `resume`."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def resume(self) -> None:
        """Read on."""
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    def reset(self) -> None:
        """Leave so that the other side is told at once."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Site:
    """A listener, and what answers as its module says.

    Args:
        max_body_bytes: Of the listener.
        max_connections: Likewise.
        patience: Likewise; may be changed later.

    Attributes:
        port: That it listens on.
        asked: Requests so far, the oldest first.
        left: Paths whose answer was cancelled.
        gate: What `/wait` waits for.
        faults: That the event loop was told.
        may_fail: Whether they are what a test wants.
    """

    may_fail = False

    def __init__(
        self,
        *,
        max_body_bytes: int = 1000,
        max_connections: int = 100,
        patience: Patience | None = None,
    ) -> None:
        self.patience = patience or Patience(sweep_seconds=SWEEP_SECONDS)
        self.listener = Listener(
            self.answer,
            max_body_bytes=max_body_bytes,
            max_connections=max_connections,
            patience=self.patience,
        )
        self.port = free_port()
        self.asked: list[Request] = []
        self.left: list[str] = []
        self.faults: list[dict[str, Any]] = []
        self.gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def num_connections(self) -> int:
        """How many connections are open."""
        return self.listener.num_connections

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect, and hang up at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        yield Client(reader, writer)
        writer.transport.abort()

    async def takes(self, client: Client, *pieces: bytes) -> None:
        """Have a client send pieces, until the first request of this listener is asked."""
        await client.send(*pieces)
        await eventually(lambda: len(self.asked) == 1)

    async def exchange(self, *pieces: bytes) -> list[Answer]:
        """Send pieces over a connection of their own, and read all answers to the end."""
        async with self.client() as client:
            await client.send(*pieces)
            return await client.answers()

    async def answer(self, request: Request) -> Reply:
        """Answer a request by its path."""
        self.asked.append(request)
        if request.fault is not None:
            return Reply(request.fault.status, [], request.fault.detail.encode())
        if request.path == "/wait":
            try:
                await asyncio.shield(self.gate)
            except asyncio.CancelledError:
                self.left.append(request.path)
                raise
        if request.path.startswith("/status/"):
            return Reply(int(request.path.removeprefix("/status/")), [], b"text")
        if request.path == "/stop":
            asyncio.get_running_loop().call_soon(self.listener.stop)
        if request.path == "/large":
            return Reply(200, [], LARGE)
        if request.path == "/close":
            return Reply(200, [(b"connection", b"close")], b"")
        return Reply(200, [], f"{request.method} {request.path} ".encode() + request.body)


Served = TypeVar("Served", bound=Site)


@asynccontextmanager
async def serving(site: Served) -> AsyncIterator[Served]:
    """Serve until the end of the block, and then leave nothing; a fault of ours fails the test."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, fault: site.faults.append(fault))
    await site.listener.listen("127.0.0.1", site.port, backlog=1024)
    yield site
    site.listener.stop()
    site.listener.abort()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await site.listener.wait_closed()
    loop.set_exception_handler(None)
    assert site.may_fail or not site.faults, site.faults


async def eventually(happened: Callable[[], bool]) -> None:
    """Look again and again until something has happened; AssertionError if it never does."""
    give_up = monotonic() + TIMEOUT_SECONDS
    while not happened():
        assert monotonic() < give_up
        await asyncio.sleep(0.002)


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    """Make a request without a body."""
    lines = [f"GET {path} HTTP/{version}", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, path: str = "/", *headers: str) -> bytes:
    """Make a request with a body."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*chunks: bytes, path: str = "/", end: bytes = b"0\r\n\r\n") -> bytes:
    """Make a request with a body in chunks."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


LAST = get("/last", "Connection: close")
"""A request after whose answer the connection ends."""
