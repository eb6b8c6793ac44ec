"""The contract of a response cache: bytes by key, with a time to live.

A cache is never wrong (keys are digests of everything that decides an answer) and never in the way:
a tier that cannot answer says "not here", it does not raise. `memory.py` keeps the contract.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A cached value and the tier it came from, as `X-Cache` tells it.

    Not a tuple: the collector would walk every one of a full cache.
    """

    value: bytes
    tier: str


class CacheStatistics(NamedTuple):
    """Snapshot of a tier."""

    num_entries: int
    num_bytes: int
    num_evicted: int


class ResponseCache(Protocol):
    """Values by key. Event loop only."""

    def peek(self, key: bytes) -> Hit | None:
        """Look where it costs no wait. A miss is None; an expired value is a miss."""
        ...

    async def get_many(self, keys: Sequence[bytes]) -> list[Hit | None]:
        """Look everywhere, all keys in one go; one entry a key, in their order."""
        ...

    def put(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """Store, replacing what is there; never waits. May forget at any time, early too."""
        ...

    def statistics(self) -> CacheStatistics:
        """Count what is held in this process."""
        ...

    async def aclose(self) -> None:
        """Flush and let go; idempotent."""
        ...
