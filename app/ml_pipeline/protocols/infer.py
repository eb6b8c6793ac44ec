"""`POST /v2/models/NAME/infer`: the Open Inference Protocol."""

from ml_pipeline.engine.batching.batch_queue import RunResult, head_start
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.wire.codec import DecodedRequest
from ml_pipeline.engine.wire.heavy import is_heavy_infer
from ml_pipeline.engine.wire.infer_answer import WrittenOutput, write_answer, write_in_steps
from ml_pipeline.engine.wire.infer_request import InferRequest, RequestedOutput
from ml_pipeline.engine.wire.inflate import inflate
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.protocols.base import Call


class InferCall(Call, gc=False, kw_only=True):
    """Tensors for any number of inputs.

    Attributes:
        body: As received.
        header: `Inference-Header-Content-Length`, None without it.
        started: `time.monotonic()` seconds of its first byte, from which a client's timeout counts.
        encoding: `Content-Encoding`, None without it.
        max_inflated_bytes: Of a body that comes compressed.
        id: The client's own, to be repeated; empty if there is none.
        outputs: Those to answer.
    """

    body: bytes
    header: bytes | None
    started: float
    encoding: bytes | None = None
    max_inflated_bytes: int = 0
    id: str = ""
    outputs: tuple[RequestedOutput, ...] = ()

    @property
    def answer_type(self) -> bytes:
        """The outputs, and how each is written."""
        names = ",".join(
            f"{output.index}{'b' if output.binary else 'j'}" for output in self.outputs
        )
        return b"oip;" + names.encode()

    def decode(self, model: Model) -> DecodedRequest:
        """Bytes to checked arrays, and what the client asks for beside them."""
        return self._accept(model, model.infer_reader.read(self.body, self.header))

    def decode_in_steps(self, model: Model) -> Steps[DecodedRequest]:
        """Likewise; what comes compressed is inflated before."""
        if self.encoding is not None:
            self.body = yield from inflate(self.body, self.encoding, self.max_inflated_bytes)
        if not is_heavy_infer(self.body, self.header):
            return self.decode(model)
        request = yield from model.infer_reader.read_in_steps(self.body, self.header)
        return self._accept(model, request)

    def _accept(self, model: Model, request: InferRequest) -> DecodedRequest:
        self.id, self.outputs = request.id, request.outputs
        if request.timeout_seconds is not None:
            self.deadline = min(self.deadline, self.started + request.timeout_seconds)
        num_levels = model.metadata.priority_levels
        if request.priority is not None and num_levels is not None:
            self.head_start = head_start(request.priority, num_levels)
        num_rows = model.count_rows(request.inputs)
        use_cache = request.use_cache
        if use_cache is None:
            use_cache = model.metadata.cache is True
        return DecodedRequest(request.inputs, num_rows, use_cache, None)

    def encode(self, model: Model, request: DecodedRequest, result: RunResult) -> bytes:
        """The outputs asked for; the id goes in last (`infer_answer.with_id`)."""
        return write_answer(model.name, model.version, self._written(model, result))

    def encode_in_steps(
        self, model: Model, request: DecodedRequest, result: RunResult
    ) -> Steps[list[bytes]]:
        """Likewise."""
        written = self._written(model, result)
        return (yield from write_in_steps(model.name, model.version, written))

    def _written(self, model: Model, result: RunResult) -> list[WrittenOutput]:
        arrays, specs = result.outputs, model.outputs
        return [WrittenOutput(specs[o.index], arrays[o.index], o.binary) for o in self.outputs]
