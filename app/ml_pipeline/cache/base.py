"""The contract of a response cache: bytes by key, with a time to live.

A cache is never wrong (keys are digests of everything that decides an answer) and never in the way:
a tier that cannot answer says "not here", it does not raise. `memory.py`, `redis.py` and
`tiered.py` keep the contract.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A cached value.

    Not a tuple: the collector would walk every one of a full cache.

    Attributes:
        value: As it was stored.
        tier: Where it was found, as `X-Cache` tells it.
        expires: `time.monotonic()` seconds.
    """

    value: bytes
    tier: str
    expires: float


class LookupBudget(msgspec.Struct, frozen=True, gc=False):
    """What a look-up is for and may cost, so that a tier can tell whether it is worth its time.

    Attributes:
        content_type: Of the value, as HTTP names it; a stored one of another is a miss.
        group: Look-ups whose hit rate is counted together: one model's.
        compute_seconds: What a miss costs: a slower tier may be left out.
        max_wait_seconds: A longer wait is of no use.
        shareable: Whether a tier that other processes read may store the value.
    """

    content_type: bytes
    group: str
    compute_seconds: float
    max_wait_seconds: float
    shareable: bool = True


class CacheStatistics(NamedTuple):
    """Snapshot of what is held in this process."""

    num_entries: int
    num_bytes: int
    num_evicted: int


class RedisStatistics(NamedTuple):
    """Snapshot of what is asked of Redis.

    Attributes:
        state: Of the circuit breaker.
        num_keys: By result: `hit`, `miss`, `unreadable`, `unanswered`, `left_out`.
        num_failures: By kind: `timeout`, `connection`, `refused`, `replica`, `misfit`.
        num_dropped: Stores that were not made.
        num_not_signed: Announcements that were not believed.
    """

    state: str
    num_keys: Mapping[str, int]
    num_failures: Mapping[str, int]
    num_dropped: int
    num_not_signed: int = 0


class ResponseCache(Protocol):
    """Values by key. Event loop only."""

    @property
    def waits(self) -> bool:
        """Whether `get_many` looks farther than `peek` just now, so that it may have to wait."""
        ...

    def peek(self, key: bytes) -> Hit | None:
        """Look where it costs no wait. A miss is None; an expired value is a miss."""
        ...

    async def get(self, key: bytes, budget: LookupBudget) -> Hit | None:
        """Look everywhere for one key: `get_many` without its lists, for the hot path."""
        ...

    async def get_many(self, keys: Sequence[bytes], budget: LookupBudget) -> list[Hit | None]:
        """Look everywhere, all keys in one go; one entry a key, in their order."""
        ...

    def put(self, key: bytes, value: bytes, ttl_seconds: float, budget: LookupBudget) -> None:
        """Store, replacing what is there; never waits. May forget at any time, early too."""
        ...

    async def aclose(self) -> None:
        """Flush and let go; idempotent."""
        ...
