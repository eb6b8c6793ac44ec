"""What becomes of each request of a `POST /predict/batch`."""

import asyncio

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.signature.schema import FailedMember, to_problem
from ml_pipeline.engine.wire.codec import WireFormat, encode
from ml_pipeline.errors import InferenceError
from ml_pipeline.protocols.base import Ask
from ml_pipeline.protocols.timings import Timings


class Member(msgspec.Struct, gc=False):
    """One request of a batch.

    Attributes:
        timings: Where its time goes.
        answer: In the end, unless there is an error.
        error: Why it has no answer.
    """

    timings: Timings
    answer: bytes | None = None
    error: InferenceError | None = None

    def result(self, request_id: str, wire_format: WireFormat) -> msgspec.Raw:
        """Encode the error if there is one."""
        if self.error is not None:
            failed = FailedMember(to_problem(self.error, request_id))
            return msgspec.Raw(encode(failed, wire_format))
        return msgspec.Raw(self.answer or b"")


class AskedMember(Member, gc=False, kw_only=True):
    """A member that could be decoded, and what became of it so far.

    Attributes:
        ask: What it asks.
        key: None if its answer is not to be cached.
        leads: Whether others who ask the same wait for its run.
        run: What it waits for, if it is computed here.
        flight: What it waits for, if the same is being computed, perhaps for a member before it.
    """

    ask: Ask
    key: bytes | None
    leads: bool = False
    run: asyncio.Future[RunResult] | None = None
    flight: asyncio.Future[bytes | None] | None = None
