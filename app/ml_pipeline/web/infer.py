"""`POST /v2/models/NAME[/versions/VERSION]/infer`: HTTP to `InferCall` and back."""

import re
from time import monotonic
from typing import Self
from urllib.parse import unquote_to_bytes

from ml_pipeline.engine.wire.heavy import LIGHT_BINARY_BYTES, is_heavy_infer
from ml_pipeline.engine.wire.infer_answer import with_id
from ml_pipeline.engine.wire.infer_schema import InferBody, InferResponse
from ml_pipeline.errors import InferenceError, MalformedRequest
from ml_pipeline.fronts.http.message import HeaderList, Reply, Request
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.protocols.infer import InferCall
from ml_pipeline.web.conventions import OPEN_INFERENCE, parameter
from ml_pipeline.web.deadline import TIMEOUT, read_deadline
from ml_pipeline.web.exchange import Exchange
from ml_pipeline.web.operation import BINARY, JSON, Binary, Body, Operation
from ml_pipeline.web.predict import header_lines

LENGTH_HEADER = b"inference-header-content-length"

_length = parameter(
    LENGTH_HEADER.decode().title(),
    "header",
    "Bytes of the JSON, where binary tensors follow it.",
    type="integer",
    minimum=0,
)

INFER = Operation(
    "post",
    "/v2/models/{name}/infer",
    "Run tensors through a model",
    {JSON: InferResponse, BINARY: Binary},
    body=Body({JSON: InferBody, BINARY: Binary}),
    errors=(400, 404, 413, 415, 503, 504),
    parameters=(_length, TIMEOUT),
    versioned=True,
    conventions=OPEN_INFERENCE,
)
OPERATIONS = (INFER,)

_raw_path = re.compile(rb"/v2/models/(.+?)(?:/versions/(.+))?/infer/*").fullmatch


class InferRoute:
    """Answers one inference request.

    Args:
        predictor: The pipeline.
        metrics: Counts rows and cache results.
        timeout_seconds: Longest a request may take; a client may ask for less.
        max_inflated_bytes: Of a compressed body, once it is not.
    """

    path = INFER.path

    def __init__(
        self,
        predictor: Predictor,
        metrics: Metrics,
        timeout_seconds: float,
        max_inflated_bytes: int,
    ) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._max_inflated_bytes = max_inflated_bytes

    def find(self, raw_path: bytes) -> Self | None:
        """Give itself if a path, as it was sent, asks for an inference of any model."""
        if (
            raw_path.startswith(b"/v2/models/")
            and raw_path.endswith(b"/infer")
            and raw_path.count(b"/") > 3
        ):
            return self
        return None  # such as the metadata of a model that is called infer

    def read(self, request: Request, arrived: float) -> InferCall:
        """Read path and headers; the content type says nothing: clients send any, or none.

        Raises:
            InferenceError: What is wrong with them.
        """
        found = _raw_path(request.raw_path)
        if found is None:  # without a name
            raise MalformedRequest("path: expected /v2/models/NAME[/versions/VERSION]/infer")
        name, version = (None if part is None else _decoded(part) for part in found.groups())
        fields, body = request.fields, request.body
        encoding, header = fields.get(b"content-encoding"), fields.get(LENGTH_HEADER)
        return InferCall(
            name,
            version,
            read_deadline(request, arrived, self._timeout_seconds),
            body,
            header,
            request.started,
            heavy=encoding is not None
            or (len(body) > LIGHT_BINARY_BYTES and is_heavy_infer(body, header)),
            encoding=encoding,
            max_inflated_bytes=self._max_inflated_bytes,
        )

    async def answer(self, exchange: Exchange, call: InferCall) -> Reply:
        """Infer, and tell in the headers how it went."""
        timings, started = exchange.timings, exchange.request.started
        try:
            answer, ask = await self._predictor.predict(call, timings)
        except InferenceError:
            self._metrics.observe_failure(timings, monotonic() - started)
            raise
        body, json_length, rest = with_id(answer, ask.id)
        seconds = monotonic() - started
        self._metrics.observe_answer(timings, seconds)
        headers: HeaderList = []
        media_type = b"application/json"
        if json_length is not None:
            media_type = b"application/octet-stream"
            headers.append((LENGTH_HEADER, b"%d" % json_length))
        lines = header_lines(media_type, timings, timings.cache_state, seconds)
        return Reply(200, headers, body, lines, rest)


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")
