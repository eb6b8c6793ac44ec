"""What a client sends: prediction requests as bytes, and one way to send a single one.

Not here: sending many of them, which is `load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection

import msgspec
import numpy as np

SEND_TIMEOUT_SECONDS = 10.0
HOST = "127.0.0.1"


class AnswerError(RuntimeError):
    """A server answered something a measurement must not be built on."""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST. In a `numbered` request each `%d` of the body becomes the request's number."""

    path: str
    body: bytes
    content_type: str
    numbered: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # beside the content type


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def json_request(rows: int, features: int, *, use_cache: bool, numbered: bool = False) -> Request:
    """Return a prediction of `rows` random rows as JSON, digits as a client would print them.

    Args:
        rows: Number of rows.
        features: Values a row.
        use_cache: False asks the server to neither read nor write its cache.
        numbered: Put the request's number into the first value, so that no two are equal.
    """
    table = [[round(value, 4) for value in row] for row in _rows(rows, features).tolist()]
    body = msgspec.json.encode({"data": table, "use_cache": use_cache})
    if numbered:
        first = msgspec.json.encode(table[0][0])
        body = body.replace(first, b"%d", 1)
    return Request("/predict", body, "application/json", numbered)


def msgpack_request(rows: int, features: int, *, use_cache: bool) -> Request:
    """Return the rows of `json_request` as a MessagePack map that holds one binary tensor."""
    tensor = {
        "dtype": "float32",
        "shape": [rows, features],
        "data": _rows(rows, features).astype("<f4").tobytes(),
    }
    body = msgspec.msgpack.encode({"data": tensor, "use_cache": use_cache})
    return Request("/predict", body, "application/msgpack")


def send(port: int, request: Request, *, timeout: float = SEND_TIMEOUT_SECONDS) -> Answer:
    """Send `request` once on a connection of its own; `timeout` in seconds."""
    body = request.body.replace(b"%d", b"0") if request.numbered else request.body
    headers = {"Content-Type": request.content_type, **dict(request.headers)}
    with closing(HTTPConnection(HOST, port, timeout=timeout)) as connection:
        return exchange(connection, "POST", request.path, body=body, headers=headers)


def get(port: int, path: str) -> Answer:
    """GET `path` once on a connection of its own."""
    with closing(HTTPConnection(HOST, port, timeout=SEND_TIMEOUT_SECONDS)) as connection:
        return exchange(connection, "GET", path)


def send_ok(
    port: int,
    request: Request,
    *,
    cache: str | None = None,
    timeout: float = SEND_TIMEOUT_SECONDS,
) -> Answer:
    """Send `request` once and insist on 200, and on `X-Cache: <cache>` where one is given.

    Raises:
        AnswerError: The answer was another.
    """
    answer = send(port, request, timeout=timeout)
    if answer.status != HTTPStatus.OK:
        text = answer.body[:300].decode(errors="replace")
        raise AnswerError(f"{request.path} answered {answer.status}: {text}")
    found = answer.headers.get("x-cache")
    if cache is not None and found != cache:
        raise AnswerError(f"{request.path} answered X-Cache: {found}, expected {cache}")
    return answer


def _rows(rows: int, features: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed=7).uniform(-1.0, 1.0, (rows, features)).round(4)


def exchange(
    connection: HTTPConnection,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a request on a connection that is kept, and return the answer."""
    connection.request(method, path, body=body or None, headers=dict(headers or {}))
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, response.read())
