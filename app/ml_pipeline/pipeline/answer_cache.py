"""Answers that need no run of their own: stored ones, and those that are computed for others.

It serves one request (`predictor.py`) and many in one body (`batch_predictor.py`) alike: key, look
up, share what is under way, store.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic, perf_counter

from ml_pipeline.cache.base import Hit, LookupBudget, ResponseCache
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.wire.cache_key import cache_key, cache_key_in_steps
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import DeadlineExceeded, Overloaded
from ml_pipeline.pipeline.inference import Inference
from ml_pipeline.pipeline.single_flight import SingleFlight
from ml_pipeline.protocols.base import Ask
from ml_pipeline.protocols.timings import Timings


class AnswerCache:
    """Answers by the content of what is asked. Event loop only.

    Args:
        cache: Encoded answers by key.
        inference: Computes what is nowhere.
        default_ttl_seconds: For requests that name no `cache_ttl`.
        max_ttl_seconds: Bound on any.
        caching: Whether answers are cached at all.
    """

    def __init__(
        self,
        cache: ResponseCache,
        inference: Inference,
        *,
        default_ttl_seconds: float,
        max_ttl_seconds: float,
        caching: bool = True,
    ) -> None:
        self._cache = cache
        self._inference = inference
        self._default_ttl_seconds = default_ttl_seconds
        self._max_ttl_seconds = max_ttl_seconds
        self._caching = caching
        self._flights: SingleFlight[bytes] = SingleFlight((DeadlineExceeded, Overloaded))

    # The key.

    def key(self, model: Model, ask: Ask, timings: Timings) -> bytes | None:
        """Make the key of an answer; None if it is not to be cached."""
        if not (self._caching and ask.use_cache and model.cacheable):
            return None
        started = perf_counter()
        key = cache_key(model.identity, ask.inputs, ask.writer.answer_type)
        timings.cache_seconds = perf_counter() - started
        return key

    def key_in_steps(self, model: Model, ask: Ask, timings: Timings) -> Steps[bytes | None]:
        """Make the key of a large request's answer; None if it is not to be cached."""
        if not (self._caching and ask.use_cache and model.cacheable):
            return None
        started = perf_counter()
        key, identity = b"", b""
        while identity != model.identity:  # a new one, if its rows were found out meanwhile
            identity = model.identity
            key = yield from cache_key_in_steps(identity, ask.inputs, ask.writer.answer_type)
        timings.cache_seconds = perf_counter() - started
        return key

    # Looking up.

    def peek(self, key: bytes, timings: Timings) -> bytes | None:
        """Look where it costs no wait."""
        if (hit := self._cache.peek(key)) is None:
            return None
        timings.cache_state = hit.tier
        return hit.value

    async def look_up_many(
        self, model: Model, asks: Sequence[Ask], keys: Sequence[bytes], timings: Timings
    ) -> list[Hit | None]:
        """Look everywhere for answers of one form, in one round trip; one entry a key.

        Args:
            model: Of all.
            asks: One or more, all with the deadline of the batch.
            keys: Theirs.
            timings: Of the batch.
        """
        budget = _budget(model, asks[0], sum(ask.num_rows for ask in asks))
        started = perf_counter()
        hits = await self._cache.get_many(keys, budget)
        timings.cache_seconds += perf_counter() - started
        return hits

    # One computation for all who ask the same.

    async def share(
        self, model: Model, ask: Ask, timings: Timings, key: bytes, *, looked_far: bool = False
    ) -> bytes:
        """Share what is under way for an equal request; else look farther, compute and store.

        Raises:
            InferenceError: It was not computed, or not in time.
        """
        timings.cache_state = "miss"
        answer, shared = await self._flights.run(
            key, ask.deadline, self._look_far_or_compute, model, ask, timings, key, looked_far
        )
        if shared:
            timings.cache_state = "coalesced"
        return answer

    async def _look_far_or_compute(
        self, model: Model, ask: Ask, timings: Timings, key: bytes, looked_far: bool
    ) -> bytes:
        if not looked_far and self._cache.waits:
            budget = _budget(model, ask, ask.num_rows)
            started = perf_counter()
            hit = await self._cache.get(key, budget)
            timings.cache_seconds += perf_counter() - started
            if hit is not None:
                timings.cache_state = hit.tier
                return hit.value
        answer, kept = await self._inference.compute(model, ask, timings, True)
        self.store(model, ask, timings, key, kept)
        return answer

    def follow_or_lead(
        self, ask: Ask, timings: Timings, key: bytes
    ) -> asyncio.Future[bytes | None] | None:
        """Wait for an equal request, as one of many.

        Returns:
            Its answer, or None if it left without one. Without any such request there is nothing to
            wait for: the caller leads, and must `land` whatever happens.
        """
        if (flight := self._flights.join(key, ask.deadline)) is None:
            timings.cache_state = "miss"
            self._flights.lead(key, ask.deadline)
        return flight

    def land(self, key: bytes, outcome: bytes | BaseException) -> None:
        """Tell those who wait for the caller's answer."""
        self._flights.land(key, outcome)

    # Storing.

    def store(self, model: Model, ask: Ask, timings: Timings, key: bytes, kept: bytes) -> None:
        """Keep an answer for whoever asks the same, as far as neighbours had no part in it."""
        shareable = True
        if model.proof is not None and timings.batch_rows > ask.num_rows:
            if (keeping := model.proof.keeping) == "nowhere":
                return
            shareable = keeping == "everywhere"
        ttl_seconds = min(ask.cache_ttl or self._default_ttl_seconds, self._max_ttl_seconds)
        self._cache.put(key, kept, ttl_seconds, _budget(model, ask, ask.num_rows, shareable))


def _budget(model: Model, ask: Ask, num_rows: int, shareable: bool = True) -> LookupBudget:
    """Half of the time that is left may go into a look-up: a miss needs the rest."""
    return LookupBudget(
        ask.writer.answer_type,
        model.name,
        model.curve.predict(num_rows),
        (ask.deadline - monotonic()) / 2,
        shareable,
    )
