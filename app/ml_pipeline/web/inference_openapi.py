"""The Open Inference Protocol's part of the OpenAPI document."""

import re
from typing import Any, NamedTuple

import msgspec

from ml_pipeline.engine.wire.infer_schema import (
    InferBody,
    InferError,
    InferResponse,
    ModelMetadata,
    ServerMetadata,
)
from ml_pipeline.web.inference_protocol import (
    ModelConfiguration,
    ModelReady,
    ServerLive,
    ServerReady,
    Statistics,
)
from ml_pipeline.web.model_repository import ControlBody, IndexBody, IndexedModel
from ml_pipeline.web.openapi_security import errors_of, security_of

JSON, BINARY = "application/json", "application/octet-stream"

TIMEOUT_PARAMETER = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "required": False,
    "description": "Milliseconds the answer is of use; later it is a 504.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
"""Of every route that predicts."""


class Operation(NamedTuple):
    """One route.

    Attributes:
        answer: Type of the answer.
        body: Struct of the body, if it takes one.
        errors: Statuses with an `InferError`.
        versioned: Whether `/versions/{version}` may follow the name.
    """

    method: str
    path: str
    summary: str
    answer: Any
    body: Any = None
    errors: tuple[int, ...] = ()
    versioned: bool = False


_model = "/v2/models/{name}"
OPERATIONS = (
    Operation("get", "/v2", "Name, version and extensions", ServerMetadata),
    Operation("get", "/v2/health/live", "Whether the process runs", ServerLive),
    Operation("get", "/v2/health/ready", "Whether every model is loaded", ServerReady),
    Operation("get", _model, "Inputs and outputs of a model", ModelMetadata, None, (404,), True),
    Operation("get", f"{_model}/ready", "Whether a model answers", ModelReady, None, (404,), True),
    Operation("get", f"{_model}/config", "How a model is run", ModelConfiguration, None, (404,),
              True),
    Operation("get", f"{_model}/stats", "What a model has done", Statistics, None, (404,), True),
    Operation("get", "/v2/models/stats", "What all models have done", Statistics),
    Operation("post", f"{_model}/infer", "Run tensors through a model", InferResponse, InferBody,
              (400, 404, 413, 415, 503, 504), True),
    Operation("post", "/v2/repository/index", "Models that are or could be served",
              list[IndexedModel], IndexBody, (400, 403)),
    Operation("post", "/v2/repository/models/{name}/load", "Load a model", dict[str, str],
              ControlBody, (400, 401, 403, 404)),
    Operation("post", "/v2/repository/models/{name}/unload", "Take a model out", dict[str, str],
              ControlBody, (400, 401, 403, 404)),
)  # fmt: skip

_reasons = {
    400: "A field has the wrong type, shape or value; the text names it",
    401: "The admin token is missing or another",
    403: "Closed to this caller, or to pages of other sites; the text says how to open it",
    404: "No such model or version",
    413: "The body is larger than MAX_BODY_BYTES",
    415: "Compressed by another way than gzip or deflate",
    503: "Overloaded or not ready; Retry-After says when to come again",
    504: "The deadline passed before the end of the run",
}


def inference_paths() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Give paths and schemas for the document."""
    types = [each for o in OPERATIONS for each in (o.answer, o.body) if each is not None]
    types = [*dict.fromkeys(types), InferError]
    refs, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(types, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _describe(operation, operation.path, schemas)
        paths.setdefault(operation.path, {})[operation.method] = described
        if operation.versioned:
            path = operation.path.replace("{name}", "{name}/versions/{version}")
            paths.setdefault(path, {})[operation.method] = _describe(operation, path, schemas)
    return paths, components


def _describe(operation: Operation, path: str, schemas: dict[Any, Any]) -> dict[str, Any]:
    infers = operation.body is InferBody
    answer = {JSON: {"schema": schemas[operation.answer]}}
    if infers:
        answer[BINARY] = {"schema": {"type": "string", "format": "binary"}}
    responses: dict[str, Any] = {"200": {"description": "OK", "content": answer}}
    for status, reason in errors_of(path, operation.errors, _reasons).items():
        content = {JSON: {"schema": schemas[InferError]}}
        responses[str(status)] = {"description": reason, "content": content}
    if path == "/v2/health/ready":
        responses["503"] = {"description": "Not ready", "content": answer}
    described: dict[str, Any] = {
        "operationId": "_".join([operation.method, *re.findall(r"\w+", path)]),
        "summary": operation.summary,
        "security": security_of(path),
        "responses": responses,
        "parameters": [_path_parameter(name) for name in re.findall(r"{(\w+)}", path)],
    }
    if operation.body is not None:
        content = {JSON: {"schema": schemas[operation.body]}}
        if infers:
            content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
            described["parameters"] += [_length_parameter(), TIMEOUT_PARAMETER]
        described["requestBody"] = {"required": infers, "content": content}
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _length_parameter() -> dict[str, Any]:
    return {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": "Bytes of the JSON, where binary tensors follow it.",
        "schema": {"type": "integer", "minimum": 0},
    }
