"""Starts runs of what waits, here or in lanes, and hands out what they give.

What is due at the end of a turn is said by `turn_collector.py`, what goes together by
`batch_queue.py` and `batch_policy.py`. The `Dispatcher` acts.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from ml_pipeline.engine.batching.batch_policy import BatchPolicy
from ml_pipeline.engine.batching.batch_queue import (
    BatchOptions,
    BatchQueue,
    RunOutputs,
    RunResult,
    WorkItem,
)
from ml_pipeline.engine.batching.batch_run import BatchRecord, Outcome, hand_out, run_batch
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.deadlines import Deadlines
from ml_pipeline.engine.batching.lane_runs import LaneRuns
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.batching.recheck import Recheck
from ml_pipeline.engine.batching.running import Running
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.errors import InferenceError
from ml_pipeline.turn_collector import TurnCollector


class Dispatcher:
    """Event loop only.

    Mutable state: what waits and what runs, `waiting_for_lane`, whether it is `closed`, and
    `_drained`, which `aclose` waits for.

    Args:
        pool: Where runs happen.
        curve: Cost of a run; kept up to date here.
        policy: What may go together; told when nothing may any more.
        options: Limits.
        proof: Decides which requests are run again alone; None if none are.
        on_batch: Called with a record of each finished run.
        on_disproved: Called with the reason when batching ends, as rows do not stay apart.

    Attributes:
        queue: What waits.
        turn: What is due at the end of a turn.
        lanes: What is run in them.
        waiting_for_lane: Whether rows are due and every lane is busy.
        closed: Whether the last rows have come.
    """

    def __init__(
        self,
        pool: SessionPool,
        curve: CostCurve,
        policy: BatchPolicy,
        options: BatchOptions,
        proof: Proof | None,
        *,
        on_batch: Callable[[BatchRecord], None],
        on_disproved: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._curve = curve
        self._policy = policy
        self._limit = options.max_batch_size
        self._delay = options.max_queue_delay_seconds
        self._recheck = Recheck(pool, proof) if policy.batching and proof is not None else None
        self._on_batch = on_batch
        self._on_disproved = on_disproved
        self.queue = BatchQueue()
        self.turn = TurnCollector()
        self.lanes = LaneRuns(pool, curve)
        self._deadlines = Deadlines(self.queue, self.lanes.running)
        self.waiting_for_lane = self.closed = False
        self._drained: asyncio.Event | None = None

    def enqueue(self, item: WorkItem) -> asyncio.Future[RunResult]:
        """Run a request's rows with what else comes in this turn, or waits for a lane."""
        self.queue.push(item)
        if self._delay and not self.waiting_for_lane:
            self._wait_for_company()
        else:
            self.turn.schedule(self)
        return item.future

    def _wait_for_company(self) -> None:
        """Set one timer, with the first row; a full batch goes at once."""
        if self.queue.num_rows >= self._limit:
            self.turn.schedule_now(self)
        else:
            self.turn.schedule(self, self._delay)
        self._deadlines.watch(self.turn.loop)

    def run_at_once(self, inputs: Tensors, num_rows: int) -> RunResult:
        """Run one request's rows without waiting for the end of the turn.

        Raises:
            InferenceError: The model refused them.
        """
        self.turn.go_at_once(self)
        outcome = run_batch([inputs], num_rows, self._pool.sessions[0])
        if isinstance(outcome.outputs, InferenceError):
            raise outcome.outputs
        self._record(BatchRecord(1, num_rows, outcome.seconds, True))
        return RunResult(RunOutputs(outcome.outputs, num_rows), None, 0.0, outcome.seconds)

    def num_waiting(self) -> int:
        """Count the requests that wait."""
        return len(self.queue)

    def may_grow(self) -> bool:
        """Whether those that wait may wait for those of one turn more."""
        return self._policy.may_grow(self.queue.num_rows)

    def dispatch(self) -> None:
        """Start every run that can start now."""
        self.turn.unschedule()
        self._deadlines.refuse(monotonic())
        while self.queue:
            inline = self._policy.is_short(self.queue.num_rows)
            if not (inline or self._pool.idle):
                if self._recheck is not None:
                    self._recheck.give_way()
                break
            batch = self.queue.take(self._policy.max_rows(inline=inline))
            if not batch:
                break
            if inline:
                self._run_here(batch)
            else:
                self.lanes.start(batch, self._finish_in_lane)
        self.waiting_for_lane = bool(self.queue)
        self._deadlines.watch(self.turn.loop)
        if self._drained is not None and not self._busy:
            self._drained.set()

    def _run_here(self, batch: list[WorkItem]) -> None:
        """Run a batch on the event loop's thread."""
        started = monotonic()
        parts, num_rows = [item.inputs for item in batch], sum(item.num_rows for item in batch)
        self._finish(batch, started, True, run_batch(parts, num_rows, self._pool.sessions[0]))

    def _finish_in_lane(self, run: Running, outcome: Outcome) -> None:
        if self.waiting_for_lane:  # first, so that the lane runs while the rows are handed out
            self.dispatch()
        if not run.abandoned:
            self._finish(run.batch, run.started, False, outcome)
        self.lanes.end(run)
        if self.closed:
            self.dispatch()

    def _finish(
        self, batch: list[WorkItem], started: float, inline: bool, outcome: Outcome
    ) -> None:
        """Hand out the outputs, or the error; neighbours of a guilty request run again, alone.

        So do all whose shared run ends after rows were found not to stay apart.
        """
        outputs, num_rows, shared = outcome.outputs, outcome.num_rows, len(batch) > 1
        if outcome.miscounted:
            self.disprove(outcome.miscounted)
        if shared and (isinstance(outputs, InferenceError) or not self._policy.batching):
            self.queue.push_front(batch)
            self.turn.schedule_now(self)
        elif isinstance(outputs, InferenceError):
            if not batch[0].future.done():
                batch[0].future.set_exception(outputs)
        else:
            hand_out(batch, outputs, num_rows, started, outcome.seconds)
            self._record(BatchRecord(len(batch), num_rows, outcome.seconds, inline))
            if shared and self._recheck is not None and not (self.queue or self.closed):
                self._recheck.observe(batch, outputs, num_rows, self._end_check)

    def _record(self, record: BatchRecord) -> None:
        """Learn from a finished run, wherever it was, and tell of it."""
        self._curve.update(record.num_rows, record.run_seconds)
        self._on_batch(record)

    def _end_check(self, difference: str) -> None:
        if difference:
            self.disprove(difference)
        if self.waiting_for_lane or self.closed:
            self.dispatch()

    def disprove(self, reason: str) -> None:
        """Run each request alone from now on, and say why."""
        self._policy.stop_batching()
        self._on_disproved(reason)

    async def aclose(self) -> None:
        """Wait for the rows that are here; idempotent."""
        self.closed = True
        if self._recheck is not None:
            self._recheck.give_way()
        if self._busy:
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()

    @property
    def _busy(self) -> bool:
        checking = self._recheck is not None and self._recheck.running
        return checking or bool(self.queue or self.lanes.running)
