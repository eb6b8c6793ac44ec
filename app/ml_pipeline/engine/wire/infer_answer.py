"""Outputs → bytes of an Open Inference Protocol answer.

What is cached, and shared by equal requests, lacks the `id`, which is each request's own; it goes
in last (`with_id`). A binary output is written from the array's own memory.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from msgspec import Raw

from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.heavy import HEAVY_BYTES
from ml_pipeline.engine.wire.infer_schema import InferResponse, InferTensor, datatypes, encoder
from ml_pipeline.engine.wire.json_pieces import PLACE, VALUES_A_PIECE, fill_in, write_lists
from ml_pipeline.engine.wire.long_answer import cut
from ml_pipeline.engine.wire.turns import Steps

_prefix = Struct("<?I")
"""Of an answer without id: whether any output is binary, and the bytes of its JSON, which lacks the
last brace."""


class WrittenOutput(NamedTuple):
    """An output to write: its values, and whether as bytes behind the JSON."""

    spec: TensorSpec
    array: Array
    binary: bool


class InferReply(NamedTuple):
    """A whole body, and the bytes of its JSON where others follow it.

    A long one is not copied, so there is more of it in `rest`.
    """

    body: bytes | memoryview
    json_length: int | None
    rest: tuple[bytes | memoryview, ...] = ()


def write_answer(name: str, version: str, outputs: Sequence[WrittenOutput]) -> bytes:
    """Write all of an answer but its id.

    Args:
        name: Of the model.
        version: Likewise.
        outputs: In the order asked for, `[b, …]` each.
    """
    lists = [None if binary else array.ravel().tolist() for _, array, binary in outputs]
    return _write(name, version, outputs, lists)


def write_in_steps(name: str, version: str, outputs: Sequence[WrittenOutput]) -> Steps[list[bytes]]:
    """Likewise, where there are many values; gives the pieces."""
    lists: list[list[bytes]] = []
    behind: list[bytes] = []
    tensors: list[InferTensor] = []
    for output in outputs:
        if output.binary:
            pieces = yield from _buffers_in_steps(output.array)
            tensors.append(_tensor(output, None, sum(map(len, pieces))))
            behind += pieces
        else:
            pieces = yield from write_lists(output.array.ravel())
            tensors.append(_tensor(output, PLACE))
            lists.append(pieces)
    has_binary = any(output.binary for output in outputs)
    document = fill_in(encoder.encode(InferResponse(name, version, tensors))[:-1], lists)
    return [_prefix.pack(has_binary, sum(map(len, document))), *document, *behind]


def _write(
    name: str,
    version: str,
    outputs: Sequence[WrittenOutput],
    values: Sequence[list[Any] | None],
) -> bytes:
    """Join JSON and bytes; `values` are those of each output, flat as C++ clients count them."""
    tensors: list[InferTensor] = []
    buffers: list[Any] = []
    for output, data in zip(outputs, values, strict=True):
        if data is None:
            buffer = _to_buffer(output.array)
            tensors.append(_tensor(output, None, len(buffer)))
            buffers.append(buffer)
        else:
            tensors.append(_tensor(output, data))
    document = encoder.encode(InferResponse(name, version, tensors))[:-1]
    return b"".join([_prefix.pack(bool(buffers), len(document)), document, *buffers])


def _tensor(output: WrittenOutput, data: list[Any] | Raw | None, size: int = 0) -> InferTensor:
    """Describe an output, with its values or the size of those that follow."""
    spec, array, _ = output
    datatype, shape = datatypes[spec.dtype], list(array.shape)
    if data is None:
        return InferTensor(spec.name, datatype, shape, {"binary_data_size": size})
    return InferTensor(spec.name, datatype, shape, data=data)


def with_id(answer: bytes, request_id: str) -> InferReply:
    """Finish an answer for one request.

    Args:
        answer: As `write_answer` gives it.
        request_id: What the request called itself; empty if it did not.
    """
    has_binary, length = _prefix.unpack_from(answer)
    start, stop = _prefix.size, _prefix.size + length
    tail = b',"id":%b}' % encoder.encode(request_id) if request_id else b"}"
    if len(answer) > HEAVY_BYTES:
        view = memoryview(answer)
        if not has_binary:
            return InferReply(view[start:], None, (tail,))
        return InferReply(view[start:stop], length + len(tail), (tail, view[stop:]))
    if not has_binary:
        return InferReply(answer[start:] + tail, None)
    body = b"".join([memoryview(answer)[start:stop], tail, memoryview(answer)[stop:]])
    return InferReply(body, length + len(tail))


def _buffers_in_steps(array: Array) -> Steps[list[bytes]]:
    """Give the bytes of an output in pieces."""
    if not array.dtype.hasobject:
        return (yield from cut(_to_buffer(array)))
    pieces: list[bytes] = []
    flat = array.ravel()
    for start in range(0, len(flat), VALUES_A_PIECE):
        pieces.append(bytes(_to_buffer(flat[start : start + VALUES_A_PIECE])))
        yield
    return pieces


def _to_buffer(array: Array) -> bytes | memoryview:
    if array.dtype.hasobject:
        texts = [str(text).encode() for text in array.ravel()]
        return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))
    if not array.size:
        return b""
    return np.ascontiguousarray(array).reshape(-1).data.cast("B")
