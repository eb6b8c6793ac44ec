"""The wire of the Open Inference Protocol, version 2: Structs of what clients send and get.

Sources: github.com/kserve/open-inference-protocol (inference_rest.md); Triton's extensions
binary_tensor_data, model_configuration, model_repository and statistics. Unknown keys and
parameters are ignored, as the protocol wants it. Reading is `infer_request.py`, writing
`infer_answer.py`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ml_pipeline.engine.signature.schema import Shape

datatypes = {
    "float32": "FP32",
    "float64": "FP64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "bool": "BOOL",
    "str": "BYTES",
}
"""The protocol's name of each dtype."""

WITHOUT_JSON = frozenset({"FP16", "BF16"})
"""Datatypes that JSON has no form for; they travel as bytes, both ways."""

MAX_PARAMETERS = 64
Parameters = Annotated[dict[str, bool | int | float | str | None], Meta(max_length=MAX_PARAMETERS)]
"""Of a request or a tensor: scalars, as the protocol has it. What is nested would be made before
anybody knows that nobody wants it, at 64 bytes of memory for each of its own."""


class InferInput(Struct, gc=False):
    """One tensor of a request: `data`, or `binary_data_size` bytes behind the JSON."""

    name: str
    shape: Shape
    datatype: str
    parameters: Parameters | None = None
    data: Raw | UnsetType = UNSET


class InferOutput(Struct, gc=False):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class InferBody(Struct, gc=False):
    """What `POST /v2/models/NAME/infer` takes; without `outputs` all are answered."""

    inputs: list[InferInput]
    outputs: list[InferOutput] | None = None
    id: str | None = None
    parameters: Parameters | None = None


class InferTensor(Struct, gc=False, omit_defaults=True):
    """One tensor of an answer. No `parameters` beside `data`: C++ clients take them for a fault."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | UnsetType = UNSET
    data: list[Any] | Raw | UnsetType = UNSET


class InferResponse(Struct, gc=False):
    """An answer, but for the `id`, which belongs to the request (`infer_answer.with_id`)."""

    model_name: str
    model_version: str
    outputs: list[InferTensor]


class TensorMetadata(Struct):
    """Name, datatype and shape of an input or output; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct):
    """Answer of `GET /v2/models/NAME`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Struct):
    """Answer of `GET /v2`."""

    name: str
    version: str
    extensions: list[str]


class InferError(Struct):
    """Every error of these routes."""

    error: str


encoder = msgspec.json.Encoder()
