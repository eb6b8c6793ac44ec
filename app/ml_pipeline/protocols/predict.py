"""`POST /predict` and the members of `POST /predict/batch`."""

from typing import Any

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.signature.schema import ModelInfo, PredictResponse
from ml_pipeline.engine.wire.codec import (
    DecodedRequest,
    WireFormat,
    encode,
    mark_cached,
    rows_for_wire,
)
from ml_pipeline.engine.wire.json_pieces import PLACE, fill_in, write_lists
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.protocols.base import Ask


class PredictWriter(msgspec.Struct, frozen=True, gc=False):
    """Writes predictions, probabilities, scores and labels.

    Attributes:
        wire_format: How.
        answer_type: The media type.
    """

    wire_format: WireFormat
    answer_type: bytes

    def encode(self, model: Model, ask: Ask, result: RunResult) -> bytes:
        """Outputs to bytes."""
        if (answers := result.shared.answers) is None:
            answers = result.shared.answers = model.reader.read(result.shared.arrays)
        wire_format = self.wire_format
        predictions: Any
        likely: Any
        scores: Any
        if wire_format is WireFormat.JSON:
            predictions, likely, scores, labels = answers.as_lists(result.rows)
        else:
            predictions, likely, scores, labels = answers.as_arrays(result.rows)
            predictions = rows_for_wire(predictions, wire_format)
            if likely is not None:
                likely = rows_for_wire(likely, wire_format)
            if scores is not None:
                scores = rows_for_wire(scores, wire_format)
        info = _info(model, ask, result)
        return encode(PredictResponse(predictions, likely, scores, labels, info), wire_format)

    def encode_in_steps(self, model: Model, ask: Ask, result: RunResult) -> Steps[list[bytes]]:
        """Likewise; in MessagePack arrays are their own bytes."""
        if self.wire_format is not WireFormat.JSON:
            return [self.encode(model, ask, result)]
        if (answers := result.shared.answers) is None:
            answers = result.shared.answers = model.reader.read(result.shared.arrays)
        predictions, likely, scores, labels = answers.as_arrays(result.rows)
        lists: list[list[bytes]] = []
        for array in (predictions, likely, scores):
            if array is not None:
                pieces = yield from write_lists(array)
                lists.append(pieces)
        info = _info(model, ask, result)
        likely, scores = (None if array is None else PLACE for array in (likely, scores))
        response = PredictResponse(PLACE, likely, scores, labels, info)
        return fill_in(encode(response, WireFormat.JSON), lists)

    def for_cache(self, answer: bytes) -> bytes:
        """Say at the end that it was cached."""
        return mark_cached(answer, self.wire_format)


_json, _msgpack = (PredictWriter(form, form.media_type) for form in WireFormat)


class PredictCall(msgspec.Struct, frozen=True, gc=False):
    """Rows for the one input of a model.

    Attributes:
        model_name: As asked for; None for the only one.
        model_version: Likewise; None for the one that is served by default.
        deadline: `time.monotonic()` seconds.
        body: As received.
        body_format: How it is written.
        answer_format: How the answer shall be written.
        heavy: Whether its body has to be read in pieces.
    """

    model_name: str | None
    model_version: str | None
    deadline: float
    body: bytes | msgspec.Raw
    body_format: WireFormat
    answer_format: WireFormat
    heavy: bool = False

    def decode(self, model: Model) -> Ask:
        """Bytes to checked arrays; the one input, `[b, …]`."""
        return self._ask(model.codec.decode(self.body, self.body_format))

    def decode_in_steps(self, model: Model) -> Steps[Ask]:
        """Likewise."""
        request = yield from model.codec.decode_in_steps(bytes(self.body), self.body_format)
        return self._ask(request)

    def _ask(self, request: DecodedRequest) -> Ask:
        return Ask(
            request.inputs,
            request.num_rows,
            request.use_cache,
            request.cache_ttl,
            self.deadline,
            _json if self.answer_format is WireFormat.JSON else _msgpack,
        )


def _info(model: Model, ask: Ask, result: RunResult) -> ModelInfo:
    shape = list(next(iter(ask.inputs.values())).shape)
    return ModelInfo(model.name, model.version, result.run_seconds, shape, False)
