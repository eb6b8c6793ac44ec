"""Open Inference Protocol, version 2: all of its routes but `infer`, which is hot."""

from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from ml_pipeline import __version__
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.infer_schema import (
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
    datatypes,
)
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.observe.model_counts import ModelLedger
from ml_pipeline.web.named_path import decoded

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
"""Of Triton's, those that work here."""

PLATFORM = "onnx_onnxv1"
"""The protocol's name for ONNX."""


class ServerLive(Struct):
    """Answer of `GET /v2/health/live`; KServe's client reads the body."""

    live: bool


class ServerReady(Struct):
    """Answer of `GET /v2/health/ready`; the protocol's text calls the field `live` by a slip."""

    ready: bool
    live: bool = True


class ModelReady(Struct):
    """Answer of `GET /v2/models/NAME/ready`."""

    name: str
    ready: bool


class TensorConfiguration(Struct, omit_defaults=True):
    """An input or output of a model's configuration, without the batch dimension."""

    name: str
    data_type: str
    dims: list[int]
    optional: bool = False


class ModelConfiguration(Struct):
    """Answer of `GET /v2/models/NAME/config`; 0 rows: the model's rows are not run together."""

    name: str
    platform: str
    max_batch_size: int
    input: list[TensorConfiguration]
    output: list[TensorConfiguration]


class Duration(Struct):
    """How often, and how long in all."""

    count: int
    ns: int


class InferenceStatistics(Struct):
    """Where the time of requests went; `compute_…` and `queue` count those that were run."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Struct):
    """What a version of a model has done; `inference_count` counts rows, `execution_count` runs."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    response_stats: dict[str, int] = {}
    batch_stats: list[int] = []
    memory_usage: list[int] = []


class Statistics(Struct):
    """Answer of `GET /v2/models/stats`; nanoseconds, but `last_inference` Unix milliseconds."""

    model_stats: list[ModelStatistics]


def inference_routes(
    lifecycle: Lifecycle, repository: Repository, ledger: ModelLedger
) -> list[HTTPRouteHandler]:
    """Make the handlers."""
    return [*_about_server(lifecycle), *_about_models(repository), *_counts(repository, ledger)]


def _about_server(lifecycle: Lifecycle) -> list[HTTPRouteHandler]:
    @get("/v2/health/live", sync_to_thread=False)
    def live() -> ServerLive:
        return ServerLive(live=True)

    @get("/v2/health/ready", sync_to_thread=False)
    def ready() -> Response[ServerReady]:
        return Response(ServerReady(lifecycle.ready), status_code=200 if lifecycle.ready else 503)

    @get("/v2", sync_to_thread=False)
    def server() -> ServerMetadata:
        return ServerMetadata("ml-pipeline", __version__, EXTENSIONS)

    handlers: list[Any] = [live, ready, server]
    return handlers


def _about_models(repository: Repository) -> list[HTTPRouteHandler]:
    @get(_paths(""), sync_to_thread=False)
    def metadata(name: FromPath[str], version: FromPath[str | None] = None) -> ModelMetadata:
        found = _find(repository, name, version)
        return ModelMetadata(
            found.name,
            repository.versions(found.name),
            PLATFORM,
            [_metadata(spec) for spec in found.inputs],
            [_metadata(spec) for spec in found.outputs],
        )

    @get(_paths("/ready"), sync_to_thread=False)
    def model_ready(name: FromPath[str], version: FromPath[str | None] = None) -> ModelReady:
        return ModelReady(_find(repository, name, version).name, ready=True)

    @get(_paths("/config"), sync_to_thread=False)
    def config(name: FromPath[str], version: FromPath[str | None] = None) -> ModelConfiguration:
        return _configuration(_find(repository, name, version))

    handlers: list[Any] = [metadata, model_ready, config]
    return handlers


def _counts(repository: Repository, ledger: ModelLedger) -> list[HTTPRouteHandler]:
    @get("/v2/models/stats", sync_to_thread=False)
    def all_statistics() -> Statistics:
        return Statistics([_statistics(model, ledger) for model in repository.models])

    @get(_paths("/stats"), sync_to_thread=False)
    def statistics(name: FromPath[str], version: FromPath[str | None] = None) -> Statistics:
        return Statistics([_statistics(_find(repository, name, version), ledger)])

    handlers: list[Any] = [all_statistics, statistics]
    return handlers


def _paths(rest: str) -> list[str]:
    return [
        f"/v2/models/{{name:str}}{rest}",
        f"/v2/models/{{name:str}}/versions/{{version:str}}{rest}",
    ]


def _find(repository: Repository, name: str, version: str | None) -> Model:
    return repository.get(decoded(name), None if version is None else decoded(version))


def _metadata(spec: TensorSpec) -> TensorMetadata:
    return TensorMetadata(spec.name, datatypes[spec.dtype], list(spec.shape))


def _configuration(model: Model) -> ModelConfiguration:
    max_batch_size = model.max_batch_size if model.batching_reason is None else 0

    def tensor(spec: TensorSpec, *, optional: bool = False) -> TensorConfiguration:
        dims = spec.shape[1:] if max_batch_size and not optional else spec.shape
        kind = "STRING" if spec.dtype == "str" else datatypes[spec.dtype]
        return TensorConfiguration(spec.name, f"TYPE_{kind}", list(dims), optional)

    return ModelConfiguration(
        model.name,
        PLATFORM,
        max_batch_size,
        [
            *(tensor(spec) for spec in model.inputs),
            *(tensor(spec, optional=True) for spec in model.optional_inputs),
        ],
        [tensor(spec) for spec in model.outputs],
    )


def _statistics(model: Model, ledger: ModelLedger) -> ModelStatistics:
    counts = ledger.of(model.name, model.version)
    num_run = counts.queue.count
    return ModelStatistics(
        model.name,
        model.version,
        int(counts.last_run * 1000),
        int(counts.batches.sum),
        counts.runs.count,
        InferenceStatistics(
            success=_duration(counts.num_answers, counts.answer_seconds),
            fail=_duration(counts.num_failures, counts.failure_seconds),
            queue=_duration(num_run, counts.queue.sum),
            compute_input=_duration(num_run, counts.decode_seconds),
            compute_infer=_duration(num_run, counts.run_seconds),
            compute_output=_duration(num_run, counts.encode_seconds),
            cache_hit=_duration(counts.num_hits, counts.hit_seconds),
            cache_miss=_duration(counts.num_misses, counts.miss_seconds),
        ),
    )


def _duration(count: int, seconds: float) -> Duration:
    return Duration(count, int(seconds * 1e9))
