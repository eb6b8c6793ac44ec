"""THE HOT PATH: decode → key → cache → batch → run → encode. Bytes in, bytes out.

`Predictor.predict` reads in the order of time. What surrounds it (HTTP, metrics, logs) is `web/`;
what each step does is `engine/` and `cache/`, which meet only here. A `Call` carries one request
through and collects where its time went.
"""

import asyncio
from functools import partial
from time import monotonic, perf_counter
from typing import Any

import msgspec

from app.cache.base import ResponseCache, Terms
from app.cache.single_flight import SingleFlight
from app.engine.batch_queue import RunResult
from app.engine.cache_key import cache_key
from app.engine.codec import (
    DecodedRequest,
    WireFormat,
    decode_batch,
    encode,
    mark_cached,
    rows_for_wire,
)
from app.engine.model import Model
from app.engine.repository import Repository
from app.engine.schema import (
    BatchResponse,
    FailedMember,
    ModelInfo,
    PredictResponse,
    to_problem,
)
from app.errors import DeadlineExceeded, InferenceError, InvalidInput, Overloaded


class Call(msgspec.Struct, gc=False):
    """One request on its way, and what is learned of it.

    Attributes:
        body: As received.
        body_format: How it is written.
        answer_format: How the answer shall be written.
        model_name: As asked for, then as answered.
        deadline: `time.monotonic()` seconds.
        in_batch: Whether it is a member of a batch, so that others come with it.
        num_rows: Rows in the body.
        cache_state: `l1`, `redis`, `coalesced`, `miss` or `bypass`.
        decode_seconds: Bytes to checked arrays.
        cache_seconds: Key and look-up.
        queue_seconds: From the queue to the start of the run; 0 without a run.
        run_seconds: The run, shared by all of its batch; 0 without a run.
    """

    body: bytes | msgspec.Raw
    body_format: WireFormat
    answer_format: WireFormat
    model_name: str | None
    deadline: float
    in_batch: bool = False
    num_rows: int = 0
    cache_state: str = "bypass"
    decode_seconds: float = 0.0
    cache_seconds: float = 0.0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0


class _Member(msgspec.Struct, gc=False):
    """One request of a batch: its call, and what became of it so far."""

    call: Call
    request: DecodedRequest | None = None
    key: bytes | None = None
    answer: bytes | None = None


