"""What is served: `/models`, `/models/info`, `/models/reload`, `/sample`."""

from typing import Any, Literal

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from ml_pipeline.engine.batching.cost_curve import Sample
from ml_pipeline.engine.batching.proof import FIRST_ROWS, Keeping
from ml_pipeline.engine.graph.report import Verdict
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import InvalidInput
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.web.conventions import MODEL
from ml_pipeline.web.operation import JSON, Operation
from ml_pipeline.web.serves import serves


class Batching(Struct):
    """How a model's rows are run together.

    `mode` is where a run of one row happens: `inline` is the event loop's own thread, `pool` one of
    the sessions' threads. `verdict` is what the graph says of the rows, `node` the one that decides
    it; `disproved` is whether service has shown since that they do not stay apart. `shared_answers`
    is who may be answered from a cache what a shared run has answered: everybody, clients of this
    replica, or nobody.
    """

    enabled: bool
    mode: Literal["inline", "pool"]
    verdict: Verdict
    node: str
    reason: str
    disproved: bool
    shared_answers: Keeping
    cost_curve: list[Sample]


class ModelDescription(Struct):
    """One loaded model.

    `class_labels` are the classes as the model gives them, in the order of the probabilities;
    `class_names` what they are called. `scores_by_class` says whether the columns of `scores` are
    those classes, too.
    """

    model_name: str
    model_version: str
    model_type: str
    digest: str
    input_shape: list[int]
    output_classes: int | None
    features: list[str] | None
    class_names: list[str] | None
    class_labels: list[int | str] | None
    scores_by_class: bool
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    sessions: int
    batching: Batching
    cacheable: bool
    load_seconds: float


class Models(Struct):
    """Answer of `GET /models` and `POST /models/reload`."""

    models: list[ModelDescription]


class SampleBody(Struct):
    """A body that `POST /predict` takes as it is."""

    data: Any


SAMPLE = Operation(
    "get",
    "/sample",
    "A body for POST /predict",
    {JSON: SampleBody},
    errors=(404, 422),
    parameters=(MODEL,),
)
MODELS = Operation("get", "/models", "The models that are loaded", {JSON: Models})
INFO = Operation(
    "get", "/models/info", "One model", {JSON: ModelDescription}, errors=(404,), parameters=(MODEL,)
)
RELOAD = Operation(
    "post",
    "/models/reload",
    "Read MODEL_PATH anew",
    {JSON: Models},
    audience="admin",
    errors=(401, 403, 422),
)
OPERATIONS = (SAMPLE, MODELS, INFO, RELOAD)


def model_routes(repository: Repository, reloader: Reloader) -> list[HTTPRouteHandler]:
    """Make the handlers."""

    @serves(MODELS)
    def models() -> Models:
        return Models([describe(model) for model in repository.models])

    @serves(INFO)
    def info(model: FromQuery[str | None] = None) -> ModelDescription:
        return describe(repository.get(model))

    @serves(RELOAD)
    async def reload() -> Models:
        return Models([describe(model) for model in await reloader.reload()])

    @serves(SAMPLE)
    def sample(model: FromQuery[str | None] = None) -> SampleBody:
        found = repository.get(model)
        if len(found.inputs) != 1:
            raise InvalidInput(f"model: expected one input, found {len(found.inputs)}")
        if not found.takes_rows:
            raise InvalidInput("model: expected one that takes rows, found one under /v2 alone")
        return SampleBody(found.sample_rows)

    return [models, info, reload, sample]


def describe(model: Model) -> ModelDescription:
    """Tell what is known of a model."""
    metadata, roles = model.metadata, model.reader.roles
    num_classes = metadata.num_classes
    if num_classes is None and roles.classes is not None:
        num_classes = len(roles.classes)
    kind = "classifier" if roles.is_classifier else "regressor"
    return ModelDescription(
        model_name=model.name,
        model_version=model.version,
        model_type=metadata.model_type or kind,
        digest=model.digest,
        input_shape=list(model.inputs[0].shape) if model.inputs else [],
        output_classes=num_classes,
        features=metadata.features,
        class_names=metadata.class_names,
        class_labels=roles.classes,
        scores_by_class=roles.scores_by_class,
        inputs=list(model.inputs),
        outputs=list(model.outputs),
        sessions=model.pool.statistics().num_sessions,
        batching=_batching(model),
        cacheable=model.cacheable,
        load_seconds=round(model.load_seconds, 6),
    )


def _batching(model: Model) -> Batching:
    graph = model.graph.batching
    return Batching(
        enabled=model.batching_reason is None,
        mode="inline" if model.batcher.is_short(1) else "pool",
        verdict=graph.verdict,
        node=graph.node,
        reason=_reason(model),
        disproved=bool(model.disproof),
        shared_answers=_keeping(model),
        cost_curve=model.curve.samples,
    )


def _keeping(model: Model) -> Keeping:
    if model.batching_reason is not None:
        return "nowhere"
    return "everywhere" if model.proof is None else model.proof.keeping


def _reason(model: Model) -> str:
    """Say in a clause why rows of several requests are run together, or are not."""
    proof = model.proof
    if model.batching_reason is not None:
        return model.batching_reason
    graph = f"{model.graph.batching.node} {model.graph.batching.reason}".strip()
    if proof is None:
        return f"its graph shows that rows stay apart: {graph}"
    if proof.accepted:
        return f"its metadata accepts that answers may depend on neighbours: {graph}"
    passed = f"{proof.num_passed} of the first {FIRST_ROWS} rows have been run again"
    if proof.trusted:
        passed = f"{proof.num_passed} rows have been run again"
    return f"trial rows run together equal rows run apart, and so far {passed}: {graph}"
