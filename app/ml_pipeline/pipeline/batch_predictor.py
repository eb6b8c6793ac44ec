"""`POST /predict/batch`: many requests in one body, taken through the hot path side by side.

The steps are those of one request: `inference.py` and `answer_cache.py`. What is shared: one
look-up for all keys, and all that must be computed is queued before the first is waited for, so
that one run may take it. No member has a task of its own: 32 of them cost 17 µs each when they had.
"""

import asyncio
from time import monotonic

import msgspec

from ml_pipeline.engine.batching.batch_queue import RunResult
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.wire.batch_answer import write_batch
from ml_pipeline.engine.wire.batch_body import decode_batch, decode_batch_in_steps
from ml_pipeline.engine.wire.codec import is_heavy
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InferenceError, RunFailed
from ml_pipeline.pipeline.answer_cache import AnswerCache
from ml_pipeline.pipeline.batch_member import AskedMember, Member
from ml_pipeline.pipeline.inference import Inference, decode, decode_in_steps, encode, is_long
from ml_pipeline.protocols.predict import PredictCall
from ml_pipeline.protocols.timings import Timings

MEMBERS_A_TURN = 32
"""Decoded, queued or answered in one turn of the event loop, in 0.5 ms."""


class BatchPredictor:
    """Answers batches of requests. A member that fails has its error, and spoils no other.

    Args:
        repository: The models.
        inference: Computes answers.
        answers: Those that need not be computed.
        max_members: Most requests in a batch.
    """

    def __init__(
        self,
        repository: Repository,
        inference: Inference,
        answers: AnswerCache,
        *,
        max_members: int,
    ) -> None:
        self._repository = repository
        self._inference = inference
        self._answers = answers
        self._max_members = max_members

    async def predict(
        self, batch: PredictCall, timings: Timings, request_id: str
    ) -> tuple[list[bytes], list[Timings]]:
        """Answer each request.

        Args:
            batch: As it was sent.
            timings: Filled in, also where there is no answer.
            request_id: Told with the errors of members.

        Returns:
            The answer in pieces, mostly one, and the timings of each member that was answered.

        Raises:
            InferenceError: The body as a whole cannot be used.
        """
        turns = self._inference.turns
        with self._repository.get(batch.model_name, batch.model_version) as model:
            timings.model_name, timings.model_version = model.name, model.version
            opening = self._open(model, batch, timings.arrived)
            members = await turns.take(opening, batch.deadline)
            timings.members = [member.timings for member in members]
            asked = [member for member in members if isinstance(member, AskedMember)]
            await self._look_up(model, asked, timings)
            await self._compute(model, [member for member in asked if member.answer is None])
        results = (member.result(request_id, batch.answer_format) for member in members)
        pieces = await turns.take(write_batch(results, batch.answer_format), batch.deadline)
        return pieces, [member.timings for member in members if member.error is None]

    def _open(self, model: Model, batch: PredictCall, arrived: float) -> Steps[list[Member]]:
        """Decode the members and make their keys."""
        raws = yield from self._split(batch)
        members: list[Member] = []
        for index, raw in enumerate(raws):
            call, timings = _call_of(batch, raw), Timings(arrived, model.name, model.version)
            try:
                if call.heavy:
                    ask = yield from decode_in_steps(model, call, timings)
                    yield
                    key = yield from self._answers.key_in_steps(model, ask, timings)
                else:
                    ask = decode(model, call, timings)
                    key = self._answers.key(model, ask, timings)
            except InferenceError as error:
                error.detail = f"requests[{index}].{error.detail}"
                # Its traceback would hold these frames, and they the members: memory for long.
                members.append(Member(timings, error=error.with_traceback(None)))
            else:
                members.append(AskedMember(timings, ask=ask, key=key))
            if index % MEMBERS_A_TURN == MEMBERS_A_TURN - 1:
                yield
        return members

    def _split(self, batch: PredictCall) -> Steps[list[msgspec.Raw]]:
        body = bytes(batch.body)
        if batch.heavy:
            return (yield from decode_batch_in_steps(body, batch.body_format, self._max_members))
        return decode_batch(body, batch.body_format, self._max_members)

    async def _look_up(self, model: Model, asked: list[AskedMember], timings: Timings) -> None:
        """Answer the members that are cached; one round trip for all."""
        keyed = [(member, member.key) for member in asked if member.key is not None]
        if not keyed:
            return
        asks, keys = [member.ask for member, _ in keyed], [key for _, key in keyed]
        hits = await self._answers.look_up_many(model, asks, keys, timings)
        for (member, _), hit in zip(keyed, hits, strict=True):
            if hit is not None:
                member.timings.cache_state, member.answer = hit.tier, hit.value

    async def _compute(self, model: Model, waiting: list[AskedMember]) -> None:
        """Answer the others; own flights land before others' are waited for."""
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
                if member.flight is not None and member.key is not None:
                    await self._follow(model, member, member.flight, member.key)
        except BaseException:  # the client has left, say
            for member in waiting:
                self._abandon(member, started)
            raise

    def _start(self, model: Model, member: AskedMember) -> None:
        """Queue a member's rows, unless the same is under way, or stored since the look-up."""
        ask, timings = member.ask, member.timings
        if member.key is not None:
            member.answer = self._answers.peek(member.key, timings)
            if member.answer is not None:
                return
            member.flight = self._answers.follow_or_lead(ask, timings, member.key)
            if member.flight is not None:
                return
            member.leads = True
        try:
            member.run = self._inference.submit(model, ask)
        except InferenceError as error:
            self._fail(member, error)

    async def _finish(
        self, model: Model, member: AskedMember, run: asyncio.Future[RunResult], queued: float
    ) -> None:
        """Encode what a run gave, store it, and tell those who wait for the same."""
        ask, timings, key = member.ask, member.timings, member.key
        try:
            result = await run
        except InferenceError as error:
            timings.queue_seconds = monotonic() - queued
            self._fail(member, error)
            return
        keep = key is not None
        try:
            if is_long(model, ask, result):
                answer, kept = await self._inference.encode_long(model, ask, timings, result, keep)
            else:
                answer, kept = encode(model, ask, timings, result, keep)
        except InferenceError as error:  # its deadline has passed amid a long answer, say
            self._fail(member, error)
            return
        except Exception as error:  # odd outputs: whatever is wrong, it is this member's alone
            self._fail(member, RunFailed(f"outputs: {type(error).__name__}"))
            return
        member.answer = answer
        if key is not None:
            self._answers.store(model, ask, timings, key, kept)
        self._land(member, answer)

    async def _follow(
        self, model: Model, member: AskedMember, flight: asyncio.Future[bytes | None], key: bytes
    ) -> None:
        """Share what another computes, or compute it where that one has left."""
        ask, timings = member.ask, member.timings
        try:
            member.answer = await flight
            timings.cache_state = "coalesced"
            if member.answer is None:
                member.answer = await self._answers.share(model, ask, timings, key, looked_far=True)
        except InferenceError as error:
            member.error = error

    def _fail(self, member: AskedMember, error: InferenceError) -> None:
        member.error = error
        self._land(member, error)

    def _land(self, member: AskedMember, outcome: bytes | BaseException) -> None:
        if member.leads and member.key is not None:
            member.leads = False
            self._answers.land(member.key, outcome)

    def _abandon(self, member: AskedMember, queued: float) -> None:
        """Take what is still to come out of the queue; whoever waits for it computes it anew."""
        if member.answer is None:
            member.timings.queue_seconds = monotonic() - queued
        for awaited in (member.run, member.flight):
            if awaited is not None and not awaited.cancel() and not awaited.cancelled():
                awaited.exception()  # seen: asyncio need not complain
        self._land(member, asyncio.CancelledError())


def _call_of(batch: PredictCall, raw: msgspec.Raw) -> PredictCall:
    return PredictCall(
        batch.model_name,
        batch.model_version,
        batch.deadline,
        raw,
        batch.body_format,
        batch.answer_format,
        is_heavy(raw, batch.body_format),
    )
