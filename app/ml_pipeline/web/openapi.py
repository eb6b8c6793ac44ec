"""The OpenAPI document, made of the Structs that decode requests and encode answers.

One table for all routes, hot or Litestar's; `tests/web/test_openapi.py` holds it against the routes
that exist. Litestar's own generator sees its own routes only.
"""

from functools import cache
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from ml_pipeline import __version__
from ml_pipeline.engine.signature.schema import (
    BatchBody,
    BatchResponse,
    FailedMember,
    PredictBody,
    PredictResponse,
    Problem,
    WireTensor,
)
from ml_pipeline.web.health import Health, Live, Ready, Status
from ml_pipeline.web.inference_openapi import TIMEOUT_PARAMETER, inference_paths
from ml_pipeline.web.models import ModelDescription, Models, SampleBody
from ml_pipeline.web.openapi_security import SECURITY_SCHEMES, errors_of, security_of

JSON, MSGPACK, PROBLEM = "application/json", "application/msgpack", "application/problem+json"


class PredictRequest(PredictBody[Annotated[list[list[float]], Meta(min_length=1)]]):
    """Body of `POST /predict` for a model of float rows."""


class TensorRequest(PredictBody[WireTensor]):
    """The same in MessagePack, the rows as raw bytes."""


class Operation(NamedTuple):
    """One route.

    Attributes:
        answer: Struct of the answer, or its media type where it is no JSON.
        body: Struct of the request body, if it takes one.
        errors: Statuses with a problem body.
        by_model: Whether `?model=NAME` chooses the model.
    """

    method: str
    path: str
    summary: str
    answer: Any
    body: Any = None
    errors: tuple[int, ...] = ()
    by_model: bool = False


_body_errors = (400, 404, 413, 415, 422)
_predict_errors = (*_body_errors, 500, 503, 504)
_batch_errors = (*_body_errors, 504)
"""A batch has no 500 or 503 of its own, and a 504 only for a deadline that passed while it was
read: others are told in the member they concern."""

OPERATIONS = (
    Operation("post", "/predict", "Predict rows", PredictResponse, PredictRequest,
              _predict_errors, True),
    Operation("post", "/predict/batch", "Answer many requests at once", BatchResponse, BatchBody,
              _batch_errors, True),
    Operation("get", "/sample", "A body for POST /predict", SampleBody, None, (404, 422), True),
    Operation("get", "/models", "The models that are loaded", Models),
    Operation("get", "/models/info", "One model", ModelDescription, None, (404,), True),
    Operation("post", "/models/reload", "Read MODEL_PATH anew", Models, None, (401, 403, 422)),
    Operation("get", "/", "Short status", Status),
    Operation("get", "/health", "Health with its reasons", Health),
    Operation("get", "/health/live", "Whether the process runs", Live),
    Operation("get", "/health/ready", "Whether every model is loaded and warm", Ready),
    Operation("get", "/metrics", "Prometheus metrics", "text/plain"),
    Operation("get", "/openapi.json", "This document", "application/json"),
    Operation("get", "/docs", "Swagger UI", "text/html"),
    Operation("get", "/redoc", "ReDoc", "text/html"),
    Operation("get", "/ui/", "The dashboard", "text/html"),
)  # fmt: skip

_unready = {"/health": Health, "/health/ready": Ready}
"""Routes whose 503 has the same body as their 200."""

_reasons = {
    400: "The body does not parse",
    401: "The admin token is missing or another",
    403: "Closed to this caller, or to pages of other sites; the detail says how to open it",
    404: "No such model",
    413: "The body is larger than MAX_BODY_BYTES",
    415: "Neither JSON nor MessagePack",
    422: "A field has the wrong type, shape or value; the detail names it",
    500: "The model's run failed",
    503: "Overloaded or not ready; Retry-After says when to come again",
    504: "The deadline passed before the end of the run",
}

