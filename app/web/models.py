"""What is served: `/models`, `/models/info`, `/models/reload`, `/sample`."""

from typing import Any, Literal

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.engine.cost_curve import Sample
from app.engine.model import Model
from app.engine.repository import Repository
from app.engine.tensor import TensorSpec
from app.errors import InvalidInput
from app.reload import Reloader
from app.web.admin import Guard


class Batching(Struct):
    """How a model's rows are run together.

    `mode` is where a run of one row happens: `inline` is the event loop's own thread, `pool` one of
    the sessions' threads.
    """

    enabled: bool
    mode: Literal["inline", "pool"]
    reason: str
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

    data: list[Any]


def model_routes(
    repository: Repository, reloader: Reloader, admin: Guard
) -> list[HTTPRouteHandler]:
    """Make the handlers; `admin` guards those that change what is served."""

    @get("/models", sync_to_thread=False)
    def models() -> Models:
        return Models([describe(model) for model in repository.models])

    @get("/models/info", sync_to_thread=False)
    def info(model: FromQuery[str | None] = None) -> ModelDescription:
        return describe(repository.get(model))

    @post("/models/reload", status_code=200, guards=[admin])
    async def reload() -> Models:
        return Models([describe(model) for model in await reloader.reload()])

    @get("/sample", sync_to_thread=False)
    def sample(model: FromQuery[str | None] = None) -> SampleBody:
        found = repository.get(model)
        if len(found.inputs) != 1:
            raise InvalidInput(f"model: expected one input, found {len(found.inputs)}")
        return SampleBody(found.sample_rows)

    handlers: list[Any] = [models, info, reload, sample]
    return handlers


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
        input_shape=list(model.inputs[0].shape),
        output_classes=num_classes,
        features=metadata.features,
        class_names=metadata.class_names,
        class_labels=roles.classes,
        scores_by_class=roles.scores_by_class,
        inputs=list(model.inputs),
        outputs=list(model.outputs),
        sessions=model.pool.statistics().num_sessions,
        batching=Batching(
            enabled=model.batching_reason is None,
            mode="inline" if model.batcher.is_short(1) else "pool",
            reason=model.batching_reason or "rows run together equal rows run apart",
            cost_curve=model.curve.samples,
        ),
        cacheable=model.cacheable,
        load_seconds=round(model.load_seconds, 6),
    )
