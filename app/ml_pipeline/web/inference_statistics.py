"""Triton's extension `statistics`: how often models have answered, and in how long."""

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.observe.model_counts import ModelLedger
from ml_pipeline.web.conventions import OPEN_INFERENCE
from ml_pipeline.web.inference_protocol import find_model, of_model
from ml_pipeline.web.operation import JSON, Operation
from ml_pipeline.web.serves import serves


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


STATS = of_model("/stats", "What a model has done", Statistics)
ALL_STATS = Operation(
    "get",
    "/v2/models/stats",
    "What all models have done",
    {JSON: Statistics},
    conventions=OPEN_INFERENCE,
)
OPERATIONS = (STATS, ALL_STATS)


def statistics_routes(repository: Repository, ledger: ModelLedger) -> list[HTTPRouteHandler]:
    """Make the handlers; the ledger has the counts."""

    @serves(ALL_STATS)
    def all_statistics() -> Statistics:
        return Statistics([_statistics(model, ledger) for model in repository.models])

    @serves(STATS)
    def statistics(name: FromPath[str], version: FromPath[str | None] = None) -> Statistics:
        return Statistics([_statistics(find_model(repository, name, version), ledger)])

    return [all_statistics, statistics]


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
