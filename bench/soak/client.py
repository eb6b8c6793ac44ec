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
from typing import Any, NamedTuple

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


class Connection:
    """A kept connection to a port of this machine: `await Connection.open(port)`, then `ask`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(port: int) -> Connection:
        """Connect; OSError where nobody listens."""
        return Connection(*await asyncio.open_connection(HOST, port))

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            ConnectionError: The server hung up first.
            TimeoutError: Nothing in `ANSWER_SECONDS`.
        """
        started = time.perf_counter()
        self.send(request)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, headers = _parse(await self._reader.readuntil(b"\r\n\r\n"))
                body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the server hung up") from error
        return Answer(status, headers, body, time.perf_counter() - started)

    def send(self, request: bytes) -> None:
        """Send without waiting for anything."""
        self._writer.write(request)

    def close(self) -> None:
        """Hang up at once, whatever is under way."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """Hang up so that the server is told at once, instead of with its next answer."""
        client = self._writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.close()

    def read_no_more(self) -> None:
        """Leave what comes to the kernel."""
        transport: Any = self._writer.transport  # which reads too
        transport.pause_reading()


def _head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}
