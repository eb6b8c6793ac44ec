"""A measure: an ASGI application on Granian that only reads and answers.

Run as a process of its own, `python -m bench.echo`; ANSWER_BYTES is the length of its one answer.
What it costs is what HTTP costs where it is spoken by threads of its own, before a line of an
application has run. Event loop and garbage collector are the server's; so are its imports, so that
memory is the one thing it is no measure of.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from app.__main__ import BACKLOG, MAX_CONNECTIONS
from app.main import GC_THRESHOLDS
from app.settings import load_settings

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def echo(answer: bytes) -> Any:
    """Return the ASGI application that reads a whole body and sends `answer`."""
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ],
    }
    body = {"type": "http.response.body", "body": answer}

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        # Granian tells the end of a body in a message of its own, which an application need not
        # wait for.
        missing = int(dict(scope["headers"]).get(b"content-length", 0))
        while missing > 0:
            missing -= len((await receive())["body"])
        await send(start)
        await send(body)

    return application


async def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(os.environ)
    server = Server(
        echo(b"x" * int(os.environ["ANSWER_BYTES"])),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=BACKLOG,
        backpressure=MAX_CONNECTIONS,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main())
