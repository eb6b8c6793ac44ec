"""`POST /predict/batch`: many requests in one body, taken through the hot path side by side.

The steps are `pipeline.py`'s. What is shared: one look-up for all keys, and all that must be
computed is queued before the first is waited for, so that one run may take it. No member has a task
of its own: 32 of them cost 17 µs each when they had.
"""

import asyncio
from time import monotonic, perf_counter

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.signature.schema import FailedMember, to_problem
from ml_pipeline.engine.wire.batch_answer import write_batch
from ml_pipeline.engine.wire.batch_body import decode_batch, decode_batch_in_steps
from ml_pipeline.engine.wire.codec import (
    DecodedRequest,
    encode,
    is_heavy,
)
from ml_pipeline.engine.wire.json_pieces import is_heavy_answer
from ml_pipeline.engine.wire.long_answer import joined
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InferenceError, RunFailed
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.protocols.predict import PredictCall

MEMBERS_A_TURN = 32
"""Decoded, queued or answered in one turn of the event loop, in 0.5 ms."""

NO_REQUEST = DecodedRequest({}, 0, use_cache=False, cache_ttl=None)
"""Of a member that could not be decoded."""


class _Member(msgspec.Struct, gc=False):
    """One request of a batch: its call, and what became of it so far.

    Attributes:
        call: What is learned of it.
        request: Decoded.
        key: None if its answer is not to be cached.
        leads: Whether others who ask the same wait for its run.
        run: What it waits for, if it is computed here.
        flight: What it waits for, if the same is being computed, perhaps for a member before it.
        answer: In the end, unless there is an error.
        error: Why it has no answer.
    """

    call: PredictCall
    request: DecodedRequest
    key: bytes | None = None
    leads: bool = False
    run: asyncio.Future[RunResult] | None = None
    flight: asyncio.Future[bytes | None] | None = None
    answer: bytes | None = None
    error: InferenceError | None = None

    def result(self, request_id: str) -> msgspec.Raw:
        """Encode the error if there is one."""
        if self.error is not None:
            failed = FailedMember(to_problem(self.error, request_id))
            return msgspec.Raw(encode(failed, self.call.answer_format))
        return msgspec.Raw(self.answer or b"")


