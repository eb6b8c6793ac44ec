"""Builds every object and joins them; opens and closes them in the order of the data."""

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort
from litestar import Litestar

from ml_pipeline.api_keys import ApiKeys, KeysError
from ml_pipeline.cache.base import ResponseCache
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.model import EngineOptions
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.sessions.custom_ops import find_libraries
from ml_pipeline.engine.sessions.session_pool import usable_cores
from ml_pipeline.errors import ModelLoadError
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.log import get_logger
from ml_pipeline.observe.collector import Metrics, ModelSample, RedisCounts
from ml_pipeline.pipeline.many import BatchPredictor
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.replicas.disproofs import LEAST_KEPT_SECONDS, RENEW_SECONDS, Disproofs
from ml_pipeline.replicas.reload import KEPT_SECONDS, Reloader
from ml_pipeline.settings import Settings, SettingsError, load_settings
from ml_pipeline.web.access import Access
from ml_pipeline.web.admin import admin_guard
from ml_pipeline.web.cors import Cors
from ml_pipeline.web.cross_site import cross_site_guard
from ml_pipeline.web.dashboard import dashboard_routes
from ml_pipeline.web.docs import docs_routes
from ml_pipeline.web.error_response import to_response
from ml_pipeline.web.health import Dependency, Severity, health_routes
from ml_pipeline.web.infer import InferRoute
from ml_pipeline.web.inference_protocol import inference_routes
from ml_pipeline.web.middleware import RequestLayer
from ml_pipeline.web.model_repository import repository_routes
from ml_pipeline.web.models import model_routes
from ml_pipeline.web.predict import BatchRoute, PredictRoute

if TYPE_CHECKING:
    from ml_pipeline.cache.redis import RedisCache
    from ml_pipeline.observe.tracing import Tracing
    from ml_pipeline.replicas.broadcast import Broadcast
    from ml_pipeline.replicas.signature import Signature
    from ml_pipeline.replicas.wanted import Wanted

GC_THRESHOLDS = (50_000, 20, 50)
"""Young collections 70 times as seldom; what start-up made is frozen out of all of them.

Requests make next to no cycles, so a collection finds little (`python -m bench gc_pauses`).
"""


