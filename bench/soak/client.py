"""A client as small as can be, so that the load leaves the cores to what is under test.

One request at a time on a connection; it knows answers with a Content-Length alone, which is all
that the server sends. Not here: what is asked, and whether an answer is right.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

from bench.request import HOST

ANSWER_SECONDS = 30.0
NO_LINGER = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    """What came back; header names in lower case.

    Attributes:
        seconds: From the request's first byte to the answer's last.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


def post(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST of JSON as bytes; `content_type="…"` and the like are further headers."""
    named = {"host": HOST, "content-type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return _head("POST", path, named, len(body)) + body


def get(path: str) -> bytes:
    """Return a GET as bytes."""
    return _head("GET", path, {"host": HOST}, 0)


class Connection(asyncio.Protocol):
    """A kept connection to a port of this machine: `await Connection.open(port)`, then `ask`."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None

    @staticmethod
    async def open(port: int) -> Connection:
        """Connect; OSError where nobody listens."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(Connection, HOST, port)
        return protocol

    @property
    def ended(self) -> bool:
        """Whether the other side has hung up."""
        return self._lost is not None

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            ConnectionError: The server hung up first.
            TimeoutError: Nothing in `ANSWER_SECONDS`.
        """
        if self._lost is not None or self._transport is None:
            raise ConnectionError("the connection has ended")
        started = time.perf_counter()
        self._received.clear()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            while (end := self._received.find(b"\r\n\r\n")) < 0:
                await self._more()
            status, headers = _parse(bytes(self._received[:end]))
            whole = end + 4 + int(headers.get("content-length", "0"))
            while len(self._received) < whole:
                await self._more()
        body = bytes(self._received[end + 4 : whole])
        return Answer(status, headers, body, time.perf_counter() - started)

    def send(self, request: bytes) -> None:
        """Send without waiting for anything."""
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        """Hang up at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Hang up so that the server is told at once, instead of with its next answer."""
        if self._transport is not None:
            client = self._transport.get_extra_info("socket")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._transport.abort()

    def read_no_more(self) -> None:
        """Leave what comes to the kernel."""
        if self._transport is not None:
            self._transport.pause_reading()

    async def _more(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a socket, it is a Transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = ConnectionError(f"hung up: {exc or 'closed'}")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}
