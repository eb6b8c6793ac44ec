"""From a call to what it asks, and from that to an answer: decode, run in a batch, encode.

Each step notes how long it took. What is kept of answers is `answer_cache.py`.
"""

import asyncio
from time import monotonic, perf_counter

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.wire.json_pieces import is_heavy_answer
from ml_pipeline.engine.wire.long_answer import joined
from ml_pipeline.engine.wire.turns import Steps, Turns
from ml_pipeline.protocols.base import Ask, Call, Writer
from ml_pipeline.protocols.timings import Timings

Answer = tuple[bytes, bytes]
"""What is sent, and what a cache keeps of it; the latter is empty where it is not to be kept."""


def decode(model: Model, call: Call, timings: Timings) -> Ask:
    """Bytes to checked arrays.

    Raises:
        InferenceError: What is wrong with them.
    """
    started = perf_counter()
    ask = call.decode(model)  # inputs, such as float32 [b, F], checked
    timings.num_rows = ask.num_rows
    timings.decode_seconds = perf_counter() - started
    return ask


def decode_in_steps(model: Model, call: Call, timings: Timings) -> Steps[Ask]:
    """Decode a body that keeps the event loop for too long in one go.

    Raises:
        InferenceError: What is wrong with it.
    """
    started = perf_counter()
    ask = yield from call.decode_in_steps(model)
    timings.num_rows = ask.num_rows
    timings.decode_seconds = perf_counter() - started
    return ask


class Inference:
    """Computes answers.

    Attributes:
        turns: Of whatever reads or writes a large body.
    """

    def __init__(self) -> None:
        self.turns = Turns()

    async def compute(self, model: Model, ask: Ask, timings: Timings, keep: bool) -> Answer:
        """Run the rows, perhaps with others', and encode the outputs.

        Raises:
            InferenceError: The rows were not run, or the answer not written in time.
        """
        inputs = ask.inputs
        try:
            result = await model.batcher.run(
                inputs,
                ask.num_rows,
                deadline=ask.deadline,
                group=model.group(inputs),
                head_start=ask.head_start,
                whole=len(inputs) > len(model.inputs),
            )
        except BaseException:  # too late, say, or its client has left: it has waited all the same
            waited = monotonic() - timings.arrived - timings.decode_seconds - timings.cache_seconds
            timings.queue_seconds = max(waited, 0.0)
            raise
        if is_long(model, ask, result):
            return await self.encode_long(model, ask, timings, result, keep)
        return encode(model, ask, timings, result, keep)

    def submit(self, model: Model, ask: Ask) -> asyncio.Future[RunResult]:
        """Queue the rows of one request of many; `encode` makes its answer.

        Raises:
            InferenceError: They cannot be queued.
        """
        inputs = ask.inputs
        return model.batcher.submit(
            inputs, ask.num_rows, deadline=ask.deadline, group=model.group(inputs)
        )

    async def encode_long(
        self, model: Model, ask: Ask, timings: Timings, result: RunResult, keep: bool
    ) -> Answer:
        """Outputs to bytes, of a long answer: in pieces.

        Raises:
            DeadlineExceeded: It passed before all pieces were there.
        """
        timings.queue_seconds, timings.run_seconds = result.queue_seconds, result.run_seconds
        timings.batch_rows = result.shared.num_rows
        started, writer = perf_counter(), ask.writer
        writing = writer.encode_in_steps(model, ask, result)
        pieces = await self.turns.take(writing, ask.deadline)
        answer = await joined(pieces)
        timings.encode_seconds = perf_counter() - started
        return answer, await _kept(pieces, answer, writer) if keep else b""


def is_long(model: Model, ask: Ask, result: RunResult) -> bool:
    """Whether an answer has so many values that the event loop would stand still."""
    return ask.num_rows > model.light_rows and is_heavy_answer(result.outputs)


def encode(model: Model, ask: Ask, timings: Timings, result: RunResult, keep: bool) -> Answer:
    """Outputs to bytes, of an answer that is not long."""
    timings.queue_seconds, timings.run_seconds = result.queue_seconds, result.run_seconds
    timings.batch_rows = result.shared.num_rows
    started, writer = perf_counter(), ask.writer
    answer = writer.encode(model, ask, result)
    timings.encode_seconds = perf_counter() - started
    return answer, writer.for_cache(answer) if keep else b""


async def _kept(pieces: list[bytes], answer: bytes, writer: Writer) -> bytes:
    """Join what a cache keeps of a long answer, unless it is the answer itself."""
    last = writer.for_cache(pieces[-1])
    return answer if last is pieces[-1] else await joined([*pieces[:-1], last])
