"""Builds every object from the settings, and joins them."""

import os
import secrets
import socket
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort
from litestar import Litestar

from ml_pipeline.api_keys import ApiKeys, KeysError
from ml_pipeline.application import Application
from ml_pipeline.cache.base import ResponseCache
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.cache.tiered import TieredCache
from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.sessions.custom_ops import find_libraries
from ml_pipeline.engine.sessions.session_pool import usable_cores
from ml_pipeline.errors import ModelLoadError
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.log import get_logger
from ml_pipeline.observe.collector import Metrics, ModelSample
from ml_pipeline.pipeline.answer_cache import AnswerCache
from ml_pipeline.pipeline.batch_predictor import BatchPredictor
from ml_pipeline.pipeline.inference import Inference
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.replicas.disproofs import Disproofs
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.settings import Settings, SettingsError, load_settings
from ml_pipeline.web.access import Access
from ml_pipeline.web.app import build_litestar
from ml_pipeline.web.cors import Cors
from ml_pipeline.web.health import Dependency, Severity
from ml_pipeline.web.infer import InferRoute
from ml_pipeline.web.middleware import RequestLayer
from ml_pipeline.web.predict import BatchRoute, PredictRoute

if TYPE_CHECKING:
    from ml_pipeline.observe.tracing import Tracing
    from ml_pipeline.replicas.shared import Shared


def create_app(
    settings: Settings | None = None,
    graphs: GraphReader | None = None,
    cache: ResponseCache | None = None,
) -> Application:
    """Make the application.

    Args:
        settings: What the operator chose; None = what the environment says.
        graphs: Reads models; may have been started already.
        cache: In place of those that the settings name.

    Raises:
        SettingsError: The environment, REDIS_URL or the file of API keys cannot be used.
        ModelLoadError: An execution provider is not available.
    """
    return Builder(settings or load_settings(os.environ), graphs).build(cache)


class Builder:
    """Makes the objects in the order in which they need each other.

    Args:
        settings: What the operator chose.
        graphs: Reads models; may have been started already.
    """

    def __init__(self, settings: Settings, graphs: GraphReader | None) -> None:
        self._settings = settings
        self._replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._keys = _read_keys(settings.api_keys_file)
        self._lifecycle = Lifecycle()
        self._near = MemoryCache(settings.cache_max_mb * 1024 * 1024)
        self._repository = self._build_repository(graphs or GraphReader())
        self._reloader = Reloader(self._repository, self._replica)
        self._disproofs = Disproofs(self._repository, self._replica)
        collector = settings.otel_exporter_otlp_endpoint
        self._tracing = _open_tracing(self._replica) if collector else None
        self._shared = self._build_shared() if settings.redis_url else None
        self._metrics = Metrics(
            self._replica,
            (PredictRoute.path, BatchRoute.path, InferRoute.path),
            scrape_models=self._scrape_models,
            scrape_cache=self._near.statistics,
            scrape_redis=lambda: None if self._shared is None else self._shared.statistics(),
            scrape_behind=lambda: bool(self._reloader.behind),
        )

    def build(self, cache: ResponseCache | None) -> Application:
        """Join them, with this cache or the one that the settings name."""
        cache = cache or self._cache()
        return Application(
            self._respond(cache),
            self._lifecycle,
            self._repository,
            reloader=self._reloader,
            disproofs=self._disproofs,
            cache=cache,
            keys=self._keys,
            tracing=self._tracing,
            shared=self._shared,
            drain_timeout_seconds=self._settings.drain_timeout_seconds,
        )

    def _build_repository(self, graphs: GraphReader) -> Repository:
        repository = Repository(
            Path(self._settings.model_path),
            engine_options(self._settings),
            self._on_batch,
            graphs,
            called=self._settings.model_name or None,
            load_timeout_seconds=self._settings.load_timeout_seconds,
        )
        repository.on_refused = _log_refused
        return repository

    def _build_shared(self) -> "Shared":
        # Here, because a lone server can do without what speaks to Redis.
        from ml_pipeline.replicas.shared import Shared

        try:
            return Shared(
                self._settings.redis_url,
                self._settings.admin_token,
                self._reloader,
                self._disproofs,
                timeout_seconds=self._settings.redis_timeout_ms / 1000.0,
                always=self._settings.cache_policy == "always",
                longest_ttl_seconds=self._settings.cache_ttl_max_seconds,
                on_round_trip=lambda *seen: self._metrics.observe_round_trip(*seen),
            )
        except ValueError as error:
            raise SettingsError(f"REDIS_URL: {error}") from None

    def _cache(self) -> ResponseCache:
        if self._shared is None:
            return self._near
        shared = self._shared.cache
        return TieredCache(self._near, shared) if self._settings.cache_max_mb else shared

    def _respond(self, cache: ResponseCache) -> Respond:
        """Make what answers requests: the hot routes, and Litestar for the rest."""
        settings = self._settings
        caches = settings.cache_max_mb > 0 or bool(settings.redis_url)
        inference = Inference()
        answers = AnswerCache(
            cache,
            inference,
            default_ttl_seconds=settings.cache_ttl_seconds,
            max_ttl_seconds=settings.cache_ttl_max_seconds,
            caching=settings.cache_policy != "off" and caches,
        )
        predictor = Predictor(self._repository, inference, answers)
        many = BatchPredictor(self._repository, inference, answers, max_members=settings.max_rows)
        timeout_seconds = settings.request_timeout_ms / 1000.0
        max_inflated_bytes = settings.max_inflated_bytes or settings.max_body_bytes
        layer = RequestLayer(
            self._litestar(),
            [
                PredictRoute(predictor, self._metrics, timeout_seconds),
                BatchRoute(many, self._metrics, timeout_seconds),
            ],
            InferRoute(predictor, self._metrics, timeout_seconds, max_inflated_bytes),
            access=Access(self._keys) if self._keys is not None else None,
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            access_log=settings.access_log,
            slow_seconds=settings.slow_request_ms / 1000.0 or inf,
            trace=None if self._tracing is None else self._tracing.record,
        )
        return Cors(layer, settings.cors_origins) if settings.cors_origins else layer

    def _litestar(self) -> Litestar:
        return build_litestar(
            self._lifecycle,
            self._repository,
            self._reloader,
            self._metrics,
            self._dependencies,
            admin_token=self._settings.admin_token,
            production=self._settings.env == "production",
            cors_origins=self._settings.cors_origins,
            max_body_bytes=self._settings.max_body_bytes,
        )

    def _on_batch(self, model: str, version: str, record: BatchRecord) -> None:
        self._metrics.observe_batch(model, version, record.num_rows, record.run_seconds)

    def _scrape_models(self) -> list[ModelSample]:
        return [
            ModelSample(
                name=model.name,
                version=model.version,
                digest=model.digest,
                load_seconds=model.load_seconds,
                num_waiting=model.batcher.num_rows_waiting,
                disproved=bool(model.disproof),
            )
            for model in self._repository.models
        ]

    def _dependencies(self) -> list[Dependency]:
        found, not_heard = [], ""
        if self._shared is not None:
            reason, not_heard = self._shared.reason, self._shared.not_heard
            state: Severity = "degraded" if reason else "healthy"
            found.append(Dependency("redis", state, reason or "connected"))
        reasons = {
            "reload": self._reloader.reason or not_heard,
            "batching": self._disproofs.reason,
            "api_keys": self._keys.fault if self._keys is not None else "",
        }
        return found + [
            Dependency(name, "degraded", reason) for name, reason in reasons.items() if reason
        ]


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
