"""Outputs → bytes of an Open Inference Protocol answer.

What is cached, and shared by equal requests, lacks the `id`, which is each request's own; it goes
in last (`with_id`). A binary output is written from the array's own memory, one copy.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple

import numpy as np

from app.engine.infer_schema import InferResponse, InferTensor, datatypes, encoder
from app.engine.tensor import Array, TensorSpec

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
    tensors: list[InferTensor] = []
    buffers: list[Any] = []
    for spec, array, binary in outputs:
        datatype, shape = datatypes[spec.dtype], list(array.shape)
        if binary:
            buffer = _to_buffer(array)
            size = {"binary_data_size": len(buffer)}
            tensors.append(InferTensor(spec.name, datatype, shape, size))
            buffers.append(buffer)
        else:
            values = array.ravel().tolist()  # flat: C++ clients count the outermost elements
            tensors.append(InferTensor(spec.name, datatype, shape, data=values))
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
