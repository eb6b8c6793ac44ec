"""What Schemathesis has to be told to write and read MessagePack; imported by it, not by tests."""

import base64
import binascii
from typing import Any

import msgspec
import schemathesis
from schemathesis.transport.requests import REQUESTS_TRANSPORT


@REQUESTS_TRANSPORT.serializer("application/msgpack")  # type: ignore[untyped-decorator]  # as below
def write_msgpack(_: Any, value: Any) -> dict[str, Any]:
    """Write a body."""
    return {"data": msgspec.msgpack.encode(_writable(value))}


@schemathesis.deserializer("application/msgpack")  # type: ignore[untyped-decorator]  # elsewhere
def read_msgpack(_: Any, response: Any) -> Any:
    """Read an answer."""
    return msgspec.msgpack.decode(response.content)


def _writable(value: Any) -> Any:
    """Bring integers into MessagePack's range, and give tensors bytes, which JSON has as base64."""
    if isinstance(value, list):
        return [_writable(item) for item in value]
    if isinstance(value, dict):
        written = {key: _writable(item) for key, item in value.items()}
        if "dtype" in value and isinstance(value.get("data"), str):
            try:
                written["data"] = base64.b64decode(value["data"])
            except (binascii.Error, ValueError):
                pass
        return written
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return value % 2**64
    return value if isinstance(value, str | int | float | None) else str(value)
