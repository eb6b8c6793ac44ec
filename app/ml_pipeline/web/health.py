"""Is it up, is it ready, what is it doing: `/`, `/health…` and `/metrics`."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any, Literal, get_args

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from ml_pipeline import __version__
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.observe.exposition import expose
from ml_pipeline.web.accept import choose
from ml_pipeline.web.assets import takes_gzip

Severity = Literal["healthy", "degraded", "unhealthy"]
LARGE_BYTES = 131_072
"""Of metrics, from which on they are compressed in a thread: it takes 1 ms and more."""

_forms = (("application/json",), ("text/html",))
"""Of `/`."""

_severities: tuple[Severity, ...] = get_args(Severity)


class Dependency(Struct):
    """State of one thing the server needs; `degraded` = it answers all the same."""

    name: str
    status: Severity
    detail: str


class Health(Struct):
    """Answer of `GET /health`."""

    status: Severity
    model_loaded: bool
    redis_connected: bool
    model_name: str | None
    version: str
    uptime: float
    dependencies: list[Dependency]


class Status(Struct):
    """Answer of `GET /`."""

    name: str
    version: str
    ready: bool
    models: list[str]
    docs: str


class Live(Struct):
    """Answer of `GET /health/live`."""

    live: bool


class Ready(Struct, omit_defaults=True):
    """Answer of `GET /health/ready`; the reason says why it is not."""

    ready: bool
    reason: str = ""


def health_routes(
    lifecycle: Lifecycle,
    repository: Repository,
    metrics: Metrics,
    dependencies: Callable[[], list[Dependency]],
) -> list[HTTPRouteHandler]:
    """Make the handlers.

    Args:
        lifecycle: Where the process stands.
        repository: The models.
        metrics: What is scraped.
        dependencies: Asked for all but the models: what the server can do without.
    """

    @get("/", sync_to_thread=False)
    def status(request: Request[Any, Any, Any]) -> Response[Any]:
        headers = {"Vary": "Accept"}
        if choose(request.headers.get("accept", ""), _forms, usual=0):  # a browser, so a person
            return Response(b"", status_code=307, headers={**headers, "Location": "ui/"})
        names = [model.name for model in repository.models]
        ready = not _why_not(lifecycle, repository)
        body = Status("ml-pipeline", __version__, ready, names, "docs")
        return Response(body, headers=headers)

    @get("/health", sync_to_thread=False)
    def health() -> Response[Health]:
        body = _health(lifecycle, repository, dependencies())
        return Response(body, status_code=503 if body.status == "unhealthy" else 200)

    @get("/health/live", sync_to_thread=False)
    def live() -> Live:
        return Live(live=True)

    @get("/health/ready", sync_to_thread=False)
    def ready() -> Response[Ready]:
        reason = _why_not(lifecycle, repository)
        return Response(Ready(not reason, reason), status_code=503 if reason else 200)

    @get("/metrics")
    async def scrape(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _exposition(metrics, compressed=takes_gzip(request))

    handlers: list[Any] = [status, health, live, ready, scrape]
    return handlers


async def _exposition(metrics: Metrics, *, compressed: bool) -> Response[bytes]:
    """Write the metrics; for who asks each 2 s, an eighth of the bytes."""
    # As a header: Litestar adds a second charset to media types of text.
    headers = {"content-type": CONTENT_TYPE_PLAIN_0_0_4, "vary": "accept-encoding"}
    body = await expose(metrics)
    if compressed:
        headers["content-encoding"] = "gzip"
        if len(body) < LARGE_BYTES:
            body = gzip.compress(body, compresslevel=1)
        else:
            body = await asyncio.to_thread(gzip.compress, body, compresslevel=1)
    return Response(body, headers=headers)


def _why_not(lifecycle: Lifecycle, repository: Repository) -> str:
    """Tell why no prediction can be asked for; empty if some can."""
    if not lifecycle.ready:
        return "draining" if lifecycle.draining else "loading"
    return "" if repository.models else "no model is loaded"


def _health(lifecycle: Lifecycle, repository: Repository, dependencies: list[Dependency]) -> Health:
    models = repository.models
    if reason := _why_not(lifecycle, repository):
        state = Dependency("model", "unhealthy", reason)
    else:
        detail = ", ".join(f"{model.name}/{model.version}" for model in models)
        state = Dependency("model", "healthy", detail)
    found = [state, *dependencies]
    return Health(
        status=max((each.status for each in found), key=_severities.index),
        model_loaded=bool(models),
        redis_connected=any(each.name == "redis" and each.status == "healthy" for each in found),
        model_name=models[0].name if models else None,
        version=__version__,
        uptime=round(lifecycle.uptime_seconds, 3),
        dependencies=found,
    )
