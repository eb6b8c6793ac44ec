"""An ASGI application asked for one request: for the routes that are not counted in microseconds.

Both sides are held whole, so an answer is sent with its length and no application waits for a
client. Source: ASGI 3, HTTP connection scope 2.5.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ml_pipeline.fronts.http.message import HeaderList, Reply, Request

Scope = dict[str, Any]
Message = dict[str, Any]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


async def ask(app: ASGIApp, request: Request, scope: Scope) -> Reply:
    """Return what an application answers.

    Args:
        app: Asked.
        request: Read whole.
        scope: Filled in but for what is there, and for what the application leaves there.

    Raises:
        RuntimeError: It ended without an answer, or answered twice.
    """
    scope |= _scope(request) | scope
    body = [request.body]
    headers: HeaderList = []
    chunks: list[bytes] = []
    status, complete = 0, False

    async def receive() -> Message:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, complete
        if message["type"] == "http.response.start" and not status:
            status = message["status"]
            headers.extend(message.get("headers", ()))
        elif message["type"] == "http.response.body" and status and not complete:
            chunks.append(message.get("body", b""))
            complete = not message.get("more_body", False)
        else:
            raise RuntimeError(f"{message['type']}: not expected at this point of an answer")

    await app(scope, receive, send)
    if not complete:
        raise RuntimeError("the application ended without an answer")
    for name, value in headers:
        if b"\n" in value or b"\r" in value:
            raise RuntimeError(f"{name!r}: expected one line, found several")
    return Reply(status, headers, b"".join(chunks))


def _scope(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        # HEAD is GET without the body, which is left out when the reply is written.
        "method": "GET" if request.method == "HEAD" else request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.raw_path,
        "query_string": request.query_string,
        "root_path": "",
        "headers": request.headers,
        "client": request.client,
        "server": None,
    }
