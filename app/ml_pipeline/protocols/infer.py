"""`POST /v2/models/NAME/infer`: the Open Inference Protocol."""

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult, head_start
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.wire.heavy import is_heavy_infer
from ml_pipeline.engine.wire.infer_answer import WrittenOutput, write_answer, write_in_steps
from ml_pipeline.engine.wire.infer_request import InferRequest, RequestedOutput
from ml_pipeline.engine.wire.inflate import inflate
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.protocols.base import Ask


class InferWriter(msgspec.Struct, frozen=True, gc=False):
    """Writes the outputs asked for; the client's id goes in last (`infer_answer.with_id`).

    Attributes:
        outputs: Those to answer.
    """

    outputs: tuple[RequestedOutput, ...]

    @property
    def answer_type(self) -> bytes:
        """The outputs, and how each is written."""
        names = ",".join(
            f"{output.index}{'b' if output.binary else 'j'}" for output in self.outputs
        )
        return b"oip;" + names.encode()

    def encode(self, model: Model, ask: Ask, result: RunResult) -> bytes:
        """Outputs to bytes."""
        return write_answer(model.name, model.version, self._written(model, result))

    def encode_in_steps(self, model: Model, ask: Ask, result: RunResult) -> Steps[list[bytes]]:
        """Likewise."""
        written = self._written(model, result)
        return (yield from write_in_steps(model.name, model.version, written))

    def for_cache(self, answer: bytes) -> bytes:
        """Leave it as it is: the protocol has no word for what was cached."""
        return answer

    def _written(self, model: Model, result: RunResult) -> list[WrittenOutput]:
        arrays, specs = result.outputs, model.outputs
        return [WrittenOutput(specs[o.index], arrays[o.index], o.binary) for o in self.outputs]


class InferCall(msgspec.Struct, frozen=True, gc=False):
    """Tensors for any number of inputs.

    Attributes:
        model_name: As asked for; None for the only one.
        model_version: Likewise; None for the one that is served by default.
        deadline: `time.monotonic()` seconds; the body may name a sooner one.
        body: As received.
        header: `Inference-Header-Content-Length`, None without it.
        started: `time.monotonic()` seconds of its first byte, from which a client's timeout counts.
        heavy: Whether its body has to be read in pieces.
        encoding: `Content-Encoding`, None without it.
        max_inflated_bytes: Of a body that comes compressed.
    """

    model_name: str | None
    model_version: str | None
    deadline: float
    body: bytes
    header: bytes | None
    started: float
    heavy: bool = False
    encoding: bytes | None = None
    max_inflated_bytes: int = 0

    def decode(self, model: Model) -> Ask:
        """Bytes to checked arrays, and what the client asks for beside them."""
        return self._ask(model, model.infer_reader.read(self.body, self.header))

    def decode_in_steps(self, model: Model) -> Steps[Ask]:
        """Likewise; what comes compressed is inflated before."""
        body = self.body
        if self.encoding is not None:
            body = yield from inflate(body, self.encoding, self.max_inflated_bytes)
        if is_heavy_infer(body, self.header):
            request = yield from model.infer_reader.read_in_steps(body, self.header)
        else:
            request = model.infer_reader.read(body, self.header)
        return self._ask(model, request)

    def _ask(self, model: Model, request: InferRequest) -> Ask:
        deadline, start = self.deadline, 0.0
        if request.timeout_seconds is not None:
            deadline = min(deadline, self.started + request.timeout_seconds)
        num_levels = model.metadata.priority_levels
        if request.priority is not None and num_levels is not None:
            start = head_start(request.priority, num_levels)
        use_cache = request.use_cache
        if use_cache is None:
            use_cache = model.metadata.cache is True
        return Ask(
            request.inputs,
            model.count_rows(request.inputs),
            use_cache,
            None,
            deadline,
            InferWriter(request.outputs),
            start,
            request.id,
        )
