"""Triton's extension `model_repository`: what could be served, loading and unloading by name."""

from typing import Any, TypeVar

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.wire.explain import byte_order_mark
from ml_pipeline.engine.wire.infer_schema import Parameters
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.web.admin import Guard
from ml_pipeline.web.named_path import decoded


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


Body = TypeVar("Body", bound=Struct)

MAX_CONTROL_BYTES = 65_536
"""Of a body here: a name and a few parameters."""

REFUSED = ("config", "file:")
"""Parameters of `load` that would bring a model along: here models come from MODEL_PATH alone."""


def repository_routes(
    repository: Repository, reloader: Reloader, admin: Guard
) -> list[HTTPRouteHandler]:
    """Make the handlers; `admin` guards those that change what is served."""

    @post("/v2/repository/index", status_code=200)
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

    @post("/v2/repository/models/{name:str}/load", status_code=200, guards=[admin])
    async def load(request: Request[Any, Any, Any], name: FromPath[str]) -> dict[str, str]:
        for parameter in _read(await request.body(), ControlBody()).parameters:
            if parameter.startswith(REFUSED):
                raise InvalidInput(
                    f"parameters.{parameter[:64]}: expected none that brings a model, for models "
                    "are loaded from MODEL_PATH"
                )
        await reloader.load(decoded(name))
        return {}

    @post("/v2/repository/models/{name:str}/unload", status_code=200, guards=[admin])
    async def unload(request: Request[Any, Any, Any], name: FromPath[str]) -> dict[str, str]:
        _read(await request.body(), ControlBody())
        await reloader.unload(decoded(name))
        return {}

    handlers: list[Any] = [index, load, unload]
    return handlers


def _read(content: bytes, default: Body) -> Body:
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
