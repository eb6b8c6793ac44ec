"""`POST /v2/models/NAME/infer`: the Open Inference Protocol."""

from app.call.base import Call
from app.engine.batch_queue import RunResult, head_start
from app.engine.codec import DecodedRequest
from app.engine.infer_answer import WrittenOutput, write_answer
from app.engine.infer_request import RequestedOutput
from app.engine.model import Model


class InferCall(Call, gc=False, kw_only=True):
    """Tensors for any number of inputs.

    Attributes:
        body: As received.
        header: `Inference-Header-Content-Length`, None without it.
        started: `time.monotonic()` seconds of its first byte, from which a client's timeout counts.
        id: The client's own, to be repeated; empty if there is none.
        outputs: Those to answer.
    """

    body: bytes
    header: bytes | None
    started: float
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
        request = model.infer_reader.read(self.body, self.header)
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
        arrays, specs = result.outputs, model.outputs
        written = [WrittenOutput(specs[o.index], arrays[o.index], o.binary) for o in self.outputs]
        return write_answer(model.name, model.version, written)
