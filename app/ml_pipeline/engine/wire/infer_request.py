"""Bytes of an Open Inference Protocol request → checked tensors.

A body is JSON, then the bytes of its binary tensors back to back; a header says where the JSON
ends. Binary tensors are views into the body, no copy. Sizes are computed in Python's unbounded
integers and held against the bytes that are there before anything is allocated: `[2**32, 2**32]`
wraps to 0 in 64 bits, and `[4000000000, 10]` with ten values has ended other servers.
"""

from collections.abc import Sequence
from math import prod

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.engine.wire.infer_document import cut, json_length, refuse_many_keys
from ml_pipeline.engine.wire.infer_lists import check_list, decode_cut, decode_document
from ml_pipeline.engine.wire.infer_parameters import (
    MAX_PRIORITY,
    flag,
    timeout_seconds,
    whole_number,
)
from ml_pipeline.engine.wire.infer_schema import (
    WITHOUT_JSON,
    InferBody,
    InferInput,
    InferOutput,
    datatypes,
)
from ml_pipeline.engine.wire.infer_tensor import (
    from_bytes,
    from_json,
    from_text,
    strings_in_steps,
    text_in,
    text_of,
)
from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InferenceError, InvalidInput

MAX_SIZE = 2**63 - 1
"""Of a dimension; far beyond what a body can hold."""
MAX_EMPTY = 2**20
"""Product of the other free sizes beside one of 0: no bytes of the body stand for them, and a model
may answer with as many values."""


class RequestedOutput(msgspec.Struct, frozen=True, gc=False):
    """An output to answer: its place in the model's signature, and how to write it."""

    index: int
    binary: bool


class InferRequest(msgspec.Struct, gc=False):
    """One request, decoded and checked.

    Attributes:
        inputs: By name, in the order of the signature; views into the body where binary.
        outputs: Those to answer.
        id: To be repeated in the answer; empty if there is none.
        use_cache: Whether the client asks for a cached answer; None leaves it to the model.
        timeout_seconds: The longest the client will wait; None if it does not say.
        priority: The lower the sooner, from 1 on; None if it does not say.
    """

    inputs: Tensors
    outputs: tuple[RequestedOutput, ...]
    id: str = ""
    use_cache: bool | None = None
    timeout_seconds: float | None = None
    priority: int | None = None


