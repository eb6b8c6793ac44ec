"""Open Inference Protocol, version 2: the routes that tell of the server and of its models.

`infer` is hot (`infer.py`); extensions are in `inference_statistics.py` and `model_repository.py`.
"""

from litestar import Response
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
from ml_pipeline.web.conventions import OPEN_INFERENCE
from ml_pipeline.web.named_path import decoded
from ml_pipeline.web.operation import JSON, Operation
from ml_pipeline.web.serves import serves

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
"""The extensions of Triton's that this server has."""

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


def _of_server(path: str, summary: str, answer: type, *, unready: bool = False) -> Operation:
    return Operation(
        "get",
        path,
        summary,
        {JSON: answer},
        audience="open",
        unready=unready,
        conventions=OPEN_INFERENCE,
    )


def of_model(rest: str, summary: str, answer: type) -> Operation:
    """Make an operation that tells of one model; `rest` follows its name in the path."""
    return Operation(
        "get",
        f"/v2/models/{{name}}{rest}",
        summary,
        {JSON: answer},
        errors=(404,),
        versioned=True,
        conventions=OPEN_INFERENCE,
    )


SERVER = _of_server("/v2", "Name, version and extensions", ServerMetadata)
LIVE = _of_server("/v2/health/live", "Whether the process runs", ServerLive)
READY = _of_server("/v2/health/ready", "Whether every model is loaded", ServerReady, unready=True)
METADATA = of_model("", "Inputs and outputs of a model", ModelMetadata)
MODEL_READY = of_model("/ready", "Whether a model answers", ModelReady)
CONFIG = of_model("/config", "How a model is run", ModelConfiguration)
OPERATIONS = (SERVER, LIVE, READY, METADATA, MODEL_READY, CONFIG)


def inference_routes(lifecycle: Lifecycle, repository: Repository) -> list[HTTPRouteHandler]:
    """Make the handlers."""
    return [*_about_server(lifecycle), *_about_models(repository)]


def _about_server(lifecycle: Lifecycle) -> list[HTTPRouteHandler]:
    @serves(LIVE)
    def live() -> ServerLive:
        return ServerLive(live=True)

    @serves(READY)
    def ready() -> Response[ServerReady]:
        return Response(ServerReady(lifecycle.ready), status_code=200 if lifecycle.ready else 503)

    @serves(SERVER)
    def server() -> ServerMetadata:
        return ServerMetadata("ml-pipeline", __version__, EXTENSIONS)

    return [live, ready, server]


def _about_models(repository: Repository) -> list[HTTPRouteHandler]:
    @serves(METADATA)
    def metadata(name: FromPath[str], version: FromPath[str | None] = None) -> ModelMetadata:
        found = find_model(repository, name, version)
        return ModelMetadata(
            found.name,
            repository.versions(found.name),
            PLATFORM,
            [_metadata(spec) for spec in found.inputs],
            [_metadata(spec) for spec in found.outputs],
        )

    @serves(MODEL_READY)
    def model_ready(name: FromPath[str], version: FromPath[str | None] = None) -> ModelReady:
        return ModelReady(find_model(repository, name, version).name, ready=True)

    @serves(CONFIG)
    def config(name: FromPath[str], version: FromPath[str | None] = None) -> ModelConfiguration:
        return _configuration(find_model(repository, name, version))

    return [metadata, model_ready, config]


def find_model(repository: Repository, name: str, version: str | None) -> Model:
    """Find the model that a path names.

    Raises:
        ModelNotFound: There is none of that name and version.
    """
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
