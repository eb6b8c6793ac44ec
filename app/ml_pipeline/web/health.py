"""Is it up, is it ready, what is it doing: `/`, `/health…` and `/metrics`."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any, Literal, get_args

from litestar import Request, Response
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
from ml_pipeline.web.operation import JSON, TEXT, Operation
from ml_pipeline.web.serves import serves

Severity = Literal["healthy", "degraded", "unhealthy"]
LARGE_BYTES = 131_072
"""Size of metrics from which on they are compressed in a thread, because it takes 1 ms and more."""

_forms = (("application/json",), ("text/html",))
"""Media types that `/` is answered in."""

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


STATUS = Operation("get", "/", "Short status", {JSON: Status}, audience="open")
HEALTH = Operation(
    "get", "/health", "Health with its reasons", {JSON: Health}, audience="open", unready=True
)
LIVE = Operation("get", "/health/live", "Whether the process runs", {JSON: Live}, audience="open")
READY = Operation(
    "get",
    "/health/ready",
    "Whether every model is loaded and warm",
    {JSON: Ready},
    audience="open",
    unready=True,
)
METRICS = Operation("get", "/metrics", "Prometheus metrics", {TEXT: str}, audience="open")
OPERATIONS = (STATUS, HEALTH, LIVE, READY, METRICS)


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
        dependencies: Asked for the state of what the server uses beside models, and can do without.
    """

    @serves(STATUS)
    def status(request: Request[Any, Any, Any]) -> Response[Any]:
        headers = {"Vary": "Accept"}
        if choose(request.headers.get("accept", ""), _forms, usual=0):  # a browser, so a person
            return Response(b"", status_code=307, headers={**headers, "Location": "ui/"})
        names = [model.name for model in repository.models]
        ready = not _why_not(lifecycle, repository)
        body = Status("ml-pipeline", __version__, ready, names, "docs")
        return Response(body, headers=headers)

    @serves(HEALTH)
    def health() -> Response[Health]:
        body = _health(lifecycle, repository, dependencies())
        return Response(body, status_code=503 if body.status == "unhealthy" else 200)

    @serves(LIVE)
    def live() -> Live:
        return Live(live=True)

    @serves(READY)
    def ready() -> Response[Ready]:
        reason = _why_not(lifecycle, repository)
        return Response(Ready(not reason, reason), status_code=503 if reason else 200)

    @serves(METRICS)
    async def scrape(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _exposition(metrics, compressed=takes_gzip(request))

    return [status, health, live, ready, scrape]


async def _exposition(metrics: Metrics, *, compressed: bool) -> Response[bytes]:
    """Write the metrics, asked for each 2 s; compressed they have an eighth of the bytes."""
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
    """Tell why no prediction can be asked for; empty if any model can be asked."""
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
