"""HEAD is GET without the body: monitors ask by it whether a service is up."""

from typing import Any

import httpx
import msgspec
import pytest

from ml_pipeline.web.openapi import openapi_document
from tests.server import Server, read_answer

DOCUMENTED = msgspec.json.decode(openapi_document())["paths"]
READ = [
    path.replace("{name}", "wine").replace("{version}", "1")
    for path, item in DOCUMENTED.items()
    if "get" in item
]
OTHERS = ["/ui", "/ui/js/main.js", "/docs/assets/swagger.js", "/docs/", "/models?x=1", "/nothing",
          "/models/info?model=vine", "/v2/models/vine", "/sample?model=vine"]  # fmt: skip
MOVES = {"date", "x-request-id", "content-length"}
"""Headers that differ between requests; the last where an answer tells of times and counts."""


def told(answer: httpx.Response) -> dict[str, Any]:
    """What is the same of two answers."""
    return {name: value for name, value in answer.headers.items() if name not in MOVES}


@pytest.mark.parametrize("path", [*READ, *OTHERS])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    """Every route that GET reads has the same status and headers for HEAD, and no body."""
    read, head = client.get(path), client.head(path)

    assert (head.status_code, told(head)) == (read.status_code, told(read))
    assert head.content == b""


@pytest.mark.parametrize("path", ["/models", "/openapi.json", "/docs", "/ui/icon.svg", "/v2"])
def test_the_length_is_that_of_get(client: httpx.Client, path: str) -> None:
    """It is told, though no body follows."""
    same = {"Accept-Encoding": "identity"}
    read, head = client.get(path, headers=same), client.head(path, headers=same)

    assert head.headers["content-length"] == str(len(read.content))


@pytest.mark.parametrize("path", ["/predict", "/v2/models/wine/infer", "/models/reload"])
def test_routes_that_get_does_not_read_have_no_head(client: httpx.Client, path: str) -> None:
    """Nothing is predicted or reloaded by it."""
    answer = client.head(path)

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/health", "/models", "/v2"])
def test_other_methods_are_told_of_head(client: httpx.Client, path: str) -> None:
    """Where GET is allowed, HEAD is."""
    assert {"GET", "HEAD"} <= set(client.put(path).headers["allow"].split(", "))


def test_the_connection_goes_on_behind_it(server: Server) -> None:
    """Not a byte of the body comes: the next answer begins where it would have."""
    request = b"HEAD /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect() as connection:
        for method in ("HEAD", "GET", "HEAD"):
            connection.sendall(request.replace(b"HEAD", method.encode()))

            assert read_answer(connection, method).status == 200


def test_it_is_counted_as_head(client: httpx.Client) -> None:
    """The metrics tell a monitor's HEAD from a GET, under the same route."""
    client.head("/models/info")

    labels = '{endpoint="/models/info",method="HEAD",status="200"}'
    assert f"ml_api_requests_total{labels}" in client.get("/metrics").text