class Application:
    """What answers requests, and what starts and stops it. Nothing is opened before `lifespan`.

    Attributes:
        respond: Answers a request.
        lifecycle: Where the process stands.
        repository: The models.

    Raises:
        SettingsError: REDIS_URL or the file of API keys cannot be used.
        ModelLoadError: An execution provider is not available.
    """

    def __init__(self, settings: Settings, graphs: GraphReader | None = None) -> None:
        self._keys = _read_keys(settings.api_keys_file)
        self._drain_timeout_seconds = settings.drain_timeout_seconds
        self.lifecycle = Lifecycle()
        self.repository = Repository(
            Path(settings.model_path),
            engine_options(settings),
            self._on_batch,
            graphs or GraphReader(),
            called=settings.model_name or None,
            load_timeout_seconds=settings.load_timeout_seconds,
        )
        self.repository.on_refused = _log_refused
        replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._reloader = Reloader(self.repository, replica)
        self._disproofs = Disproofs(self.repository, replica)
        self._tracing = _open_tracing(replica) if settings.otel_exporter_otlp_endpoint else None
        self._redis: RedisCache | None = None
        self._broadcasts: list[Broadcast] = []
        self._wanted: Wanted | None = None
        self._signature: Signature | None = None
        near = MemoryCache(settings.cache_max_mb * 1024 * 1024)
        self._cache = self._build_cache(settings, near)
        self._metrics = Metrics(
            replica,
            (PredictRoute.path, BatchRoute.path, InferRoute.path),
            scrape_models=self._scrape_models,
            scrape_cache=near.statistics,
            scrape_redis=self._scrape_redis,
            scrape_behind=lambda: bool(self._reloader.behind),
        )
        self.respond = self._build_web(settings)

    def _build_cache(self, settings: Settings, near: MemoryCache) -> ResponseCache:
        if not settings.redis_url:
            return near
        # Here, because the client takes 44 ms and 6 MB that a lone server can do without.
        from ml_pipeline.cache.redis import RedisCache
        from ml_pipeline.cache.redis_link import open_pool
        from ml_pipeline.replicas.broadcast import Broadcast
        from ml_pipeline.replicas.signature import Signature
        from ml_pipeline.replicas.wanted import Wanted

        try:
            pool = open_pool(settings.redis_url)
        except ValueError as error:
            raise SettingsError(f"REDIS_URL: {error}") from None
        self._redis = redis = RedisCache(
            pool,
            settings.redis_url,
            timeout_seconds=settings.redis_timeout_ms / 1000.0,
            always=settings.cache_policy == "always",
            on_change=_log_redis,
            on_round_trip=lambda operation, seconds: self._metrics.observe_round_trip(
                operation, seconds
            ),
        )
        self._signature = Signature(settings.admin_token, _log_not_signed)
        join = partial(Broadcast, pool, settings.redis_url, redis.wait_connected, self._signature)
        self._reloader.publisher = join(
            "reload", self._reloader, _log_listening, kept_seconds=KEPT_SECONDS
        )
        self._reloader.board = self._wanted = Wanted(
            pool, settings.redis_url, "reload", self._signature, kept_seconds=KEPT_SECONDS
        )
        self._disproofs.board = join(
            "disproof",
            self._disproofs,
            _log_listening,
            kept_seconds=max(LEAST_KEPT_SECONDS, settings.cache_ttl_max_seconds),
            renew_seconds=RENEW_SECONDS,
        )
        self._broadcasts = [self._reloader.publisher, self._disproofs.board]
        return TieredCache(near, redis) if settings.cache_max_mb else redis

    def _build_web(self, settings: Settings) -> Respond:
        predictor = Predictor(
            self.repository,
            self._cache,
            default_ttl_seconds=settings.cache_ttl_seconds,
            max_ttl_seconds=settings.cache_ttl_max_seconds,
            caching=settings.cache_policy != "off"
            and (settings.cache_max_mb > 0 or bool(settings.redis_url)),
        )
        batch_predictor = BatchPredictor(predictor, max_members=settings.max_rows)
        admin = admin_guard(settings.admin_token, production=settings.env == "production")
        litestar = Litestar(
            route_handlers=[
                *health_routes(self.lifecycle, self.repository, self._metrics, self._dependencies),
                *model_routes(self.repository, self._reloader, admin),
                *inference_routes(self.lifecycle, self.repository, self._metrics.models),
                *repository_routes(self.repository, self._reloader, admin),
                *docs_routes(),
                *dashboard_routes(),
            ],
            guards=[
                cross_site_guard(settings.cors_origins, any_with_token=bool(settings.admin_token))
            ],
            exception_handlers={Exception: to_response},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=settings.max_body_bytes,
        )
        timeout_seconds = settings.request_timeout_ms / 1000.0
        rows = PredictRoute(predictor, self._metrics, timeout_seconds)
        batches = BatchRoute(batch_predictor, self._metrics, timeout_seconds)
        layer = RequestLayer(
            litestar,
            [rows, batches],
            InferRoute(
                predictor,
                self._metrics,
                timeout_seconds,
                settings.max_inflated_bytes or settings.max_body_bytes,
            ),
            access=Access(self._keys) if self._keys is not None else None,
            lifecycle=self.lifecycle,
            metrics=self._metrics,
            access_log=settings.access_log,
            slow_seconds=settings.slow_request_ms / 1000.0 or inf,
            trace=None if self._tracing is None else self._tracing.record,
        )
        return Cors(layer, settings.cors_origins) if settings.cors_origins else layer

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the models on entry, drain and close on exit.

        Raises:
            ModelLoadError: A model cannot be served.
            SettingsError: REDIS_URL leads to what cannot be used.
        """
        connecting = [] if self._redis is None else [self._redis.start()]
        await asyncio.gather(self._reloader.start(), *connecting)
        if self._redis is not None and self._redis.misfit:
            raise SettingsError(f"REDIS_URL: {self._redis.misfit}")
        for broadcast in self._broadcasts:
            broadcast.start()
        watching = [] if self._keys is None else [asyncio.create_task(self._keys.watch())]
        if self._redis is not None:
            keeping_up = self._reloader.keep_up(self._redis.wait_connected)
            watching.append(asyncio.create_task(keeping_up))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()  # `__main__.py` has kept it out of the start
        self.lifecycle.ready = True
        yield
        self.lifecycle.begin_drain()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for broadcast in self._broadcasts:
            await broadcast.aclose()
        seconds = self.lifecycle.drain_seconds_left(self._drain_timeout_seconds)
        try:
            async with asyncio.timeout(seconds):
                await self.repository.aclose()
        except TimeoutError:
            get_logger().warning("drain_timed_out", seconds=self._drain_timeout_seconds)
        await self._disproofs.aclose()
        if self._wanted is not None:
            await self._wanted.aclose()
        await self._cache.aclose()
        if self._tracing is not None:
            await self._tracing.aclose(
                self.lifecycle.drain_seconds_left(self._drain_timeout_seconds)
            )

    def _on_batch(self, model: str, version: str, record: BatchRecord) -> None:
        self._metrics.observe_batch(model, version, record.num_rows, record.run_seconds)

    def _scrape_models(self) -> list[ModelSample]:
        return [
            ModelSample(
                model.name,
                model.version,
                model.digest,
                model.load_seconds,
                model.batcher.statistics().num_rows_waiting,
                bool(model.disproof),
            )
            for model in self.repository.models
        ]

    def _scrape_redis(self) -> RedisCounts | None:
        if self._redis is None:
            return None
        num_refused = 0 if self._signature is None else self._signature.num_refused
        return RedisCounts(*self._redis.redis_statistics(), num_refused)

    def _dependencies(self) -> list[Dependency]:
        found = []
        if self._redis is not None:
            reason = self._redis.reason
            state: Severity = "degraded" if reason else "healthy"
            found.append(Dependency("redis", state, reason or "connected"))
        deaf = next((each.reason for each in self._broadcasts if each.reason), "")
        if reason := self._reloader.reason or deaf:
            found.append(Dependency("reload", "degraded", reason))
        if reason := self._disproofs.reason:
            found.append(Dependency("batching", "degraded", reason))
        if self._keys is not None and self._keys.fault:
            found.append(Dependency("api_keys", "degraded", self._keys.fault))
        return found


def _open_tracing(replica: str) -> "Tracing":
    # Here, because what it needs is not installed where nobody traces.
    try:
        from ml_pipeline.observe.tracing import Tracing

        return Tracing(replica)
    except ImportError as error:
        reason = f"{error.name or error} is not installed; pip install 'ml-pipeline[otel]'"
    except ValueError as error:
        reason = f"its SDK: {error}"
    raise SettingsError(f"OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry: {reason}")


def _read_keys(path: str) -> ApiKeys | None:
    try:
        return ApiKeys(Path(path)) if path else None
    except KeysError as error:
        raise SettingsError(f"API_KEYS_FILE: {error}") from None


def _log_refused(error: ModelLoadError) -> None:
    """Write a line for each file that cannot be served; with a traceback, if the fault is ours."""
    for fault in error.faults:
        get_logger().error("model_not_loaded", reason=fault, exc_info=error.__cause__)


def _log_listening(reason: str) -> None:
    if reason:
        get_logger().warning("reloads_not_heard", reason=reason)
    else:
        get_logger().info("reloads_heard")


def _log_not_signed(place: str) -> None:
    get_logger().warning("announcement_not_signed", place=place)


def _log_redis(found: bool, reason: str) -> None:
    if found:
        get_logger().info("redis_connected")
    else:
        get_logger().warning("redis_lost", reason=reason)


def create_app(settings: Settings | None = None, graphs: GraphReader | None = None) -> Application:
    """Make the application; without settings, from the environment.

    Raises:
        SettingsError: The environment cannot be used.
        ModelLoadError: An execution provider is not available.
    """
    return Application(settings or load_settings(os.environ), graphs)


def engine_options(settings: Settings) -> EngineOptions:
    """Turn settings into the engine's units: seconds, bytes, rows.

    Raises:
        ModelLoadError: An execution provider is not available, and those that are; or a library
            of custom operators is not.
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
        custom_ops=find_libraries(settings.custom_ops),
    )