class BatchPredictor:
    """Answers batches of requests. A member that fails has its error, and spoils no other.

    Args:
        predictor: Answers one.
        max_members: Most requests in a batch.
    """

    def __init__(self, predictor: Predictor, *, max_members: int) -> None:
        self._predictor = predictor
        self._max_members = max_members

    async def predict(
        self, batch: PredictCall, request_id: str
    ) -> tuple[list[bytes], list[PredictCall]]:
        """Answer each request.

        Returns:
            The answer in pieces, mostly one, and one call a member that was answered.

        Raises:
            InferenceError: The body as a whole cannot be used.
        """
        with self._predictor.repository.get(batch.model_name, batch.model_version) as model:
            batch.model_name, batch.model_version = model.name, model.version
            opening = self._open(model, batch)
            members = await self._predictor.turns.take(opening, batch.deadline)
            batch.members = [member.call for member in members]
            await self._look_up(model, members, batch)
            await self._compute(model, members)
        results = (member.result(request_id) for member in members)
        writing = write_batch(results, batch.answer_format)
        pieces = await self._predictor.turns.take(writing, batch.deadline)
        return pieces, [member.call for member in members if member.error is None]

    def _open(self, model: Model, batch: PredictCall) -> Steps[list[_Member]]:
        """Decode the members and make their keys."""
        raws = yield from self._split(batch)
        members: list[_Member] = []
        for index, raw in enumerate(raws):
            call = _call_of(model, batch, raw)
            try:
                if call.heavy:
                    request, key = yield from self._predictor.open_heavy(model, call)
                else:
                    request = self._predictor.decode(model, call)
                    key = self._predictor.key(model, request, call)
            except InferenceError as error:
                error.detail = f"requests[{index}].{error.detail}"
                # Its traceback would hold these frames, and they the members: memory for long.
                members.append(_Member(call, NO_REQUEST, error=error.with_traceback(None)))
            else:
                members.append(_Member(call, request, key))
            if index % MEMBERS_A_TURN == MEMBERS_A_TURN - 1:
                yield
        return members

    def _split(self, batch: PredictCall) -> Steps[list[msgspec.Raw]]:
        body = bytes(batch.body)
        if batch.heavy:
            return (yield from decode_batch_in_steps(body, batch.body_format, self._max_members))
        return decode_batch(body, batch.body_format, self._max_members)

    async def _look_up(self, model: Model, members: list[_Member], batch: PredictCall) -> None:
        """Answer the members that are cached; one round trip for all."""
        keyed = [(member, member.key) for member in members if member.key is not None]
        if not keyed:
            return
        num_rows = sum(member.call.num_rows for member, _ in keyed)
        budget = self._predictor.budget(model, num_rows, batch)
        started = perf_counter()
        hits = await self._predictor.cache.get_many([key for _, key in keyed], budget)
        batch.cache_seconds += perf_counter() - started
        for (member, _), hit in zip(keyed, hits, strict=True):
            if hit is not None:
                member.call.cache_state, member.answer = hit.tier, hit.value

    async def _compute(self, model: Model, members: list[_Member]) -> None:
        """Answer the others; own flights land before others' are waited for."""
        waiting = [m for m in members if m.answer is None and m.error is None]
        started = monotonic()
        try:
            for index, member in enumerate(waiting, 1):
                self._start(model, member)
                if index % MEMBERS_A_TURN == 0:
                    await asyncio.sleep(0)
            for index, member in enumerate(waiting, 1):
                if index % MEMBERS_A_TURN == 0:
                    await asyncio.sleep(0)
                if member.run is not None:
                    await self._finish(model, member, member.run, started)
            for member in waiting:
                if member.flight is not None:
                    await self._follow(model, member, member.flight)
        except BaseException:  # the client has left, say
            for member in waiting:
                self._abandon(member, started)
            raise

    def _start(self, model: Model, member: _Member) -> None:
        """Queue a member's rows, unless the same is under way."""
        request, call, key = member.request, member.call, member.key
        if key is not None:
            if (hit := self._predictor.cache.peek(key)) is not None:  # stored since the look-up
                call.cache_state, member.answer = hit.tier, hit.value
                return
            if (flight := self._predictor.flights.join(key, call.deadline)) is not None:
                member.flight = flight
                return
            call.cache_state = "miss"
            self._predictor.flights.lead(key, call.deadline)
            member.leads = True
        try:
            member.run = model.batcher.submit(
                request.inputs,
                request.num_rows,
                deadline=call.deadline,
                group=model.group(request.inputs),
            )
        except InferenceError as error:
            member.error = error
            self._land(member, error)

    async def _finish(
        self, model: Model, member: _Member, run: asyncio.Future[RunResult], queued: float
    ) -> None:
        """Encode what a run gave, store it, and tell those who wait for the same."""
        request, call = member.request, member.call
        try:
            result = await run
        except InferenceError as error:
            call.queue_seconds = monotonic() - queued
            member.error = error
            self._land(member, error)
            return
        try:
            if request.num_rows > model.light_rows and is_heavy_answer(result.outputs):
                answer = await self._predictor.encode_heavy(model, request, call, result)
            else:
                answer = self._predictor.encode(model, request, call, result)
        except InferenceError as error:  # its deadline has passed amid a long answer, say
            member.error = error
            self._land(member, error)
            return
        except Exception as error:  # odd outputs: whatever is wrong, it is this member's alone
            member.error = RunFailed(f"outputs: {type(error).__name__}")
            self._land(member, member.error)
            return
        member.answer = answer
        if member.key is not None:
            budget = self._predictor.budget(model, request.num_rows, call)
            kept = call.for_cache(answer) if call.kept is None else await joined(call.kept)
            self._predictor.store(model, request, call, member.key, kept, budget)
        self._land(member, answer)

    async def _follow(
        self, model: Model, member: _Member, flight: asyncio.Future[bytes | None]
    ) -> None:
        """Share what another computes, or compute it where that one has left."""
        call = member.call
        assert member.key is not None
        try:
            member.answer = await flight
            call.cache_state = "coalesced"
            if member.answer is None:
                member.answer = await self._predictor.compute_once(
                    model, member.request, call, member.key, looked_far=True
                )
        except InferenceError as error:
            member.error = error

    def _land(self, member: _Member, outcome: bytes | BaseException) -> None:
        if member.leads and member.key is not None:
            member.leads = False
            self._predictor.flights.land(member.key, outcome)

    def _abandon(self, member: _Member, queued: float) -> None:
        """Take what is still to come out of the queue; whoever waits for it computes it anew."""
        if member.answer is None:
            member.call.queue_seconds = monotonic() - queued
        for awaited in (member.run, member.flight):
            if awaited is not None and not awaited.cancel() and not awaited.cancelled():
                awaited.exception()  # seen: asyncio need not complain
        self._land(member, asyncio.CancelledError())


def _call_of(model: Model, batch: PredictCall, raw: msgspec.Raw) -> PredictCall:
    return PredictCall(
        model.name,
        model.version,
        batch.deadline,
        batch.arrived,
        body=raw,
        body_format=batch.body_format,
        answer_format=batch.answer_format,
        heavy=is_heavy(raw, batch.body_format),
    )
