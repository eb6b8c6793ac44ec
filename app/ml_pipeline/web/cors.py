"""Cross-origin requests, for the origins in CORS_ORIGINS and no others.

Wraps everything, and only where an origin is allowed: without CORS_ORIGINS it is not there at all.
Credentials, such as cookies, are never allowed, so `*` is safe: a page can send only the keys that
it was given itself. Source: the Fetch standard, "CORS protocol".
"""

from ml_pipeline.fronts.http.message import HeaderList, Reply, Request, Respond

_preflight: HeaderList = [
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"content-type, accept, authorization, x-api-key, x-request-id, x-request-timeout-ms, "
        b"traceparent, tracestate",
    ),
    (b"access-control-max-age", b"600"),
]
_exposed = (
    b"access-control-expose-headers",
    b"x-request-id, x-cache, server-timing, retry-after",
)


class Cors:
    """Layer that adds the CORS headers.

    Args:
        respond: What answers.
        origins: Allowed origins, or `*`.
    """

    def __init__(self, respond: Respond, origins: tuple[str, ...]) -> None:
        self._respond = respond
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        origin = request.fields.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return await self._respond(request)
        allowed = [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"vary", b"Origin"),
        ]
        if request.method == "OPTIONS" and b"access-control-request-method" in request.fields:
            return Reply(204, [*allowed, *_preflight], b"")
        reply = await self._respond(request)
        reply.headers += [*allowed, _exposed]
        return reply
