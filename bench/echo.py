"""The ceiling: an ASGI application on the server's own Granian that only reads and answers.

Run as a process of its own, `python -m bench.echo`, configured as the server is; ANSWER_BYTES is
the length of its one answer. What it costs is what the socket, HTTP and the event loop cost
before a line of the server has run. Event loop, HTTP settings and garbage collector are the
server's; so are its imports, so that memory is the one thing it is no measure of.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from app.__main__ import make_server
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
        # Granian tells the end of a body in a message of its own. The server does not wait for
        # that one, and a ceiling must not do more than what stands below it.
        missing = int(dict(scope["headers"]).get(b"content-length", 0))
        while missing > 0:
            missing -= len((await receive())["body"])
        await send(start)
        await send(body)

    return application


async def main() -> None:
    """Serve until SIGTERM."""
    server = make_server(echo(b"x" * int(os.environ["ANSWER_BYTES"])), load_settings(os.environ))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main())
