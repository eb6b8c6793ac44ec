"""Cross-origin requests, for the origins in CORS_ORIGINS and no others.

Wraps everything, and only where an origin is allowed: without CORS_ORIGINS it is not there at all.
Credentials are never allowed, so `*` is safe. Source: the Fetch standard, "CORS protocol".
"""

from typing import Any

from app.web.exchange import HeaderList, Receive, Scope, Send
from app.web.middleware import ASGIApp

_preflight: HeaderList = [
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"content-type, accept, x-request-id, x-request-timeout-ms",
    ),
    (b"access-control-max-age", b"600"),
]
_exposed = (
    b"access-control-expose-headers",
    b"x-request-id, x-cache, server-timing, retry-after",
)


class Cors:
    """ASGI layer that adds the CORS headers.

    Args:
        app: What answers.
        origins: Allowed origins, or `*`.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            await self._app(scope, receive, send)
            return
        allowed = [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"vary", b"Origin"),
        ]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send(
                {
                    "type": "http.response.start",
                    "status": 204,
                    "headers": [*allowed, *_preflight],
                }
            )
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_with_cors(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *allowed, _exposed]}
            await send(message)

        await self._app(scope, receive, send_with_cors)