class Predictor:
    """Answers predictions.

    Args:
        repository: The models.
        cache: Encoded answers by key.
        default_ttl_seconds: For requests that name no `cache_ttl`.
        max_ttl_seconds: Bound on any.
        max_members: Most requests in a batch.
        caching: Whether answers are cached at all.
    """

    def __init__(
        self,
        repository: Repository,
        cache: ResponseCache,
        *,
        default_ttl_seconds: float,
        max_ttl_seconds: float,
        max_members: int,
        caching: bool = True,
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._default_ttl_seconds = default_ttl_seconds
        self._max_ttl_seconds = max_ttl_seconds
        self._max_members = max_members
        self._caching = caching
        self._flights: SingleFlight[bytes] = SingleFlight((DeadlineExceeded, Overloaded))

    async def predict(self, call: Call) -> bytes:
        """Answer one request.

        Raises:
            InferenceError: Any of the tree in `errors.py` but the load errors.
        """
        with self._repository.get(call.model_name) as model:
            request = self._decode(model, call)
            if not (self._caching and request.use_cache and model.cacheable):
                return await self._compute(model, request, call)
            key = self._key(model, request, call)
            if (hit := self._cache.peek(key)) is not None:
                call.cache_state = hit.tier
                return hit.value
            return await self._compute_once(model, request, call, key)

    def _decode(self, model: Model, call: Call) -> DecodedRequest:
        started = perf_counter()
        call.model_name = model.name
        request = model.codec.decode(call.body, call.body_format)  # inputs float32 [b, F], checked
        call.num_rows = request.num_rows
        call.decode_seconds = perf_counter() - started
        return request

    def _key(self, model: Model, request: DecodedRequest, call: Call) -> bytes:
        started = perf_counter()
        key = cache_key(model.identity, request.inputs, call.answer_format.media_type)
        call.cache_seconds = perf_counter() - started
        return key

    async def _compute_once(
        self,
        model: Model,
        request: DecodedRequest,
        call: Call,
        key: bytes,
        *,
        looked_far: bool = False,
    ) -> bytes:
        """Look farther, else compute and store; or share what is under way for an equal request."""
        compute = partial(self._look_far_or_compute, model, request, call, key, looked_far)
        call.cache_state = "miss"
        answer, shared = await self._flights.run(key, compute)
        if shared:
            call.cache_state = "coalesced"
        return answer

    async def _look_far_or_compute(
        self, model: Model, request: DecodedRequest, call: Call, key: bytes, looked_far: bool
    ) -> bytes:
        terms = self._terms(model, request.num_rows, call)
        if not looked_far and self._cache.waits:
            started = perf_counter()
            hit = await self._cache.get(key, terms)
            call.cache_seconds += perf_counter() - started
            if hit is not None:
                call.cache_state = hit.tier
                return hit.value
        answer = await self._compute(model, request, call)
        ttl_seconds = min(request.cache_ttl or self._default_ttl_seconds, self._max_ttl_seconds)
        self._cache.put(key, mark_cached(answer, call.answer_format), ttl_seconds, terms)
        return answer

    @staticmethod
    def _terms(model: Model, num_rows: int, call: Call) -> Terms:
        """Half of the time that is left may go into a look-up: a miss needs the rest."""
        return Terms(
            call.answer_format.media_type,
            model.name,
            model.curve.predict(num_rows),
            (call.deadline - monotonic()) / 2,
        )

    async def _compute(self, model: Model, request: DecodedRequest, call: Call) -> bytes:
        """Batch, run, read and encode."""
        inputs = request.inputs
        result = await model.batcher.run(
            inputs,
            request.num_rows,
            deadline=call.deadline,
            group=model.group(inputs),
            company=call.in_batch,
        )
        call.queue_seconds, call.run_seconds = result.queue_seconds, result.run_seconds
        shape = list(next(iter(inputs.values())).shape)
        return self._encode(model, result, shape, call.answer_format)

    @staticmethod
    def _encode(
        model: Model, result: RunResult, input_shape: list[int], wire_format: WireFormat
    ) -> bytes:
        if (answers := result.shared.answers) is None:
            answers = result.shared.answers = model.reader.read(result.shared.arrays)
        predictions: Any
        probabilities: Any
        if wire_format is WireFormat.JSON:
            predictions, probabilities, labels = answers.as_lists(result.rows)
        else:
            predictions, probabilities, labels = answers.as_arrays(result.rows)
            predictions = rows_for_wire(predictions, wire_format)
            if probabilities is not None:
                probabilities = rows_for_wire(probabilities, wire_format)
        seconds = round(result.run_seconds, 7)
        info = ModelInfo(model.name, model.version, seconds, input_shape, False)
        return encode(PredictResponse(predictions, probabilities, labels, info), wire_format)

    async def predict_batch(self, call: Call, request_id: str) -> tuple[bytes, list[Call]]:
        """Answer many requests: one look-up for all keys, one queueing for all misses.

        A member that fails is answered with its error; it spoils no other.

        Returns:
            The answer, and one call a member that could be answered.

        Raises:
            InferenceError: The body as a whole cannot be used.
        """
        with self._repository.get(call.model_name) as model:
            raws = decode_batch(bytes(call.body), call.body_format)
            if len(raws) > self._max_members:
                raise InvalidInput(
                    f"requests: expected at most {self._max_members}, found {len(raws)}"
                )
            members = [
                self._open(model, call, f"requests[{index}]", raw, request_id)
                for index, raw in enumerate(raws)
            ]
            await self._look_up_members(model, members, call)
            waiting = [member for member in members if member.answer is None]
            await asyncio.gather(*(self._close(model, m, request_id) for m in waiting))
        results = [msgspec.Raw(member.answer or b"") for member in members]
        answered = [member.call for member in members if member.request is not None]
        return encode(BatchResponse(results), call.answer_format), answered

    def _open(
        self, model: Model, batch: Call, field: str, raw: msgspec.Raw, request_id: str
    ) -> _Member:
        """Decode a member and make its key; a bad one has its answer at once."""
        call = Call(raw, batch.body_format, batch.answer_format, model.name, batch.deadline, True)
        member = _Member(call)
        try:
            member.request = self._decode(model, call)
        except InferenceError as error:
            error.detail = f"{field}.{error.detail}"
            member.answer = self._failed(error, call, request_id)
            return member
        if self._caching and member.request.use_cache and model.cacheable:
            member.key = self._key(model, member.request, call)
        return member

    async def _look_up_members(self, model: Model, members: list[_Member], batch: Call) -> None:
        """Answer the members that are cached; one round trip for all."""
        keyed = [(member, member.key) for member in members if member.key is not None]
        num_rows = sum(member.call.num_rows for member, _ in keyed)
        terms = self._terms(model, num_rows, batch)
        started = perf_counter()
        hits = await self._cache.get_many([key for _, key in keyed], terms)
        batch.cache_seconds += perf_counter() - started
        for (member, _), hit in zip(keyed, hits, strict=True):
            if hit is not None:
                member.call.cache_state, member.answer = hit.tier, hit.value

    async def _close(self, model: Model, member: _Member, request_id: str) -> None:
        """Compute a member's answer."""
        request, call = member.request, member.call
        assert request is not None
        try:
            if member.key is None:
                member.answer = await self._compute(model, request, call)
            elif (hit := self._cache.peek(member.key)) is not None:  # stored since the look-up
                call.cache_state, member.answer = hit.tier, hit.value
            else:
                member.answer = await self._compute_once(
                    model, request, call, member.key, looked_far=True
                )
        except InferenceError as error:
            member.answer = self._failed(error, call, request_id)
            member.request = None

    @staticmethod
    def _failed(error: InferenceError, call: Call, request_id: str) -> bytes:
        return encode(FailedMember(to_problem(error, request_id)), call.answer_format)
