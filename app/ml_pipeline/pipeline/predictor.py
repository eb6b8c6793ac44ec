"""THE HOT PATH: decode → key → cache → batch → run → encode. Bytes in, bytes out.

`Predictor.predict` reads in the order of time. What surrounds it (HTTP, metrics, logs) is `web/`;
what each step does is `engine/` and `cache/`, which meet only here. A `Call` carries one request
through, knows its protocol, and collects where its time went.
"""

from time import monotonic, perf_counter

import msgspec

from ml_pipeline.cache.base import LookupBudget, ResponseCache
from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.wire.cache_key import cache_key, cache_key_in_steps
from ml_pipeline.engine.wire.codec import DecodedRequest
from ml_pipeline.engine.wire.json_pieces import is_heavy_answer
from ml_pipeline.engine.wire.long_answer import joined
from ml_pipeline.engine.wire.turns import Steps, Turns
from ml_pipeline.errors import DeadlineExceeded, Overloaded
from ml_pipeline.pipeline.single_flight import SingleFlight
from ml_pipeline.protocols.base import Call


class Predictor:
    """Answers predictions.

    Args:
        repository: The models.
        cache: Encoded answers by key.
        default_ttl_seconds: For requests that name no `cache_ttl`.
        max_ttl_seconds: Bound on any.
        caching: Whether answers are cached at all.
    """

    def __init__(
        self,
        repository: Repository,
        cache: ResponseCache,
        *,
        default_ttl_seconds: float,
        max_ttl_seconds: float,
        caching: bool = True,
    ) -> None:
        self.repository = repository
        self.cache = cache
        self._default_ttl_seconds = default_ttl_seconds
        self._max_ttl_seconds = max_ttl_seconds
        self._caching = caching
        self.turns = Turns()
        self.flights: SingleFlight[bytes] = SingleFlight((DeadlineExceeded, Overloaded))

    async def predict(self, call: Call) -> bytes:
        """Answer one request.

        Raises:
            InferenceError: Any of the tree in `errors.py` but the load errors.
        """
        with self.repository.get(call.model_name, call.model_version) as model:
            if call.heavy:
                request, key = await self.turns.take(self.open_heavy(model, call), call.deadline)
            else:
                request = self.decode(model, call)
                key = self.key(model, request, call)
            if key is None:
                return await self._compute(model, request, call)
            if (hit := self.cache.peek(key)) is not None:
                call.cache_state = hit.tier
                return hit.value
            return await self.compute_once(model, request, call, key)

    # The steps, which `request_batch.py` takes with many requests at once.

    def decode(self, model: Model, call: Call) -> DecodedRequest:
        """Bytes to checked arrays.

        Raises:
            InferenceError: What is wrong with them.
        """
        started = perf_counter()
        call.model_name, call.model_version, call.found = model.name, model.version, True
        request = call.decode(model)  # inputs, such as float32 [b, F], checked
        call.num_rows = request.num_rows
        call.decode_seconds = perf_counter() - started
        return request

    def key(self, model: Model, request: DecodedRequest, call: Call) -> bytes | None:
        """Make the key of a request's answer; None if it is not to be cached."""
        if not (self._caching and request.use_cache and model.cacheable):
            return None
        started = perf_counter()
        key = cache_key(model.identity, request.inputs, call.answer_type)
        call.cache_seconds = perf_counter() - started
        return key

    def open_heavy(self, model: Model, call: Call) -> Steps[tuple[DecodedRequest, bytes | None]]:
        """Decode and make the key, of a body that keeps the event loop for too long in one go.

        Raises:
            InferenceError: What is wrong with it.
        """
        started = perf_counter()
        call.model_name, call.model_version, call.found = model.name, model.version, True
        request = yield from call.decode_in_steps(model)
        call.num_rows = request.num_rows
        call.decode_seconds = perf_counter() - started
        yield
        if not (self._caching and request.use_cache and model.cacheable):
            return request, None
        started = perf_counter()
        key, identity = b"", b""
        while identity != model.identity:  # a new one, if its rows were found out meanwhile
            identity = model.identity
            key = yield from cache_key_in_steps(identity, request.inputs, call.answer_type)
        call.cache_seconds = perf_counter() - started
        return request, key

    async def compute_once(
        self,
        model: Model,
        request: DecodedRequest,
        call: Call,
        key: bytes,
        *,
        looked_far: bool = False,
    ) -> bytes:
        """Look farther, else compute and store; or share what is under way for an equal request."""
        call.cache_state = "miss"
        answer, shared = await self.flights.run(
            key, call.deadline, self._look_far_or_compute, model, request, call, key, looked_far
        )
        if shared:
            call.cache_state = "coalesced"
        return answer

    async def _look_far_or_compute(
        self, model: Model, request: DecodedRequest, call: Call, key: bytes, looked_far: bool
    ) -> bytes:
        budget = self.budget(model, request.num_rows, call)
        if not looked_far and self.cache.waits:
            started = perf_counter()
            hit = await self.cache.get(key, budget)
            call.cache_seconds += perf_counter() - started
            if hit is not None:
                call.cache_state = hit.tier
                return hit.value
        answer = await self._compute(model, request, call)
        kept = call.for_cache(answer) if call.kept is None else await joined(call.kept)
        self.store(model, request, call, key, kept, budget)
        return answer

    def store(
        self,
        model: Model,
        request: DecodedRequest,
        call: Call,
        key: bytes,
        kept: bytes,
        budget: LookupBudget,
    ) -> None:
        """Keep an answer for whoever asks the same, as far as neighbours had no part in it."""
        if model.proof is not None and call.batch_rows > request.num_rows:
            if (keeping := model.proof.keeping) == "nowhere":
                return
            budget = msgspec.structs.replace(budget, shareable=keeping == "everywhere")
        ttl_seconds = min(request.cache_ttl or self._default_ttl_seconds, self._max_ttl_seconds)
        self.cache.put(key, kept, ttl_seconds, budget)

    @staticmethod
    def budget(model: Model, num_rows: int, call: Call) -> LookupBudget:
        """Half of the time that is left may go into a look-up: a miss needs the rest."""
        return LookupBudget(
            call.answer_type,
            model.name,
            model.curve.predict(num_rows),
            (call.deadline - monotonic()) / 2,
        )

    async def _compute(self, model: Model, request: DecodedRequest, call: Call) -> bytes:
        """Batch, run, read and encode."""
        inputs = request.inputs
        try:
            result = await model.batcher.run(
                inputs,
                request.num_rows,
                deadline=call.deadline,
                group=model.group(inputs),
                head_start=call.head_start,
                whole=len(inputs) > len(model.inputs),
            )
        except BaseException:  # too late, say, or its client has left: it has waited all the same
            waited = monotonic() - call.arrived - call.decode_seconds - call.cache_seconds
            call.queue_seconds = max(waited, 0.0)
            raise
        if request.num_rows > model.light_rows and is_heavy_answer(result.outputs):
            return await self.encode_heavy(model, request, call, result)
        return self.encode(model, request, call, result)

    @staticmethod
    def encode(model: Model, request: DecodedRequest, call: Call, result: RunResult) -> bytes:
        """Outputs to bytes."""
        call.queue_seconds, call.run_seconds = result.queue_seconds, result.run_seconds
        call.batch_rows = result.shared.num_rows
        started = perf_counter()
        answer = call.encode(model, request, result)
        call.encode_seconds = perf_counter() - started
        return answer

    async def encode_heavy(
        self, model: Model, request: DecodedRequest, call: Call, result: RunResult
    ) -> bytes:
        """Outputs to bytes, of so many values that it is done in pieces."""
        call.queue_seconds, call.run_seconds = result.queue_seconds, result.run_seconds
        call.batch_rows = result.shared.num_rows
        started = perf_counter()
        writing = call.encode_in_steps(model, request, result)
        answer = await joined(await self.turns.take(writing, call.deadline))
        call.encode_seconds = perf_counter() - started
        return answer
