"""Builds every object and joins them; opens and closes them in the order of the data."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort
from litestar import Litestar

from app.cache.memory import MemoryCache
from app.engine.batch_queue import BatchOptions
from app.engine.batch_run import BatchRecord
from app.engine.model import EngineOptions
from app.engine.repository import Repository
from app.engine.session_pool import usable_cores
from app.errors import ModelLoadError
from app.lifecycle import Lifecycle
from app.log import get_logger
from app.metrics import Metrics
from app.pipeline import Predictor
from app.settings import Settings, load_settings
from app.web.cors import Cors
from app.web.docs import docs_routes
from app.web.error_response import to_response
from app.web.health import health_routes
from app.web.middleware import ASGIApp, RequestLayer
from app.web.models import log_loaded, model_routes
from app.web.predict import BatchRoute, PredictRoute

GC_THRESHOLDS = (50_000, 20, 50)
"""Young collections 70 times as seldom; what start-up made is frozen out of all of them.

Requests make next to no cycles, so a collection finds little (`bench/gc_pauses`).
"""


class Application:
    """The ASGI application, and what starts and stops it. Nothing is opened before `lifespan`.

    Attributes:
        asgi: What `__call__` calls, for a server that counts microseconds.
        lifecycle: Where the process stands.
        repository: The models.

    Raises:
        ModelLoadError: An execution provider is not available.
    """

    def __init__(self, settings: Settings) -> None:
        self._drain_timeout_seconds = settings.drain_timeout_seconds
        self.lifecycle = Lifecycle()
        self._cache = MemoryCache(settings.cache_max_mb * 1024 * 1024)
        self._metrics = Metrics(self._scrape_models, self._cache.statistics)
        self.repository = Repository(
            Path(settings.model_path), engine_options(settings), self._on_batch
        )
        self.asgi = self._build_web(settings)

    def _build_web(self, settings: Settings) -> ASGIApp:
        predictor = Predictor(
            self.repository,
            self._cache,
            default_ttl_seconds=settings.cache_ttl_seconds,
            max_members=settings.max_rows,
            caching=settings.cache_max_mb > 0,
        )
        litestar = Litestar(
            route_handlers=[
                *health_routes(self.lifecycle, self.repository, self._metrics),
                *model_routes(self.repository),
                *docs_routes(),
            ],
            lifespan=[lambda _: self.lifespan()],
            exception_handlers={Exception: to_response},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=settings.max_body_bytes,
        )
        timeout_seconds = settings.request_timeout_ms / 1000.0
        layer = RequestLayer(
            litestar,
            [
                PredictRoute(predictor, self._metrics, timeout_seconds),
                BatchRoute(predictor, self._metrics, timeout_seconds),
            ],
            lifecycle=self.lifecycle,
            metrics=self._metrics,
            max_body_bytes=settings.max_body_bytes,
            access_log=settings.access_log,
        )
        return Cors(layer, settings.cors_origins) if settings.cors_origins else layer

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the models on entry, drain and close on exit.

        `__main__` enters it directly: through Litestar a load error becomes an exception group.

        Raises:
            ModelLoadError: A model cannot be served.
        """
        log_loaded(await self.repository.reload())
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self.lifecycle.ready = True
        yield
        self.lifecycle.begin_drain()
        seconds = self.lifecycle.drain_seconds_left(self._drain_timeout_seconds)
        try:
            async with asyncio.timeout(seconds):
                await self.repository.aclose()
        except TimeoutError:
            get_logger().warning("drain_timed_out", seconds=self._drain_timeout_seconds)
        await self._cache.aclose()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection event."""
        await self.asgi(scope, receive, send)

    def _on_batch(self, model: str, record: BatchRecord) -> None:
        self._metrics.observe_batch(model, record.num_rows, record.run_seconds)

    def _scrape_models(self) -> list[tuple[str, str, str, float, int]]:
        return [
            (
                model.name,
                model.version,
                model.digest,
                model.load_seconds,
                model.batcher.statistics().num_rows_waiting,
            )
            for model in self.repository.models
        ]


def create_app(settings: Settings | None = None) -> Application:
    """Make the application; without settings, from the environment.

    Raises:
        SettingsError: The environment cannot be used.
        ModelLoadError: An execution provider is not available.
    """
    return Application(settings or load_settings(os.environ))


def engine_options(settings: Settings) -> EngineOptions:
    """Turn settings into the engine's units: seconds, bytes, rows.

    Raises:
        ModelLoadError: An execution provider is not available; lists those that are.
    """
    providers = list(settings.ort_providers)
    available = ort.get_available_providers()
    if missing := [name for name in providers if name not in available]:
        raise ModelLoadError(
            f"ORT_PROVIDERS: expected some of {', '.join(available)}, found {', '.join(missing)}"
        )
    return EngineOptions(
        num_sessions=settings.sessions or usable_cores(),
        providers=providers,
        share_weights_above_bytes=settings.share_weights_above_mb * 1024 * 1024,
        max_rows=settings.max_rows,
        batch=BatchOptions(
            max_batch_size=settings.max_batch_size,
            max_queue_size=settings.max_queue_size,
            max_queue_delay_seconds=settings.max_queue_delay_us / 1e6,
            inline_budget_seconds=settings.inline_budget_us / 1e6,
        ),
    )
