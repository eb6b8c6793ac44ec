"""The ONE layer round everything: request id, API keys, clock, metrics, access log.

It answers the hot routes by itself and asks Litestar for the rest: on the prototype a Litestar
handler cost 18 µs a request over a raw echo, and a full one with typed data 55.
"""

import asyncio
import itertools
import os
import re
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

from ml_pipeline.errors import InferenceError
from ml_pipeline.fronts.http.asgi import ASGIApp, Scope, ask
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.log import about, get_logger
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.protocols.timings import Timings
from ml_pipeline.web.access import Access
from ml_pipeline.web.error_response import error_reply, not_allowed
from ml_pipeline.web.exchange import Exchange
from ml_pipeline.web.named_path import routed_path
from ml_pipeline.web.request_log import identity, log_slow, summary

UNKNOWN_ENDPOINT = "unmatched"
"""The `endpoint` label of all paths that no route takes."""

CLIENT_GONE = 499
"""The status that is counted for a request whose client hung up; Nginx' number for it."""

Trace = Callable[[Exchange, str, int], None]
"""Called with an exchange, its endpoint (or `UNKNOWN_ENDPOINT`) and the status of the answer."""

_well_formed_id = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch


CallT = TypeVar("CallT")


class HotRoute(Protocol[CallT]):
    """A route that the layer answers by itself, without Litestar."""

    path: str

    def read(self, request: Request, arrived: float) -> CallT:
        """Read all but the body, or raise an InferenceError.

        Args:
            request: As it was sent.
            arrived: `time.monotonic()` seconds when it had been read whole.
        """
        ...

    async def answer(self, exchange: Exchange, call: CallT) -> Reply:
        """Answer what was read, or raise an InferenceError."""
        ...


class PatternRoute(Protocol):
    """A route whose path has names in it."""

    def find(self, raw_path: bytes) -> HotRoute[Any] | None:
        """Give the route that answers a path, as it was sent; None if it is another's."""
        ...


class RequestLayer:
    """Answers every request.

    Args:
        app: Litestar, for all but the hot routes.
        hot_routes: Answered here, by POST.
        infer_route: Answered here, too, at a path for each model.
        access: Who is let in; None = everybody.
        lifecycle: While it drains, answers carry `Connection: close`.
        metrics: Counts every request.
        access_log: `all`, `errors` (400 and above) or `off`.
        slow_seconds: A request that takes longer is logged with where its time went.
        trace: Told of each request when it has been answered; None where nobody traces.
    """

    def __init__(
        self,
        app: ASGIApp,
        hot_routes: list[HotRoute[Any]],
        infer_route: "PatternRoute",
        *,
        access: Access | None,
        lifecycle: Lifecycle,
        metrics: Metrics,
        access_log: str,
        slow_seconds: float,
        trace: Trace | None = None,
    ) -> None:
        self._app = app
        self._hot_routes = {route.path: route for route in hot_routes}
        self._infer_route = infer_route
        self._access = access
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._logged_from = {"all": 0, "errors": 400, "off": 1000}[access_log]
        self._slow_seconds = slow_seconds
        self._trace = trace
        self._going_on: set[asyncio.Task[Reply]] = set()
        self._id_prefix = os.urandom(6).hex()
        self._ids = itertools.count(1)

    async def __call__(self, request: Request) -> Reply:
        """Answer a request; raises nothing but CancelledError."""
        request_id = self._request_id(request.fields.get(b"x-request-id"))
        exchange = Exchange(request, request_id, Timings(arrived := monotonic()))
        route = self._hot_routes.get(request.path) or self._find(request)
        endpoint = UNKNOWN_ENDPOINT if route is None else route.path
        try:
            if self._access is not None and request.fault is None:
                exchange.client_name = self._access.check(request)
            if request.fault is not None:  # raised, its traceback would hold the request for ever
                reply = self._refuse(request.fault, exchange)
            elif route is None:
                reply, endpoint = await self._pass_on(exchange)
            elif request.method == "POST":
                exchange.call = call = route.read(request, arrived)
                reply = await route.answer(exchange, call)
            else:
                reply = not_allowed(request.method, "POST", request_id, request.path)
        except asyncio.CancelledError:
            self._finish(exchange, endpoint, CLIENT_GONE)
            raise
        except Exception as error:  # the last line of defence: no traceback reaches a client
            reply = self._refuse(error, exchange)
        reply.headers.append((b"x-request-id", request_id.encode()))
        if self._lifecycle.draining:
            reply.headers.append((b"connection", b"close"))
        self._finish(exchange, endpoint, reply.status)
        return reply

    def _find(self, request: Request) -> HotRoute[Any] | None:
        """Find a hot route that is one of many, or by slashes behind its name, as Litestar does."""
        route = self._hot_routes.get(request.path.rstrip("/"))
        return route or self._infer_route.find(request.raw_path.rstrip(b"/"))

    async def _pass_on(self, exchange: Exchange) -> tuple[Reply, str]:
        """Ask Litestar; returns its answer and the template of the route.

        What was begun is brought to its end, such as a reload, also when the client has gone.
        """
        request, request_id = exchange.request, exchange.request_id
        scope: Scope = {
            "state": {"request_id": request_id},
            "path": routed_path(request.path, request.raw_path),
        }
        try:
            told = about(partial(identity, request_id, request.headers))
            loop = asyncio.get_running_loop()
            task = loop.create_task(ask(self._app, request, scope), context=told)
            self._going_on.add(task)  # asyncio itself keeps no task from being collected
            task.add_done_callback(self._going_on.discard)
            reply = await asyncio.shield(task)
        except Exception as error:  # Litestar answers its own; this is a fault in doing so
            reply = error_reply(error, request_id, request.path, request.headers)
        return reply, scope.get("path_template") or UNKNOWN_ENDPOINT

    def _refuse(self, error: Exception, exchange: Exchange) -> Reply:
        request = exchange.request
        if isinstance(error, InferenceError):
            self._metrics.observe_refused(error.code)
        return error_reply(error, exchange.request_id, request.path, request.headers)

    def _finish(self, exchange: Exchange, endpoint: str, status: int) -> None:
        request = exchange.request
        seconds = monotonic() - request.started
        self._metrics.observe_request(request.method, endpoint, status, seconds)
        if status >= self._logged_from:
            get_logger().info("request", **summary(exchange, status, seconds))
        if seconds > self._slow_seconds:
            log_slow(exchange, status, seconds)
        if self._trace is not None:
            self._trace(exchange, endpoint, status)

    def _request_id(self, sent: bytes | None) -> str:
        """Take the client's id if it is 1 to 128 visible ASCII characters, else make one."""
        if sent is not None and _well_formed_id(sent):
            return sent.decode("ascii")
        return f"{self._id_prefix}-{next(self._ids):x}"
