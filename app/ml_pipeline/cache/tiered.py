"""L1, then L2, fill back: the near tier answers at once, the far one where it can be asked."""

from collections.abc import Sequence
from time import monotonic

from ml_pipeline.cache.base import Hit, LookupBudget, ResponseCache


class TieredCache:
    """Two tiers as one. Event loop only; all state is the tiers'.

    Args:
        near: In this process.
        far: Shared, and slower.
    """

    def __init__(self, near: ResponseCache, far: ResponseCache) -> None:
        self._near = near
        self._far = far

    @property
    def waits(self) -> bool:
        """Whether the far tier can be asked just now."""
        return self._far.waits

    def peek(self, key: bytes) -> Hit | None:
        """Look in the near tier."""
        return self._near.peek(key)

    async def get(self, key: bytes, budget: LookupBudget) -> Hit | None:
        """Look in both, as `get_many` does."""
        if (hit := self._near.peek(key)) is not None or not self._far.waits:
            return hit
        if (hit := await self._far.get(key, budget)) is not None:
            self._fill(key, hit, budget)
        return hit

    async def get_many(self, keys: Sequence[bytes], budget: LookupBudget) -> list[Hit | None]:
        """Look in both; what only the far tier has is near from then on, until it expires there."""
        hits = [self._near.peek(key) for key in keys]
        missing = [index for index, hit in enumerate(hits) if hit is None]
        if not missing or not self._far.waits:
            return hits
        found = await self._far.get_many([keys[index] for index in missing], budget)
        for index, hit in zip(missing, found, strict=True):
            if hit is not None:
                hits[index] = hit
                self._fill(keys[index], hit, budget)
        return hits

    def _fill(self, key: bytes, hit: Hit, budget: LookupBudget) -> None:
        if (ttl_seconds := hit.expires - monotonic()) > 0.0:
            self._near.put(key, hit.value, ttl_seconds, budget)

    def put(self, key: bytes, value: bytes, ttl_seconds: float, budget: LookupBudget) -> None:
        """Store in both."""
        self._near.put(key, value, ttl_seconds, budget)
        self._far.put(key, value, ttl_seconds, budget)

    async def aclose(self) -> None:
        """Flush and let go of both; idempotent."""
        await self._far.aclose()
        await self._near.aclose()
