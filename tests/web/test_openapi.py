"""`/openapi.json` over HTTP: true, whole, and of valid structure."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from ml_pipeline.web.openapi import openapi_document
from ml_pipeline.web.operations import OPERATIONS
from tests.keys import Keyed
from tests.server import Server
from tests.web.occupied import Occupied
from tests.web.problem import FIELDS
from tests.web.samples import ROW, raw_tensor
from tests.web.starting import starting_server

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="session")
def document(client: httpx.Client) -> dict[str, Any]:
    """The document."""
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = answer.json()
    return content


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method, path and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from walk(child)


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    """What a `$ref` points at; KeyError if nothing is there."""
    assert reference.startswith("#/")
    node: Any = document
    for step in reference[2:].split("/"):
        node = node[step]
    return dict(node)


# Structure.


def test_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    """The document has the version and the parts that OpenAPI 3.1 demands."""
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version"} <= document["info"].keys()
    assert document["paths"]
    assert document.keys() <= {"openapi", "info", "servers", "paths", "components", "tags"}


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    """Each `$ref` points at something in the document."""
    references = [node["$ref"] for node in walk(document) if "$ref" in node]

    assert references
    for reference in references:
        assert resolve(document, reference)


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    """No component is left over."""
    used = {node["$ref"].rsplit("/", 1)[1] for node in walk(document) if "$ref" in node}

    assert used == document["components"]["schemas"].keys()


def test_operations_are_whole(document: dict[str, Any]) -> None:
    """Each operation has a summary, an id of its own, and responses that are described."""
    found = [operation for _, _, operation in operations(document)]

    assert len({operation["operationId"] for operation in found}) == len(found)
    for operation in found:
        assert operation["summary"]
        assert "200" in operation["responses"]
        for status, response in operation["responses"].items():
            assert 200 <= int(status) <= 599
            assert response["description"]
            assert all("/" in media_type for media_type in response["content"])
            assert all("schema" in media for media in response["content"].values())


def test_parameters_are_whole(document: dict[str, Any]) -> None:
    """Each parameter has a name, a place and a schema; each variable of a path is one."""
    for _, path, operation in operations(document):
        parameters = operation.get("parameters", [])
        names = [(parameter["in"], parameter["name"]) for parameter in parameters]
        assert len(set(names)) == len(names)
        for parameter in parameters:
            assert parameter["in"] in {"path", "query", "header", "cookie"}
            assert parameter["schema"]["type"]
            assert parameter["required"] or parameter["in"] != "path"
        assert path.count("{") == sum(place == "path" for place, _ in names)


def test_errors_are_problems(document: dict[str, Any]) -> None:
    """Every 4xx and 5xx is declared as a problem, or as the Open Inference Protocol has it.

    But for the health, which has a body to show.
    """
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400" or "/health" in path:
                continue
            if path.startswith("/v2"):
                reference = response["content"]["application/json"]["schema"]["$ref"]
                assert resolve(document, reference)["properties"].keys() == {"error"}
            else:
                media = response["content"]["application/problem+json"]
                schema = resolve(document, media["schema"]["$ref"])
                assert schema["properties"].keys() - {"type"} == FIELDS


# Truth: routes.


def test_every_route_is_in_the_document(document: dict[str, Any]) -> None:
    """What can be called is documented, as `test_operations.py` holds the list to what can be."""
    documented = {(method, path) for method, path, _ in operations(document)}

    assert documented == {(each.method, path) for each in OPERATIONS for path in each.paths}


def test_every_documented_route_exists(document: dict[str, Any], client: httpx.Client) -> None:
    """What is documented can be called: the method is allowed and the path is known."""
    for method, path, _ in operations(document):
        known = path.replace("{name}", "wine").replace("{version}", "1")
        # A body that does not parse, so that nothing is unloaded.
        answer = client.request(method, known, content=b"{" if method == "post" else None)

        assert answer.status_code not in (404, 405), f"{method} {path}"


def test_other_methods_of_documented_routes_are_not_allowed(
    document: dict[str, Any], client: httpx.Client
) -> None:
    """A path answers the documented methods alone."""
    for path, item in document["paths"].items():
        for method in METHODS - item.keys():
            answer = client.request(method, path)

            assert answer.status_code == 405, f"{method} {path}"


# Truth: bodies.


def test_examples_are_accepted(document: dict[str, Any], client: httpx.Client) -> None:
    """Each example of a request is answered 200 by the server as it comes."""
    examples = [
        (path, media["example"])
        for _, path, operation in operations(document)
        for media in operation.get("requestBody", {}).get("content", {}).values()
        if "example" in media
    ]

    assert {path for path, _ in examples} == {"/predict", "/predict/batch"}
    for path, example in examples:
        assert client.post(path, json=example).status_code == 200
        assert "error" not in client.post(path, json=example).text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/"),
        ("get", "/health"),
        ("get", "/health/live"),
        ("get", "/health/ready"),
        ("get", "/models"),
        ("get", "/models/info"),
        ("get", "/sample"),
        ("post", "/models/reload"),
        ("post", "/predict"),
        ("post", "/predict/batch"),
    ],
)
def test_answers_have_the_documented_fields(
    document: dict[str, Any], client: httpx.Client, method: str, path: str
) -> None:
    """An answer fits its schema: every field that is there is documented, every required one is."""
    operation = document["paths"][path][method]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    answer = client.request(method, path, json=body.get("example"))

    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert_fits(document, answer.json(), schema, path)


def assert_fits(document: dict[str, Any], value: Any, schema: dict[str, Any], place: str) -> None:
    """Assert that a value fits a schema of objects, lists and alternatives."""
    if "$ref" in schema:
        schema = resolve(document, schema["$ref"])
    if "anyOf" in schema:
        fitting = [part for part in schema["anyOf"] if _fits(document, value, part)]
        assert fitting, f"{place}: {value} fits none of {schema['anyOf']}"
        schema = fitting[0]
        schema = resolve(document, schema["$ref"]) if "$ref" in schema else schema
    if "properties" in schema:
        assert set(schema.get("required", [])) <= value.keys() <= schema["properties"].keys(), place
        for name, part in schema["properties"].items():
            if name in value:
                assert_fits(document, value[name], part, f"{place}.{name}")
    if schema.get("type") == "array" and "items" in schema:
        for index, item in enumerate(value):
            assert_fits(document, item, schema["items"], f"{place}[{index}]")
    if "enum" in schema:
        assert value in schema["enum"], place
    if "type" in schema:
        assert isinstance(value, _types[schema["type"]]), f"{place}: {value} is no {schema['type']}"


def _fits(document: dict[str, Any], value: Any, schema: dict[str, Any]) -> bool:
    try:
        assert_fits(document, value, schema, "")
    except (AssertionError, AttributeError):
        return False
    return True


_types: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
}


# Truth: errors.

ELSEWHERE = {("post", "/models/reload", status) for status in ("401", "403", "422")}
"""Errors whose tests are in `test_admin.py`, and in `test_models.py`, which breaks files."""


def declared_errors() -> list[tuple[str, str, str]]:
    """Method, path and status of every error of the document, read without a server."""
    document = msgspec.json.decode(openapi_document())
    declared = {
        (method, path, status)
        for method, path, operation in operations(document)
        for status in operation["responses"]
        if status >= "400" and not path.startswith(("/health", "/v2"))  # /v2: tests/oip
    }
    return sorted(declared - ELSEWHERE)


class Provocation(NamedTuple):
    """A request that is answered with an error."""

    server: Server
    query: str = ""
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


@pytest.fixture
def provocations(
    zoo: Server, strict_server: Server, slow: Server, keyed: Keyed
) -> dict[str, Provocation]:
    """For each error status a request that gets it; 503 and 504 of a server that is busy."""
    one = {"data": [[1]], "use_cache": False}
    late = {"X-Request-Timeout-Ms": "20"}
    return {
        "400": Provocation(zoo, "?model=wine", b"{"),
        "401": Provocation(keyed.server),
        "404": Provocation(zoo, "?model=vine", one),
        "413": Provocation(strict_server, "", b" " * 5000),
        "415": Provocation(zoo, "", b"%PDF", {"Content-Type": "application/pdf"}),
        "422": Provocation(zoo, "?model=pair", {}),
        "500": Provocation(zoo, "?model=brittle", {"data": [[9]]}),
        "503": Provocation(slow, "", one),
        "504": Provocation(slow, "", one, late),
    }


@pytest.mark.parametrize(("method", "path", "status"), declared_errors())
def test_declared_errors_occur(
    provocations: dict[str, Provocation],
    request: pytest.FixtureRequest,
    method: str,
    path: str,
    status: str,
) -> None:
    """There is a request that is answered with each error that the document declares."""
    server, query, body, headers = provocations[status]
    if server is provocations["503"].server:
        occupied: Occupied = request.getfixturevalue("occupied")
        occupied.fill(2 if status == "503" else 0)
    if path == "/predict/batch" and isinstance(body, dict) and "data" in body:
        body = {"requests": [body]}
    content: Any = body if isinstance(body, bytes) else json.dumps(body).encode()
    if (path, status) == ("/predict/batch", "504"):  # whose members have others of their own
        content = slowly(content)

    answer = server.client.request(
        method, path + query, content=content if method == "post" else None, headers=headers
    )

    assert str(answer.status_code) == status


def slowly(content: bytes) -> Iterator[bytes]:
    """Send a body in two parts, the second when a deadline of 20 ms has passed."""
    yield content[:5]
    time.sleep(0.1)
    yield content[5:]


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_declared_unready_answers_occur(path: str) -> None:
    """Before the models are loaded the health routes answer 503."""
    async with starting_server() as client:
        answer = await client.get(path)

    assert answer.status_code == 503


def test_msgpack_bodies_are_accepted_as_declared(
    document: dict[str, Any], client: httpx.Client
) -> None:
    """What declares MessagePack for its request and answer takes and gives it."""
    for path, body in (
        ("/predict", {"data": raw_tensor([ROW])}),
        ("/predict/batch", {"requests": [{"data": raw_tensor([ROW])}]}),
    ):
        operation = document["paths"][path]["post"]
        assert "application/msgpack" in operation["requestBody"]["content"]
        assert "application/msgpack" in operation["responses"]["200"]["content"]

        answer = client.post(
            path,
            content=msgspec.msgpack.encode(body),
            headers={"Content-Type": "application/msgpack"},
        )

        assert answer.headers["content-type"] == "application/msgpack"


def test_declared_headers_are_sent(document: dict[str, Any], client: httpx.Client) -> None:
    """The headers that an answer declares are there."""
    for path in ("/predict", "/models", "/health"):
        method = "post" if path == "/predict" else "get"
        answer = client.request(method, path, json={"data": [ROW]} if method == "post" else None)

        for name in document["paths"][path][method]["responses"]["200"]["headers"]:
            assert name in answer.headers, f"{path}: {name}"


def test_declared_headers_of_refusals_are_sent(
    document: dict[str, Any], slow: Server, occupied: Occupied
) -> None:
    """The 503 of the Open Inference Protocol says when to come again, as it declares."""
    path = "/v2/models/{name}/infer"
    declared = document["paths"][path]["post"]["responses"]["503"]["headers"]
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}
    occupied.fill(2)

    answer = slow.client.post(path.replace("{name}", "slow"), json={"inputs": [tensor]})

    assert answer.status_code == 503
    assert declared.keys() == {"Retry-After"}
    assert answer.headers["retry-after"].isdigit()
