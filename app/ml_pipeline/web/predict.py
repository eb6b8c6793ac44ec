"""`POST /predict` and `POST /predict/batch`: HTTP to `PredictCall` and back."""

import asyncio
from functools import partial
from time import monotonic
from typing import Annotated

from msgspec import Meta

from ml_pipeline.engine.signature.schema import (
    BatchBody,
    BatchResponse,
    PredictBody,
    PredictResponse,
    WireTensor,
)
from ml_pipeline.engine.wire.codec import WireFormat, is_heavy
from ml_pipeline.engine.wire.heavy import LIGHT_BYTES
from ml_pipeline.errors import InferenceError, UnsupportedMediaType
from ml_pipeline.fronts.http.message import Reply, Request
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.pipeline.batch_predictor import BatchPredictor
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.protocols.predict import PredictCall
from ml_pipeline.protocols.timings import Timings, cache_states, with_members
from ml_pipeline.web.accept import choose
from ml_pipeline.web.conventions import MODEL, header
from ml_pipeline.web.deadline import TIMEOUT, read_deadline
from ml_pipeline.web.exchange import Exchange
from ml_pipeline.web.operation import JSON, MSGPACK, Body, Operation


class PredictRequest(PredictBody[Annotated[list[list[float]], Meta(min_length=1)]]):
    """Body of `POST /predict` for a model of float rows."""


class TensorRequest(PredictBody[WireTensor]):
    """The same in MessagePack, the rows as raw bytes."""


_row = [13.2, 1.78, 2.14, 11.2, 100.0, 2.65, 2.76, 0.26, 1.28, 4.38]
_body_errors = (400, 404, 413, 415, 422)
_headers_of_answers = (
    header("Server-Timing", "decode, cache, queue, run and total, in milliseconds."),
    header("X-Cache", "l1, redis, coalesced, miss or bypass; for a batch, counts."),
)

PREDICT = Operation(
    "post",
    "/predict",
    "Predict rows",
    {JSON: PredictResponse, MSGPACK: PredictResponse},
    body=Body(
        {JSON: PredictRequest, MSGPACK: (PredictRequest, TensorRequest)},
        example={"data": [_row], "use_cache": True, "cache_ttl": 3600},
    ),
    errors=(*_body_errors, 500, 503, 504),
    parameters=(MODEL, TIMEOUT),
    headers=_headers_of_answers,
)
# A batch has no 500 or 503 of its own, and a 504 only where the deadline passes while the batch is
# still being read: any later error stands in the member that it concerns.
BATCH = Operation(
    "post",
    "/predict/batch",
    "Answer many requests at once",
    {JSON: BatchResponse, MSGPACK: BatchResponse},
    body=Body(
        {JSON: BatchBody, MSGPACK: BatchBody},
        example={"requests": [{"data": [_row]}, {"data": [_row, _row], "use_cache": False}]},
    ),
    errors=(*_body_errors, 504),
    parameters=(MODEL, TIMEOUT),
    headers=_headers_of_answers,
)
OPERATIONS = (PREDICT, BATCH)

_formats = {
    b"application/json": WireFormat.JSON,
    b"application/msgpack": WireFormat.MSGPACK,
    b"application/x-msgpack": WireFormat.MSGPACK,
    b"application/vnd.msgpack": WireFormat.MSGPACK,
}

_offered = tuple(WireFormat)
_names = [[name.decode() for name, form in _formats.items() if form is each] for each in _offered]

ANSWERS_A_TURN = 512
"""Counted in one turn of the event loop, in 0.5 ms."""


class PredictRoute:
    """Answers one prediction.

    Args:
        predictor: The pipeline.
        metrics: Counts rows and cache results.
        timeout_seconds: Longest a request may take; a client may ask for less.
    """

    path = PREDICT.path

    def __init__(self, predictor: Predictor, metrics: Metrics, timeout_seconds: float) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self.read = partial(to_call, timeout_seconds)

    async def answer(self, exchange: Exchange, call: PredictCall) -> Reply:
        """Predict, and tell in the headers how it went."""
        timings, started = exchange.timings, exchange.request.started
        try:
            body, _ = await self._predictor.predict(call, timings)
        except InferenceError:
            self._metrics.observe_failure(timings, monotonic() - started)
            raise
        seconds = monotonic() - started
        self._metrics.observe_answer(timings, seconds)
        media_type = call.answer_format.media_type
        return Reply(200, [], body, header_lines(media_type, timings, timings.cache_state, seconds))


