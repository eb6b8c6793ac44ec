"""L2: Redis, shared by all replicas; asked where that pays, and never in the way.

Look-ups of one turn of the event loop go out as one `MGET` (`redis_lookups.py`), stores behind the
answers, many `SET … EX` in one write (`redis_lanes.py`). Whatever goes wrong is a miss, counted: a
look-up waits for a round trip of `timeout_seconds` and the one before it at most, and not at all
while the breaker is open. What stands in Redis is `envelope.py`, whether to ask `lookup_policy.py`.
"""

import asyncio
import random
from binascii import hexlify
from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from time import monotonic, time

from ml_pipeline.cache.base import Hit, LookupBudget, RedisStatistics
from ml_pipeline.cache.envelope import seal, unseal
from ml_pipeline.cache.lookup_policy import LookupPolicy
from ml_pipeline.cache.memory import TTL_JITTER
from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.cache.redis_lanes import RedisLanes
from ml_pipeline.cache.redis_lookups import MAX_KEYS, Values

KEY_PREFIX = b"ml_pipeline:answer:"


class RedisCache:
    """Event loop only. Mutable state: the lanes', and the counts.

    Args:
        endpoint: Where it is.
        timeout_seconds: For a round trip of look-ups.
        on_change: Told when Redis is lost and found, with the reason.
        on_round_trip: Told each one's operation, `read` or `write`, and seconds.
        always: Ask for every key, whether it pays or not.
    """

    def __init__(
        self,
        endpoint: RedisEndpoint,
        *,
        timeout_seconds: float,
        on_change: Callable[[bool, str], None],
        on_round_trip: Callable[[str, float], None],
        always: bool = True,
    ) -> None:
        self._lanes = RedisLanes(
            endpoint,
            timeout_seconds=timeout_seconds,
            on_change=on_change,
            on_round_trip=on_round_trip,
        )
        self._policy = LookupPolicy(lambda: self._lanes.lookups.round_trip_seconds, always=always)
        self._num_keys: Counter[str] = Counter()

    async def start(self) -> None:
        """Connect, or begin to try."""
        await self._lanes.start()

    @property
    def waits(self) -> bool:
        """Whether Redis can be asked just now."""
        return self._lanes.available

    def peek(self, key: bytes) -> Hit | None:
        """Nothing is here."""
        return None

    async def get(self, key: bytes, budget: LookupBudget) -> Hit | None:
        """Ask for a key, if it is worth it, in a round trip shared with others of this turn."""
        if not self._lanes.available:
            return None
        if not self._policy.asks(key, budget):
            self._num_keys["left_out"] += 1
            return None
        values = await self._lanes.lookups.ask((_name(key),), budget.max_wait_seconds)
        if values is None:
            self._num_keys["unanswered"] += 1
            return None
        hit = self._open(key, values[0], budget.content_type)
        self._policy.observe(budget.group, 1, int(hit is not None))
        return hit

    async def get_many(self, keys: Sequence[bytes], budget: LookupBudget) -> list[Hit | None]:
        """Ask for all keys that are worth it in one round trip, shared with others of this turn."""
        hits: list[Hit | None] = [None] * len(keys)
        if not self._lanes.available:
            return hits
        asked = [index for index, key in enumerate(keys) if self._policy.asks(key, budget)]
        self._num_keys["left_out"] += len(keys) - len(asked)
        if not asked:
            return hits
        values = await self._ask([_name(keys[index]) for index in asked], budget.max_wait_seconds)
        if values is None:
            self._num_keys["unanswered"] += len(asked)
            return hits
        found = 0
        for index, sealed in zip(asked, values, strict=True):
            if (hit := self._open(keys[index], sealed, budget.content_type)) is not None:
                hits[index] = hit
                found += 1
        self._policy.observe(budget.group, len(asked), found)
        return hits

    async def _ask(self, names: list[bytes], timeout_seconds: float) -> Values | None:
        if len(names) <= MAX_KEYS:
            return await self._lanes.lookups.ask(names, timeout_seconds)
        parts = [names[start : start + MAX_KEYS] for start in range(0, len(names), MAX_KEYS)]
        ask = self._lanes.lookups.ask
        answers = await asyncio.gather(*(ask(part, timeout_seconds) for part in parts))
        if any(answer is None for answer in answers):
            return None
        return [value for answer in answers if answer is not None for value in answer]

    def _open(self, key: bytes, sealed: object, content_type: bytes) -> Hit | None:
        if sealed is None:
            self._num_keys["miss"] += 1
            return None
        unsealed = unseal(key, sealed, content_type) if type(sealed) is bytes else None
        if unsealed is None:
            self._num_keys["unreadable"] += 1
            return None
        self._num_keys["hit"] += 1
        value, expires, lifetime_seconds = unsealed
        left_seconds = expires - time()
        if left_seconds > lifetime_seconds:  # one of the two clocks was set meanwhile
            left_seconds = 0.0
        # Redis' clock decides whether it has: ours decides only how long it is kept here.
        return Hit(value, "redis", monotonic() + left_seconds)

    def put(self, key: bytes, value: bytes, ttl_seconds: float, budget: LookupBudget) -> None:
        """Store behind the answer, where it would be looked for; expiry is early by up to 10 %.

        What is not shareable is not stored.
        """
        if not (budget.shareable and self._policy.asks(key, budget)):
            return
        ttl_seconds = max(1.0, ttl_seconds * (1.0 - TTL_JITTER * random.random()))
        expires = int(time() + ttl_seconds)
        sealed = seal(key, value, budget.content_type, expires, ceil(ttl_seconds))
        self._lanes.store(_name(key), sealed, monotonic() + ttl_seconds)

    def redis_statistics(self) -> RedisStatistics:
        """Tell how it goes."""
        lanes = self._lanes
        return RedisStatistics(
            lanes.breaker.state, dict(self._num_keys), dict(lanes.num_failures), lanes.num_dropped
        )

    @property
    def reason(self) -> str:
        """Why Redis cannot be asked just now, in words; empty when it can."""
        return self._lanes.breaker.reason or ("" if self._lanes.available else "connecting")

    @property
    def misfit(self) -> str:
        """Why what REDIS_URL leads to can never be used; empty unless that is known."""
        return self._lanes.misfit

    async def wait_connected(self) -> None:
        """Wait until Redis can be reached."""
        await self._lanes.breaker.wait_closed()

    async def aclose(self) -> None:
        """Make the last stores, as far as they go at once, and disconnect; idempotent."""
        await self._lanes.aclose()

    def __repr__(self) -> str:
        return f"<RedisCache {self._lanes!r}>"


def _name(key: bytes) -> bytes:
    return KEY_PREFIX + hexlify(key)
