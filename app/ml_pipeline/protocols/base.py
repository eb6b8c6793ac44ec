"""What every protocol gives the hot path: a call to be decoded, and then what it asks.

A `Call` is read no further than its head, for until its model is found nobody knows what its body
has to be. Decoded, it is an `Ask`, which is of no protocol but for the `Writer` of its answer. None
of them is ever changed; what is learned on the way stands in `timings.py`.
"""

from typing import Protocol

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.engine.wire.turns import Steps


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What a client asks of a model, decoded and checked.

    Attributes:
        inputs: By name, `[b, …]` each.
        num_rows: b.
        use_cache: Whether the answer may come from a cache, and stay there.
        cache_ttl: Seconds that it may stay; None for the server's default.
        deadline: `time.monotonic()` seconds, after which an answer is of no use.
        writer: Writes the answer.
        head_start: Seconds that its rows are taken to have come sooner than they did.
        id: The client's own name for it, to be repeated; empty if there is none.
    """

    inputs: Tensors
    num_rows: int
    use_cache: bool
    cache_ttl: int | None
    deadline: float
    writer: "Writer"
    head_start: float = 0.0
    id: str = ""


class Writer(Protocol):
    """Writes answers in one protocol's form, the same for all who ask the same."""

    @property
    def answer_type(self) -> bytes:
        """Names the form: requests of the same inputs and this share one answer."""
        ...

    def encode(self, model: Model, ask: Ask, result: RunResult) -> bytes:
        """Outputs to bytes."""
        ...

    def encode_in_steps(self, model: Model, ask: Ask, result: RunResult) -> Steps[list[bytes]]:
        """The same of many values, in pieces."""
        ...

    def for_cache(self, answer: bytes) -> bytes:
        """Turn the last piece of a fresh answer, or all of it, into what a cache hit gives."""
        ...


class Call(Protocol):
    """What a client has sent to a model, its body unread."""

    @property
    def model_name(self) -> str | None:
        """As asked for; None for the only one."""
        ...

    @property
    def model_version(self) -> str | None:
        """As asked for; None for the one that is served by default."""
        ...

    @property
    def deadline(self) -> float:
        """`time.monotonic()` seconds, as far as it is known without the body."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether the body has to be read in pieces (`engine/wire/heavy.py`)."""
        ...

    def decode(self, model: Model) -> Ask:
        """Bytes to checked arrays.

        Raises:
            InferenceError: What is wrong with them.
        """
        ...

    def decode_in_steps(self, model: Model) -> Steps[Ask]:
        """Bytes to checked arrays, of a body that is heavy.

        Raises:
            InferenceError: What is wrong with them.
        """
        ...
