"""Outputs → bytes of an Open Inference Protocol answer.

What is cached, and shared by equal requests, lacks the `id`, which is each request's own; it goes
in last (`with_id`). A binary output is written from the array's own memory, one copy.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from msgspec import Raw

from app.engine.heavy import HEAVY_BYTES
from app.engine.infer_schema import InferResponse, InferTensor, datatypes, encoder
from app.engine.json_pieces import PLACE, fill_in, write_lists
from app.engine.tensor import Array, TensorSpec
from app.engine.turns import Steps

_prefix = Struct("<?I")
"""Of an answer without id: whether any output is binary, and the bytes of its JSON, which lacks the
last brace."""


class WrittenOutput(NamedTuple):
    """An output to write: its values, and whether as bytes behind the JSON."""

    spec: TensorSpec
    array: Array
    binary: bool


class InferReply(NamedTuple):
    """A whole body, and the bytes of its JSON where others follow it."""

    body: bytes
    json_length: int | None


def write_answer(name: str, version: str, outputs: Sequence[WrittenOutput]) -> bytes:
    """Write all of an answer but its id.

    Args:
        name: Of the model.
        version: Likewise.
        outputs: In the order asked for, `[b, …]` each.
    """
    lists = [None if binary else array.ravel().tolist() for _, array, binary in outputs]
    return _write(name, version, outputs, lists)


def write_in_steps(name: str, version: str, outputs: Sequence[WrittenOutput]) -> Steps[bytes]:
    """Likewise, where there are many values."""
    lists: list[list[bytes]] = []
    for _, array, binary in outputs:
        if not binary:
            pieces = yield from write_lists(array.ravel())
            lists.append(pieces)
    places = [None if output.binary else PLACE for output in outputs]
    short = _write(name, version, outputs, places)
    has_binary, length = _prefix.unpack_from(short)
    yield
    start, stop = _prefix.size, _prefix.size + length
    document = fill_in(short[start:stop], lists)
    yield
    return b"".join([_prefix.pack(has_binary, len(document)), document, memoryview(short)[stop:]])


def _write(
    name: str,
    version: str,
    outputs: Sequence[WrittenOutput],
    values: Sequence[list[Any] | Raw | None],
) -> bytes:
    """Join JSON and bytes; `values` are those of each output, flat as C++ clients count them."""
    tensors: list[InferTensor] = []
    buffers: list[Any] = []
    for (spec, array, _), data in zip(outputs, values, strict=True):
        datatype, shape = datatypes[spec.dtype], list(array.shape)
        if data is None:
            buffer = _to_buffer(array)
            size = {"binary_data_size": len(buffer)}
            tensors.append(InferTensor(spec.name, datatype, shape, size))
            buffers.append(buffer)
        else:
            tensors.append(InferTensor(spec.name, datatype, shape, data=data))
    document = encoder.encode(InferResponse(name, version, tensors))[:-1]
    return b"".join([_prefix.pack(bool(buffers), len(document)), document, *buffers])


def with_id(answer: bytes, request_id: str) -> InferReply:
    """Finish an answer for one request.

    Args:
        answer: As `write_answer` gives it.
        request_id: What the request called itself; empty if it did not.
    """
    has_binary, length = _prefix.unpack_from(answer)
    start, stop = _prefix.size, _prefix.size + length
    tail = b',"id":%b}' % encoder.encode(request_id) if request_id else b"}"
    if not has_binary:
        if length > HEAVY_BYTES:  # one copy less, for 0.1 µs
            return InferReply(b"".join([memoryview(answer)[start:], tail]), None)
        return InferReply(answer[start:] + tail, None)
    body = b"".join([memoryview(answer)[start:stop], tail, memoryview(answer)[stop:]])
    return InferReply(body, length + len(tail))


def _to_buffer(array: Array) -> bytes | memoryview:
    if array.dtype.hasobject:
        texts = [str(text).encode() for text in array.ravel()]
        return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))
    if not array.size:
        return b""
    return np.ascontiguousarray(array).reshape(-1).data.cast("B")