class InferReader:
    """Reads requests for one model.

    Args:
        inputs: Specs in the order of the signature.
        outputs: Likewise.
        optional: Inputs that need not be given.
        max_rows: Most rows in one request.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        optional: Sequence[TensorSpec] = (),
        max_rows: int = MAX_SIZE,
    ) -> None:
        self._inputs = {spec.name: spec for spec in inputs}
        self._known = self._inputs | {spec.name: spec for spec in optional}
        self._max_rows = max_rows
        self._outputs = {spec.name: index for index, spec in enumerate(outputs)}
        self._without_json = [datatypes[spec.dtype] in WITHOUT_JSON for spec in outputs]
        self._all = {
            binary: tuple(RequestedOutput(index, binary) for index in range(len(outputs)))
            for binary in (False, True)
        }

    def read(self, body: bytes, header: bytes | None) -> InferRequest:
        """Decode and check one body.

        Args:
            body: JSON, then binary tensors; or the one input alone, where the header is 0.
            header: Value of `Inference-Header-Content-Length`, None without it.

        Raises:
            MalformedRequest: The header is no length of this body, or the JSON is none.
            InvalidInput: Names the tensor, what is expected and what was found.
        """
        length = len(body) if header is None else json_length(header, len(body))
        if length == 0 and header is not None:
            return self._read_raw(body)
        document = body if length == len(body) else body[:length]
        request = decode_document(document)
        inputs = self._read_inputs(request.inputs, memoryview(body)[length:])
        return self._finish(request, inputs)

    def read_in_steps(self, body: bytes, header: bytes | None) -> Steps[InferRequest]:
        """Decode and check a large body; arguments and errors as of `read`.

        Raises:
            BodyTooLarge: Its JSON is long beside the numbers in it.
        """
        length = len(body) if header is None else json_length(header, len(body))
        if length == 0 and header is not None:
            return self._read_raw(body)
        parts = cut(body[:length], len(self._known))
        yield
        refuse_many_keys(parts.document)
        yield
        request = yield from decode_cut(parts)
        rest = memoryview(body)[length:]
        try:
            inputs = yield from self._read_in_steps(request.inputs, rest, dict(parts.lists))
        except InferenceError:
            for text in parts.lists.values():  # what is no JSON is told first
                yield from check_list(text)
            raise
        return self._finish(request, inputs)

    def _finish(self, request: InferBody, inputs: Tensors) -> InferRequest:
        parameters = request.parameters or {}
        return InferRequest(
            inputs,
            self._requested(request.outputs, flag(parameters, "binary_data_output") or False),
            request.id or "",
            flag(parameters, "use_cache"),
            timeout_seconds(parameters),
            whole_number(parameters, "priority", MAX_PRIORITY) or None,
        )

    def _read_inputs(self, sent: list[InferInput], rest: memoryview) -> Tensors:
        """Read each input, and take those with binary data off the bytes behind the JSON."""
        found: Tensors = {}
        for tensor in sent:
            spec, field, size = self._check(tensor, found, len(rest))
            if size is None:
                found[tensor.name] = from_json(tensor, spec, field)
            else:
                found[tensor.name] = from_bytes(rest[:size], tensor.shape, spec, field)
                rest = rest[size:]
        return self._in_order(found, len(rest))

    def _read_in_steps(
        self, sent: list[InferInput], rest: memoryview, lists: dict[bytes, Text]
    ) -> Steps[Tensors]:
        """Likewise; `data` is the name of one of `lists`, each of which is taken."""
        found: Tensors = {}
        for tensor in sent:
            spec, field, size = self._check(tensor, found, len(rest))
            if size is not None and spec.dtype == "str":
                array = yield from strings_in_steps(rest[:size], tensor.shape, field)
            elif size is not None:
                array = from_bytes(rest[:size], tensor.shape, spec, field)
            elif tensor.data is not msgspec.UNSET and (text := text_in(tensor.data, lists)):
                array = yield from from_text(text, tensor.shape, spec, field)
            else:
                array = from_json(tensor, spec, field)
            found[tensor.name], rest = array, rest[size or 0 :]
            yield
        for text in lists.values():  # of keys that nobody knows: JSON they have to be
            yield from check_list(text)
        return self._in_order(found, len(rest))

    def _check(
        self, tensor: InferInput, found: Tensors, num_bytes: int
    ) -> tuple[TensorSpec, str, int | None]:
        """Hold all of a tensor but its values against the model, before they are decoded.

        Returns:
            What it has to be, what the caller calls it, and its bytes behind the JSON, None where
            its values are in it.
        """
        field = f"inputs.{tensor.name[:64]}"
        spec = self._known.get(tensor.name)
        if spec is None:
            raise InvalidInput(f"{field}: expected one of {', '.join(self._known)}")
        if tensor.name in found:
            raise InvalidInput(f"{field}: expected once, found twice")
        shape = tensor.shape
        if shape and (max(shape) > MAX_SIZE or min(shape) < -MAX_SIZE):  # too many digits to tell
            raise InvalidInput(f"{field}.shape: expected sizes to {MAX_SIZE}, found a larger one")
        _check_datatype(spec, tensor.datatype, field)
        _check_shape(spec, shape, field)
        if spec.batched and shape[0] > self._max_rows:
            raise InvalidInput(f"inputs: expected at most {self._max_rows} rows, found {shape[0]}")
        size = whole_number(tensor.parameters or {}, "binary_data_size", num_bytes, field)
        if size is not None and tensor.data is not msgspec.UNSET:
            raise InvalidInput(f"{field}: expected data or binary_data_size, found both")
        return spec, field, size

    def _in_order(self, found: Tensors, num_left: int) -> Tensors:
        if num_left:
            raise InvalidInput(f"body: expected its end, found {num_left} bytes behind the tensors")
        try:
            ordered = {name: found[name] for name in self._inputs}
        except KeyError as missing:
            raise InvalidInput(f"inputs: expected {missing}, found none of that name") from None
        return ordered if len(ordered) == len(found) else ordered | found

    def _requested(
        self, outputs: list[InferOutput] | None, binary_by_default: bool
    ) -> tuple[RequestedOutput, ...]:
        if not outputs:
            requested = self._all[binary_by_default]
        elif len(outputs) > len(self._outputs):
            most = len(self._outputs)
            raise InvalidInput(f"outputs: expected at most {most}, found {len(outputs)}")
        else:
            requested = tuple(self._request(output, binary_by_default) for output in outputs)
            if len({output.index for output in requested}) < len(requested):
                raise InvalidInput("outputs: expected each name once, found one twice")
        for output in requested:
            if self._without_json[output.index] and not output.binary:
                name = list(self._outputs)[output.index]
                raise InvalidInput(
                    f"outputs.{name}: expected binary_data true for a datatype that JSON has no "
                    "form for, found false"
                )
        return requested

    def _request(self, output: InferOutput, binary_by_default: bool) -> RequestedOutput:
        field = f"outputs.{output.name[:64]}"
        index = self._outputs.get(output.name)
        if index is None:
            raise InvalidInput(f"{field}: expected one of {', '.join(self._outputs)}")
        binary = flag(output.parameters or {}, "binary_data", field)
        return RequestedOutput(index, binary_by_default if binary is None else binary)

    def _read_raw(self, body: bytes) -> InferRequest:
        """Read a request that is nothing but the bytes of one tensor: one row of it."""
        if len(self._inputs) != 1:
            names = ", ".join(self._inputs) or "none"
            raise InvalidInput(f"body: expected JSON for a model with the inputs {names}")
        (spec,) = self._inputs.values()
        if not spec.ranked:
            raise InvalidInput("body: expected JSON that gives the shape, found raw bytes")
        shape = [1, *spec.shape[1:]] if spec.batched else list(spec.shape)
        free = [axis for axis, size in enumerate(shape) if size == -1]
        if spec.dtype == "str" and not free and prod(shape) == 1:
            text = text_of(memoryview(body), f"inputs.{spec.name}")
            array: Array = np.array([text], dtype=object).reshape(shape)
            return InferRequest({spec.name: array}, self._all[True])
        if spec.dtype == "str" or len(free) > 1:
            raise InvalidInput("body: expected JSON that gives the shape, found raw bytes")
        if free:
            rest = spec.numpy_dtype.itemsize * prod(size for size in shape if size != -1)
            shape[free[0]] = len(body) // rest if rest else 0
        field = f"inputs.{spec.name}"
        spec.check_shape(shape, field)
        array = from_bytes(memoryview(body), shape, spec, field)
        return InferRequest({spec.name: array}, self._all[True])


def _check_datatype(spec: TensorSpec, found: str, field: str) -> None:
    expected = datatypes[spec.dtype]
    if found != expected:
        raise InvalidInput(f"{field}.datatype: expected {expected}, found {found[:20]!r}")


def _check_shape(spec: TensorSpec, shape: Sequence[int], field: str) -> None:
    """Hold a shape against the model; free sizes may be 0, which ONNX Runtime takes as they are."""
    spec.check_shape(shape, field, least=0)
    if 0 not in shape:
        return
    told = spec.shape if spec.ranked else [-1] * len(shape)
    free = prod(size for size, own in zip(shape, told, strict=True) if size and own == -1)
    if free > MAX_EMPTY:
        raise InvalidInput(
            f"{field}.shape: expected sizes of at most {MAX_EMPTY} together beside one of 0, "
            f"found {free}"
        )
