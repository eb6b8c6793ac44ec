"""A model that answers in process under `/v2`: from a request's bytes to those of its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import numpy as np

from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.engine.wire.infer_answer import InferReply, with_id
from ml_pipeline.engine.wire.infer_schema import WITHOUT_JSON, datatypes
from ml_pipeline.protocols.infer import InferCall
from tests.conftest import Served

TIMEOUT_SECONDS = 60.0


def whole(reply: InferReply) -> bytes:
    """Join the parts of an answer, as the connection does."""
    return b"".join((reply.body, *reply.rest))


class Asked:
    """Answers requests of the Open Inference Protocol.

    Attributes:
        model: The one that answers.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        [self.model] = self._models()

    def _models(self) -> list[Model]:
        with self._served.repository.get(None, None) as model:
            return [model]

    @property
    def num_shared(self) -> int:
        """Answers so far of runs that several requests shared."""
        sizes = [batch.num_requests for batch in self._served.batches]
        return sum(size for size in sizes if size > 1)

    async def infer(self, inputs: Tensors, *, binary: bool) -> list[Array]:
        """Send one request, and give the outputs in the order of the model's.

        Args:
            inputs: By name.
            binary: Whether tensors travel as bytes; in JSON those do that JSON has no form for.
        """
        specs = {s.name: s for s in (*self.model.inputs, *self.model.optional_inputs)}
        sent = [_tensor(specs[name], array, binary) for name, array in inputs.items()]
        asked = [
            {"name": spec.name, "parameters": {"binary_data": binary or _has_no_json(spec)}}
            for spec in self.model.outputs
        ]
        document = msgspec.json.encode({"inputs": [t for t, _ in sent], "outputs": asked})
        header = b"%d" % len(document)
        body = b"".join([document, *(data for _, data in sent)])
        now = monotonic()
        call = InferCall(None, None, now + TIMEOUT_SECONDS, body=body, header=header, started=now)
        reply = with_id(await self._served.predict(call), "")
        return self._read(whole(reply), reply.json_length)

    async def crowd(self, requests: list[Tensors]) -> list[list[Array] | BaseException]:
        """Send all at once; of each the outputs, or its error."""
        asked = [self.infer(inputs, binary=True) for inputs in requests]
        return await asyncio.gather(*asked, return_exceptions=True)

    def _read(self, body: bytes, json_length: int | None) -> list[Array]:
        length = len(body) if json_length is None else json_length
        found = []
        for spec, tensor in zip(
            self.model.outputs, msgspec.json.decode(body[:length])["outputs"], strict=True
        ):
            size = tensor.get("parameters", {}).get("binary_data_size")
            if size is None:
                found.append(_from_json(spec, tensor))
            else:
                found.append(_from_bytes(spec, body[length : length + size], tensor["shape"]))
                length += size
        assert length == len(body)
        return found


@asynccontextmanager
async def serving(
    model: bytes, folder: Path, options: EngineOptions, graphs: GraphReader
) -> AsyncIterator[Asked]:
    """Serve a model from a file of its own.

    Raises:
        ModelLoadError: It is refused.
    """
    path = folder / "model.onnx"
    path.write_bytes(model)
    served = Served(path, options, monotonic, graphs)
    await served.repository.reload()
    try:
        yield Asked(served)
    finally:
        await served.repository.aclose()


def _has_no_json(spec: TensorSpec) -> bool:
    return datatypes[spec.dtype] in WITHOUT_JSON


def _tensor(spec: TensorSpec, array: Array, binary: bool) -> tuple[dict[str, Any], bytes]:
    tensor = {"name": spec.name, "datatype": datatypes[spec.dtype], "shape": list(array.shape)}
    finite = array.dtype.kind != "f" or bool(np.isfinite(array).all())
    if not (binary or _has_no_json(spec)) and finite:
        return {**tensor, "data": array.ravel().tolist()}, b""
    data = _to_bytes(array)
    return {**tensor, "parameters": {"binary_data_size": len(data)}}, data


def _to_bytes(array: Array) -> bytes:
    if not array.dtype.hasobject:
        return array.tobytes()
    texts = [str(text).encode() for text in array.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _from_bytes(spec: TensorSpec, data: bytes, shape: list[int]) -> Array:
    if spec.dtype != "str":
        return np.frombuffer(data, spec.numpy_dtype).reshape(shape)
    texts, start = [], 0
    while start < len(data):
        stop = start + 4 + int.from_bytes(data[start : start + 4], "little")
        texts.append(data[start + 4 : stop].decode())
        start = stop
    return np.array(texts, object).reshape(shape)


def _from_json(spec: TensorSpec, tensor: dict[str, Any]) -> Array:
    """Read values; what is no number is null."""
    values = [np.nan if value is None else value for value in tensor["data"]]
    return np.array(values, spec.numpy_dtype).reshape(tensor["shape"])
