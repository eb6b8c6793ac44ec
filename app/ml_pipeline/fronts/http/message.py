"""One HTTP exchange: a request that was read whole, and the reply to it."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ml_pipeline.errors import InferenceError

HeaderList = list[tuple[bytes, bytes]]


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a client sent.

    Attributes:
        method: In upper case, as every client sends it; empty if it could not be read.
        path: Percent-decoded, without the query.
        raw_path: As sent.
        query_string: As sent, without the question mark.
        headers: In their order; names in lower case. Not to be changed: they may be those of the
            next request as well.
        fields: Value by name; of a repeated header the last. Likewise.
        body: All of it.
        started: `time.monotonic()` seconds when its first byte was read.
        client: Address and port of whoever connected.
        keep_alive: Whether the client would send another on its connection.
        is_http_1_0: Else it is HTTP/1.1.
        fault: Why it was not read to its end: the reply says so, and the connection is closed.
    """

    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: HeaderList
    fields: dict[bytes, bytes]
    body: bytes
    started: float
    client: tuple[str, int]
    keep_alive: bool
    is_http_1_0: bool = False
    fault: InferenceError | None = None

    def query(self, name: str) -> str | None:
        """Value of a query parameter, or None."""
        if not self.query_string:
            return None
        values = parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True).get(name)
        return values[0] if values else None


class Reply(msgspec.Struct, gc=False):
    """What is answered. Length and date are added; `connection: close` is obeyed.

    Attributes:
        status: One that HTTP knows.
        headers: Names in lower case.
        body: All of it, but for the rest.
        lines: Further headers as they are sent, each with its line end, for what is answered often.
        rest: What follows of a long body, in its order: it is sent as it is, without a copy.
    """

    status: int
    headers: HeaderList
    body: bytes | memoryview
    lines: bytes = b""
    rest: Sequence[bytes | memoryview] = ()


Respond = Callable[[Request], Coroutine[Any, Any, Reply]]
"""Answers a request. Never raises, unless it is cancelled: then the client has gone."""
