"""Triton's extension `model_repository`: what could be served, loading and unloading by name."""

from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.wire.explain import byte_order_mark
from ml_pipeline.engine.wire.infer_schema import Parameters
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.web.conventions import OPEN_INFERENCE
from ml_pipeline.web.named_path import decoded
from ml_pipeline.web.operation import JSON, Body, Operation
from ml_pipeline.web.serves import serves


class IndexBody(Struct):
    """Body of `POST /v2/repository/index`; Triton's client sends none."""

    ready: bool = False


class ControlBody(Struct):
    """Body of load and unload; may be left out."""

    parameters: Parameters = {}


class IndexedModel(Struct):
    """A version that is served, or could be; the reason says why it is not."""

    name: str
    version: str
    state: str
    reason: str


INDEX = Operation(
    "post",
    "/v2/repository/index",
    "Models that are or could be served",
    {JSON: list[IndexedModel]},
    body=Body({JSON: IndexBody}, required=False),
    errors=(400, 403),
    conventions=OPEN_INFERENCE,
)


def _control(action: str, summary: str) -> Operation:
    return Operation(
        "post",
        f"/v2/repository/models/{{name}}/{action}",
        summary,
        {JSON: dict[str, str]},
        audience="admin",
        body=Body({JSON: ControlBody}, required=False),
        errors=(400, 401, 403, 404),
        conventions=OPEN_INFERENCE,
    )


LOAD, UNLOAD = _control("load", "Load a model"), _control("unload", "Take a model out")
OPERATIONS = (INDEX, LOAD, UNLOAD)

Decoded = TypeVar("Decoded", bound=Struct)

MAX_CONTROL_BYTES = 65_536
"""Size of a body here at most: it holds a few parameters."""

REFUSED = ("config", "file:")
"""How parameters of `load` begin that would bring a model along: here models come from MODEL_PATH
alone."""


def repository_routes(repository: Repository, reloader: Reloader) -> list[HTTPRouteHandler]:
    """Make the handlers."""

    @serves(INDEX)
    async def index(request: Request[Any, Any, Any]) -> list[IndexedModel]:
        only_ready = _read(await request.body(), IndexBody()).ready
        return [
            IndexedModel(
                entry.name,
                entry.version,
                "READY" if entry.ready else "UNAVAILABLE",
                entry.reason,
            )
            for entry in await repository.index()
            if entry.ready or not only_ready
        ]

    @serves(LOAD)
    async def load(request: Request[Any, Any, Any], name: FromPath[str]) -> dict[str, str]:
        for parameter in _read(await request.body(), ControlBody()).parameters:
            if parameter.startswith(REFUSED):
                raise InvalidInput(
                    f"parameters.{parameter[:64]}: expected none that brings a model, for models "
                    "are loaded from MODEL_PATH"
                )
        await reloader.load(decoded(name))
        return {}

    @serves(UNLOAD)
    async def unload(request: Request[Any, Any, Any], name: FromPath[str]) -> dict[str, str]:
        _read(await request.body(), ControlBody())
        await reloader.unload(decoded(name))
        return {}

    return [index, load, unload]


def _read(content: bytes, default: Decoded) -> Decoded:
    """Decode a body that may be missing.

    Raises:
        BodyTooLarge: It is longer than what these routes need.
        InvalidInput: A field of it has a wrong type.
        MalformedRequest: It is no JSON.
    """
    if len(content) > MAX_CONTROL_BYTES:
        raise BodyTooLarge(
            f"body: expected at most {MAX_CONTROL_BYTES} bytes, for models are loaded from "
            f"MODEL_PATH; found {len(content)}"
        )
    if not content.strip():
        return default
    try:
        return msgspec.json.decode(content, type=type(default))
    except msgspec.ValidationError as error:
        raise InvalidInput(f"body: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = byte_order_mark(content) or "something else"
        raise MalformedRequest(f"body: expected JSON, found {found}") from None
