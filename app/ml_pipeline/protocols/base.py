"""One request on its way through the hot path, and what is learned of it."""

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.wire.codec import DecodedRequest
from ml_pipeline.engine.wire.turns import Steps


class Call(msgspec.Struct, gc=False):
    """Of no protocol yet: its kinds say how it is read and written.

    Attributes:
        model_name: As asked for, then as answered; None for the only one.
        model_version: Likewise; None for the one that is served by default.
        deadline: `time.monotonic()` seconds.
        arrived: Likewise: when it had been read whole.
        head_start: Seconds that its rows are taken to have come sooner than they did.
        num_rows: Rows in the body.
        cache_state: `l1`, `redis`, `coalesced`, `miss` or `bypass`.
        decode_seconds: Bytes to checked arrays.
        cache_seconds: Key and look-up.
        queue_seconds: From the queue to the start of the run, or to the failure of a request that
            was not answered; 0 without either.
        run_seconds: The run, shared by all of its batch; 0 without a run.
        encode_seconds: Outputs to bytes; 0 without a run.
        batch_rows: Of the run, its own and others'; 0 without a run.
        found: Whether name and version are those of a model that is served.
        heavy: Whether its body has to be read in pieces (`engine/heavy.py`).
        kept: The pieces of what a cache gets in place of a long answer; None if it gets the same.
    """

    model_name: str | None
    model_version: str | None
    deadline: float
    arrived: float
    head_start: float = 0.0
    num_rows: int = 0
    cache_state: str = "bypass"
    decode_seconds: float = 0.0
    cache_seconds: float = 0.0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    encode_seconds: float = 0.0
    batch_rows: int = 0
    found: bool = False
    heavy: bool = False
    kept: list[bytes] | None = None

    @property
    def answer_type(self) -> bytes:
        """Names what is answered: requests of the same inputs and this share one answer."""
        raise NotImplementedError

    def decode(self, model: Model) -> DecodedRequest:
        """Bytes to checked arrays.

        Raises:
            InferenceError: What is wrong with them.
        """
        raise NotImplementedError

    def decode_in_steps(self, model: Model) -> Steps[DecodedRequest]:
        """Bytes to checked arrays, of a body that is heavy.

        Raises:
            InferenceError: What is wrong with them.
        """
        raise NotImplementedError

    def encode(self, model: Model, request: DecodedRequest, result: RunResult) -> bytes:
        """Outputs to bytes, the same for all who ask the same."""
        raise NotImplementedError

    def encode_in_steps(
        self, model: Model, request: DecodedRequest, result: RunResult
    ) -> Steps[list[bytes]]:
        """The same of many values, in pieces."""
        raise NotImplementedError

    def for_cache(self, answer: bytes) -> bytes:
        """Turn a fresh answer into the one a cache hit gives."""
        return answer
