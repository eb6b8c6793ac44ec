"""L1, then L2, fill back: the near tier answers at once, the far one is asked where that pays."""

from collections.abc import Sequence
from time import monotonic

from app.cache.base import CacheStatistics, Hit, ResponseCache, Terms
from app.cache.payoff import Payoff


class TieredCache:
    """Two tiers as one. Event loop only; all state is the tiers' and the payoff's.

    Args:
        near: In this process.
        far: Shared, and slower.
        payoff: Decides whether the far tier is worth asking.
    """

    def __init__(self, near: ResponseCache, far: ResponseCache, payoff: Payoff) -> None:
        self._near = near
        self._far = far
        self._payoff = payoff

    @property
    def waits(self) -> bool:
        """Whether the far tier can be asked just now."""
        return self._far.waits

    def peek(self, key: bytes) -> Hit | None:
        """Look in the near tier."""
        return self._near.peek(key)

    async def get_many(self, keys: Sequence[bytes], terms: Terms) -> list[Hit | None]:
        """Look in both; what only the far tier has is near from then on, until it expires there."""
        hits = [self._near.peek(key) for key in keys]
        missing = [index for index, hit in enumerate(hits) if hit is None]
        asked = [index for index in missing if self._payoff.asks(keys[index], terms)]
        self._payoff.num_left_out += len(missing) - len(asked)
        if not asked or not self._far.waits:
            return hits
        found = await self._far.get_many([keys[index] for index in asked], terms)
        self._payoff.observe(terms.group, found)
        now = monotonic()
        for index, hit in zip(asked, found, strict=True):
            if hit is not None:
                hits[index] = hit
                self._near.put(keys[index], hit.value, hit.expires - now, terms)
        return hits

    def put(self, key: bytes, value: bytes, ttl_seconds: float, terms: Terms) -> None:
        """Store in both; in the far tier only where it would be looked for."""
        self._near.put(key, value, ttl_seconds, terms)
        if self._far.waits and self._payoff.asks(key, terms):
            self._far.put(key, value, ttl_seconds, terms)

    def statistics(self) -> CacheStatistics:
        """Count what the near tier holds."""
        return self._near.statistics()

    async def aclose(self) -> None:
        """Flush and let go of both; idempotent."""
        await self._far.aclose()
        await self._near.aclose()
