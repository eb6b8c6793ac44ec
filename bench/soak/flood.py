"""A client that sends request upon request and waits for no answer (pipelining).

Run as `python -m bench.soak.flood PORT KIND CONNECTIONS READS`, in a process of its own, until its
standard input ends; then it prints how many answers it got. `READS` is `yes`, or `no` for a client
that leaves them unread.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from bench.request import HOST
from bench.soak.client import get, post

NICENESS = 10
"""Its own work is to be done on another machine: here it takes the cores that nobody else wants."""
BODY = b'{"data":[[13.32,3.24,21.5,1.93,0.76,0.45,8.42,0.55,1.62,650.0]]}'
KINDS = {
    "refusals": get("/predict"),
    "hits": post("/predict", BODY),
    "misses": post("/predict", BODY[:-1] + b',"use_cache":false}'),
    "pages": get("/openapi.json"),
    "nothing": get("/nothing"),
}
SENT_AT_ONCE = 262_144
"""Bytes, of whole requests."""


class Flood(asyncio.Protocol):
    """One connection: sends whenever the other side takes more."""

    def __init__(self, request: bytes, *, reads: bool) -> None:
        self._data = request * (SENT_AT_ONCE // len(request))
        self._reads = reads
        self.num_answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        if not self._reads:
            self._transport.pause_reading()
        self._send()

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._data)
            if self._transport.get_write_buffer_size() == 0:
                asyncio.get_running_loop().call_soon(self._send)

    def resume_writing(self) -> None:
        self._send()

    def pause_writing(self) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        self.num_answers += data.count(b"HTTP/1.1 ")


async def flood(port: int, kind: str, num_connections: int, *, reads: bool) -> int:
    """Send until there is nobody who wants it any more; gives the number of answers."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), over.set)
    floods = []
    for _ in range(num_connections):
        _, protocol = await loop.create_connection(
            lambda: Flood(KINDS[kind], reads=reads), HOST, port
        )
        floods.append(protocol)
    await over.wait()
    return sum(each.num_answers for each in floods)


if __name__ == "__main__":
    os.nice(NICENESS)
    port, kind, connections, reads = sys.argv[1:]
    print(uvloop.run(flood(int(port), kind, int(connections), reads=reads == "yes")))
