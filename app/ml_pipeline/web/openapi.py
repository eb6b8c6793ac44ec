"""The OpenAPI document, made of the operations and of the Structs that they take and give.

Litestar's own generator would see its own routes only, and not the hot ones.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from ml_pipeline import __version__
from ml_pipeline.engine.signature.schema import (
    BatchBody,
    BatchResponse,
    FailedMember,
    PredictResponse,
)
from ml_pipeline.web.conventions import header
from ml_pipeline.web.operation import JSON, Audience, Content, Operation
from ml_pipeline.web.operations import OPERATIONS
from ml_pipeline.web.predict import PredictRequest, TensorRequest

Schemas = dict[Any, dict[str, Any]]
"""Of types, by type."""

SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "NAME.SECRET, where the server has API_KEYS_FILE.",
    },
    "BearerKey": {"type": "http", "scheme": "bearer", "description": "The same key."},
    "AdminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "ADMIN_TOKEN of the server, for admin routes.",
    },
}

_security: dict[Audience, list[dict[str, list[str]]]] = {
    "open": [],
    "client": [{"ApiKey": []}, {"BearerKey": []}, {}],
    "admin": [{"AdminToken": []}],
}
"""The ways in, any one of them. The document is the same whether this server asks for keys or not,
so clients may also do without, and are told of the 401 of those who may not."""

_retry_after = header("Retry-After", "Seconds to wait.", "integer")


@cache
def openapi_document() -> bytes:
    """Write the document; made once."""
    schemas, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        for path in operation.paths:
            described = _describe(operation, path, schemas)
            paths.setdefault(path, {})[operation.method] = described
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


def _schemas() -> tuple[Schemas, dict[str, Any]]:
    """Give the schema of each type, and the components that schemas refer to."""
    types = list(dict.fromkeys([*_types(), FailedMember]))
    template = "#/components/schemas/{name}"
    references, components = msgspec.json.schema_components(types, ref_template=template)
    schemas = dict(zip(types, references, strict=True))
    for component in components.values():  # of a docstring, what concerns a client
        component["description"] = component.get("description", "").split("\n\n")[0]
    _describe_members(schemas, components)
    return schemas, components


def _types() -> Iterator[Any]:
    for operation in OPERATIONS:
        contents = [operation.answer]
        if operation.body is not None:
            contents.append(operation.body.content)
        for content in contents:
            for types in content.values():
                yield from types if isinstance(types, tuple) else (types,)
        yield operation.conventions.error


def _describe_members(schemas: Schemas, components: dict[str, Any]) -> None:
    """Tell what the members of a batch are: they travel undecoded, so their types do not tell."""
    other = {"description": "Anything else: an error stands in its place of the answer."}
    member = {"anyOf": [schemas[PredictRequest], schemas[TensorRequest], other]}
    requests = components[BatchBody.__name__]["properties"]["requests"]
    requests |= {"items": member, "minItems": 1}
    results = components[BatchResponse.__name__]["properties"]["results"]
    results["items"] = {"anyOf": [schemas[PredictResponse], schemas[FailedMember]]}


def _describe(operation: Operation, path: str, schemas: Schemas) -> dict[str, Any]:
    in_path = map(_path_parameter, re.findall(r"{(\w+)}", path))
    parameters = [*operation.conventions.parameters, *in_path, *operation.parameters]
    described: dict[str, Any] = {
        "operationId": "_".join([operation.method, *re.findall(r"\w+", path)]),
        "summary": operation.summary,
        "security": _security[operation.audience],
        "responses": _responses(operation, schemas),
        "parameters": parameters,
    }
    if (body := operation.body) is not None:
        content = _media(body.content, schemas)
        if body.example is not None:
            content[JSON]["example"] = body.example
        described["requestBody"] = {"required": body.required, "content": content}
    return described


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    conventions, content = operation.conventions, _media(operation.answer, schemas)
    answer: dict[str, Any] = {"description": "OK"}
    if headers := (*conventions.headers, *operation.headers):
        answer["headers"] = {name: each for one in headers for name, each in one.items()}
    responses = {"200": {**answer, "content": content}}
    for status, reason in _errors(operation).items():
        media = {conventions.error_type: {"schema": schemas[conventions.error]}}
        responses[str(status)] = {"description": reason, "content": media}
        if status == 503:
            responses["503"]["headers"] = _retry_after
    if operation.unready:
        responses["503"] = {"description": "Not ready", "content": content}
    return responses


def _errors(operation: Operation) -> dict[int, str]:
    """Give the reason of each error, the one of a missing API key among them."""
    reasons = {status: operation.conventions.reasons[status] for status in operation.errors}
    if operation.audience == "client":
        reasons[401] = "The API key is missing or not known, where the server asks for one"
    return dict(sorted(reasons.items()))


def _media(content: Content, schemas: Schemas) -> dict[str, Any]:
    """Describe a body by media type."""
    return {media_type: {"schema": _schema(of, schemas)} for media_type, of in content.items()}


def _schema(of: Any, schemas: Schemas) -> dict[str, Any]:
    if isinstance(of, tuple):
        return {"anyOf": [schemas[each] for each in of]}
    return schemas[of]


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