_row = [13.2, 1.78, 2.14, 11.2, 100.0, 2.65, 2.76, 0.26, 1.28, 4.38]
_examples: dict[Any, Any] = {
    PredictRequest: {"data": [_row], "use_cache": True, "cache_ttl": 3600},
    BatchBody: {"requests": [{"data": [_row]}, {"data": [_row, _row], "use_cache": False}]},
}


@cache
def openapi_document() -> bytes:
    """Write the document; made once."""
    structs = [o.answer for o in OPERATIONS] + [o.body for o in OPERATIONS]
    structs = [s for s in dict.fromkeys(structs) if isinstance(s, type)]
    template = "#/components/schemas/{name}"
    structs += [TensorRequest, Problem, FailedMember]
    refs, components = msgspec.json.schema_components(structs, ref_template=template)
    schemas = dict(zip(structs, refs, strict=True))
    inference, more = inference_paths()
    components |= more
    for component in components.values():  # of a docstring, what concerns a client
        component["description"] = component.get("description", "").split("\n\n")[0]
    # Members travel undecoded; what they are is known all the same.
    other = {"description": "Anything else: an error stands in its place of the answer."}
    member = {"anyOf": [schemas[PredictRequest], schemas[TensorRequest], other]}
    components["BatchBody"]["properties"]["requests"] |= {"items": member, "minItems": 1}
    components["BatchResponse"]["properties"]["results"]["items"] = {
        "anyOf": [schemas[PredictResponse], schemas[FailedMember]]
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation, schemas)
    paths |= inference
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "ml-pipeline",
                "version": __version__,
                "description": "ONNX models behind REST.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "."}],
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": SECURITY_SCHEMES},
        }
    )


def _describe(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "security": security_of(operation.path),
        "responses": {"200": _answer(operation, schemas)},
    }
    for status, reason in errors_of(operation.path, operation.errors, _reasons).items():
        content = {PROBLEM: {"schema": schemas[Problem]}}
        error: dict[str, Any] = {"description": reason, "content": content}
        if status == 503:
            error["headers"] = {"Retry-After": _header("Seconds to wait.", "integer")}
        described["responses"][str(status)] = error
    if operation.path in _unready:
        content = {JSON: {"schema": schemas[_unready[operation.path]]}}
        described["responses"]["503"] = {"description": "Not ready", "content": content}
    parameters = [_parameter("X-Request-ID", "header", "1 to 128 visible ASCII characters.")]
    if operation.by_model:
        parameters.append(_parameter("model", "query", "Name, where several models are loaded."))
    if operation.body is not None:
        parameters.append(TIMEOUT_PARAMETER)
        schema = {"schema": schemas[operation.body], "example": _examples[operation.body]}
        raw = schemas[operation.body]
        if operation.body is PredictRequest:
            raw = {"anyOf": [raw, schemas[TensorRequest]]}
        content = {JSON: schema, MSGPACK: {"schema": raw}}
        described["requestBody"] = {"required": True, "content": content}
    described["parameters"] = parameters
    return described


def _answer(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    headers = {"X-Request-ID": _header("The request's id, taken or made.")}
    if isinstance(operation.answer, str):
        content = {operation.answer: {"schema": {"type": "string"}}}
        if operation.answer == JSON:
            content = {JSON: {"schema": {"type": "object"}}}
        return {"description": "OK", "headers": headers, "content": content}
    media = {"schema": schemas[operation.answer]}
    if operation.body is None:
        return {"description": "OK", "headers": headers, "content": {JSON: media}}
    headers["Server-Timing"] = _header("decode, cache, queue, run and total, in milliseconds.")
    headers["X-Cache"] = _header("l1, redis, coalesced, miss or bypass; for a batch, counts.")
    return {"description": "OK", "headers": headers, "content": {JSON: media, MSGPACK: media}}


def _operation_id(operation: Operation) -> str:
    words = operation.path.replace(".", "/").strip("/").split("/")
    return "_".join([operation.method, *(word for word in words if word)])


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    return {
        "name": name, "in": place, "required": False, "description": description,
        "schema": {"type": "string"},
    }  # fmt: skip
