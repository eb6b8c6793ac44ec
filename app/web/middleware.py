"""The ONE layer round everything: request id, body, clock, metrics, access log.

It answers the hot routes by itself and passes the rest to Litestar: measured on the prototype, a
Litestar `@asgi` handler costs about 18 µs a request over the raw Granian echo, this layer 3.
"""

import itertools
import os
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from app.errors import InferenceError
from app.lifecycle import Lifecycle
from app.log import get_logger
from app.metrics import Metrics
from app.web.error_response import not_allowed, problem_reply
from app.web.exchange import (
    HeaderList,
    HotRequest,
    HotRoute,
    Receive,
    Reply,
    Scope,
    Send,
    read_body,
)

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

UNKNOWN_ENDPOINT = "unmatched"
"""The `endpoint` label of all paths that no route takes."""

_well_formed_id = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch


class RequestLayer:
    """ASGI application that wraps another.

    Args:
        app: Litestar, for every other route.
        hot_routes: Answered here, by POST.
        lifecycle: While it drains, answers carry `Connection: close`, because Granian waits for
            keep-alive connections (granian#548, #568).
        metrics: Counts every request.
        max_body_bytes: Bound on bodies of the hot routes.
        access_log: `all`, `errors` (400 and above) or `off`.
    """

    def __init__(
        self,
        app: ASGIApp,
        hot_routes: list[HotRoute],
        *,
        lifecycle: Lifecycle,
        metrics: Metrics,
        max_body_bytes: int,
        access_log: str,
    ) -> None:
        self._app = app
        self._hot_routes = {route.path: route for route in hot_routes}
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._logged_from = {"all": 0, "errors": 400, "off": 1000}[access_log]
        self._id_prefix = os.urandom(6).hex()
        self._ids = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._request_id(headers.get(b"x-request-id"))
        route = self._hot_routes.get(scope["path"])
        if route is None:
            await self._pass_on(scope, receive, send, request_id, started)
            return
        request = HotRequest(b"", headers, scope["query_string"], request_id, started)
        reply = await self._answer(route, request, scope["method"], receive)
        reply.headers.append((b"x-request-id", request_id.encode()))
        if self._lifecycle.draining:
            reply.headers.append((b"connection", b"close"))
        await send(_start(reply.status, reply.headers))
        await send({"type": "http.response.body", "body": reply.body})
        self._finish(scope, route.path, reply.status, request_id, started)

    async def _answer(
        self, route: HotRoute, request: HotRequest, method: str, receive: Receive
    ) -> Reply:
        if method != "POST":
            return not_allowed(method, "POST", request.request_id)
        try:
            request.body = await read_body(receive, request.headers, self._max_body_bytes)
            return await route.answer(request)
        except Exception as error:  # the last line of defence: no traceback reaches a client
            if isinstance(error, InferenceError):
                self._metrics.observe_refused(error.code)
            return problem_reply(error, request.request_id)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, started: float
    ) -> None:
        """Give the request to Litestar, and add to its answer what every answer has."""
        status = 500
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers: HeaderList = [*message["headers"], (b"x-request-id", request_id.encode())]
                if self._lifecycle.draining:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # Litestar answers its own; this is a fault in doing so
            reply = problem_reply(error, request_id)
            await send_with_id(_start(reply.status, reply.headers))
            await send({"type": "http.response.body", "body": reply.body})
        endpoint = scope.get("path_template") or UNKNOWN_ENDPOINT
        self._finish(scope, endpoint, status, request_id, started)

    def _finish(
        self, scope: Scope, endpoint: str, status: int, request_id: str, started: float
    ) -> None:
        seconds = perf_counter() - started
        self._metrics.observe_request(scope["method"], endpoint, status, seconds)
        if status >= self._logged_from:
            get_logger().info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(seconds, 6),
                request_id=request_id,
            )

    def _request_id(self, sent: bytes | None) -> str:
        """Take the client's id if it is 1 to 128 visible ASCII characters, else make one."""
        if sent is not None and _well_formed_id(sent):
            return sent.decode("ascii")
        return f"{self._id_prefix}-{next(self._ids):x}"


def _start(status: int, headers: HeaderList) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}
