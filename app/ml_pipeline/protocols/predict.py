"""`POST /predict` and the members of `POST /predict/batch`."""

from collections.abc import Sequence
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
from ml_pipeline.protocols.base import Call


class PredictCall(Call, gc=False, kw_only=True):
    """Rows for the one input of a model.

    Attributes:
        body: As received.
        body_format: How it is written.
        answer_format: How the answer shall be written.
        members: The requests of a `/predict/batch`, answered or not.
    """

    body: bytes | msgspec.Raw
    body_format: WireFormat
    answer_format: WireFormat
    members: Sequence["PredictCall"] = ()

    @property
    def answer_type(self) -> bytes:
        """The media type."""
        return self.answer_format.media_type

    def decode(self, model: Model) -> DecodedRequest:
        """Bytes to checked arrays; the one input, `[b, …]`."""
        return model.codec.decode(self.body, self.body_format)

    def decode_in_steps(self, model: Model) -> Steps[DecodedRequest]:
        """Likewise."""
        return model.codec.decode_in_steps(bytes(self.body), self.body_format)

    def encode(self, model: Model, request: DecodedRequest, result: RunResult) -> bytes:
        """Predictions, probabilities, scores and labels."""
        if (answers := result.shared.answers) is None:
            answers = result.shared.answers = model.reader.read(result.shared.arrays)
        wire_format = self.answer_format
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
        info = _info(model, request, result)
        return encode(PredictResponse(predictions, likely, scores, labels, info), wire_format)

    def encode_in_steps(
        self, model: Model, request: DecodedRequest, result: RunResult
    ) -> Steps[list[bytes]]:
        """Likewise; in MessagePack arrays are their own bytes."""
        if self.answer_format is not WireFormat.JSON:
            return [self.encode(model, request, result)]
        if (answers := result.shared.answers) is None:
            answers = result.shared.answers = model.reader.read(result.shared.arrays)
        predictions, likely, scores, labels = answers.as_arrays(result.rows)
        lists: list[list[bytes]] = []
        for array in (predictions, likely, scores):
            if array is not None:
                pieces = yield from write_lists(array)
                lists.append(pieces)
        info = _info(model, request, result)
        likely, scores = (None if array is None else PLACE for array in (likely, scores))
        response = PredictResponse(PLACE, likely, scores, labels, info)
        pieces = fill_in(encode(response, WireFormat.JSON), lists)
        self.kept = [*pieces[:-1], mark_cached(pieces[-1], WireFormat.JSON)]
        return pieces

    def for_cache(self, answer: bytes) -> bytes:
        """Say that it was cached."""
        return mark_cached(answer, self.answer_format)


def _info(model: Model, request: DecodedRequest, result: RunResult) -> ModelInfo:
    shape = list(next(iter(request.inputs.values())).shape)
    return ModelInfo(model.name, model.version, result.run_seconds, shape, False)
