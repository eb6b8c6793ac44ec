"""Two measures: what HTTP costs before a line of an application has run.

Run as a process of its own, `python -m bench.echo`; ANSWER_BYTES is the length of its one answer.
With ECHO=granian HTTP is spoken by threads of its own and an ASGI application reads and answers,
else by `ml_pipeline/fronts/http`. Event loop and garbage collector are the server's; so are its
imports, so that memory is the one thing these are no measure of.
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

from ml_pipeline.application import GC_THRESHOLDS
from ml_pipeline.command import BACKLOG, MAX_CONNECTIONS
from ml_pipeline.fronts.http.listener import Listener
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.settings import Settings, load_settings

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


async def serve_here(answer: bytes, settings: Settings) -> None:
    """Answer every request by `app/ml_pipeline/fronts/http`, until SIGTERM."""

    async def respond(request: Request) -> Reply:
        return Reply(200, [(b"content-type", b"application/json")], answer)

    listener = Listener(
        respond, max_body_bytes=settings.max_body_bytes, max_connections=MAX_CONNECTIONS
    )
    await listener.listen(settings.host, settings.port, backlog=BACKLOG)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop)
    await listener.wait_closed()


async def serve_on_granian(answer: bytes, settings: Settings) -> None:
    """Answer every request by Granian, until SIGTERM."""
    server = Server(
        echo(answer),
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
    await server.serve()


async def main() -> None:
    """Serve until SIGTERM."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    serve = serve_on_granian if os.environ.get("ECHO") == "granian" else serve_here
    await serve(b"x" * int(os.environ["ANSWER_BYTES"]), load_settings(os.environ))


if __name__ == "__main__":
    uvloop.run(main())