class BatchRoute:
    """Answers many predictions at once; arguments as for one."""

    path = BATCH.path

    def __init__(self, predictor: BatchPredictor, metrics: Metrics, timeout_seconds: float) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self.read = partial(to_call, timeout_seconds)

    async def answer(self, exchange: Exchange, call: PredictCall) -> Reply:
        """Predict each member; the timings are the longest of any, `X-Cache` counts the states."""
        timings = exchange.timings
        pieces, answered = await self._predictor.predict(call, timings, exchange.request_id)
        seconds = monotonic() - exchange.request.started
        for index, member in enumerate(answered, 1):
            self._metrics.observe_answer(member, seconds)
            if index % ANSWERS_A_TURN == 0:
                await asyncio.sleep(0)
        media_type, states = call.answer_format.media_type, cache_states(answered)
        lines = header_lines(media_type, with_members(timings), states, seconds)
        return Reply(200, [], pieces[0], lines, pieces[1:])


def to_call(timeout_seconds: float, request: Request, arrived: float) -> PredictCall:
    """Read what the headers say.

    Args:
        timeout_seconds: Longest a request may take.
        request: As it was sent.
        arrived: `time.monotonic()` seconds when it had been read whole.

    Raises:
        UnsupportedMediaType: The body is neither JSON nor MessagePack, or it is compressed.
        InvalidInput: `X-Request-Timeout-Ms` is no positive number.
        DeadlineExceeded: It has passed already.
    """
    headers = request.fields
    if b"content-encoding" in headers:
        _check_encoding(headers[b"content-encoding"])
    body_format = WireFormat.JSON
    if (content_type := headers.get(b"content-type")) is not None:
        body_format = _formats.get(content_type) or _read_content_type(content_type)
    answer_format = body_format
    if (accept := headers.get(b"accept")) is not None and accept != b"*/*":
        answer_format = _formats.get(accept) or _negotiate(accept, body_format)
    model_name = request.query("model") if request.query_string else None
    body = request.body
    return PredictCall(
        model_name,
        None,
        read_deadline(request, arrived, timeout_seconds),
        body,
        body_format,
        answer_format,
        len(body) > LIGHT_BYTES and is_heavy(body, body_format),
    )


def _check_encoding(value: bytes) -> None:
    if value.strip().lower() not in (b"identity", b""):
        raise UnsupportedMediaType(
            "content-encoding: expected none here, and gzip or deflate under /v2 alone, found "
            + repr(value[:24].decode("latin-1"))
        )


def _read_content_type(value: bytes) -> WireFormat:
    media_type = value.split(b";")[0].strip().lower()
    if media_type not in _formats:
        raise UnsupportedMediaType(
            "content-type: expected application/json or application/msgpack, found "
            + repr(media_type[:64].decode("latin-1"))
        )
    return _formats[media_type]


def _negotiate(accept: bytes, body_format: WireFormat) -> WireFormat:
    """The format that `Accept` likes best; the body's own where it names none."""
    return _offered[choose(accept.decode("latin-1"), _names, _offered.index(body_format))]


_headers = b"""\
content-type: %b\r
server-timing: decode;dur=%.3f, cache;dur=%.3f, queue;dur=%.3f, run;dur=%.3f, total;dur=%.3f\r
x-cache: %b\r
"""


def header_lines(media_type: bytes, timings: Timings, cache_state: str, seconds: float) -> bytes:
    """Write the headers of an answer: where its time went, in ms (W3C Server Timing), and cache.

    Args:
        media_type: Of the body.
        timings: Of what was answered.
        cache_state: As `X-Cache` tells it.
        seconds: From its first byte to here.
    """
    return _headers % (
        media_type,
        timings.decode_seconds * 1e3,
        timings.cache_seconds * 1e3,
        timings.queue_seconds * 1e3,
        timings.run_seconds * 1e3,
        seconds * 1e3,
        cache_state.encode(),
    )
