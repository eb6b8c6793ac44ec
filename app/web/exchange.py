"""One HTTP exchange as the hot routes see it: a request read whole, a reply not yet sent."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from app.errors import BodyTooLarge, MalformedRequest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]


class HotRequest(msgspec.Struct, gc=False):
    """What a hot route is given.

    Attributes:
        body: All of it, at most MAX_BODY_BYTES.
        headers: By lower-case name; of a repeated header the last.
        query_string: As sent.
        request_id: Taken from the client or made.
        started: `time.perf_counter()` when the request arrived.
    """

    body: bytes
    headers: dict[bytes, bytes]
    query_string: bytes
    request_id: str
    started: float

    def query(self, name: str) -> str | None:
        """Value of a query parameter, or None."""
        if not self.query_string:
            return None
        values = parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True).get(name)
        return values[0] if values else None


class Reply(msgspec.Struct, gc=False):
    """What a hot route answers; the layer adds the request id and sends it."""

    status: int
    headers: HeaderList
    body: bytes


class HotRoute(Protocol):
    """A route that the layer answers by itself, without Litestar."""

    path: str

    async def answer(self, request: HotRequest) -> Reply:
        """Answer, or raise an InferenceError."""
        ...


async def read_body(receive: Receive, headers: dict[bytes, bytes], max_bytes: int) -> bytes:
    """Read a request's body, and stop as soon as it is too large.

    A body that is as long as it said is taken for complete: Granian would tell so in a message of
    its own, which costs another wait.

    Raises:
        BodyTooLarge: It says so itself, or turns out to be.
        MalformedRequest: It broke off: the client has gone, or its framing is broken.
    """
    expected = -1
    if b"content-length" in headers and b"transfer-encoding" not in headers:
        expected = int(headers[b"content-length"])  # digits: Granian has refused anything else
        if expected > max_bytes:
            raise _too_large(max_bytes, str(expected))
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedRequest("body: expected all of it, found it broken off")
        chunk: bytes = message["body"]
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes, f"{size} and more")
        if size == expected and not chunks:
            return chunk
        chunks.append(chunk)
        if size == expected or not message["more_body"]:
            return b"".join(chunks)


def _too_large(max_bytes: int, found: str) -> BodyTooLarge:
    return BodyTooLarge(f"body: expected at most {max_bytes} bytes, found {found}")
