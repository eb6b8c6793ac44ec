"""Microbatching without waiting: rows never wait while a session is free.

`batch_queue.py` decides what goes together; the `Batcher` acts. One dispatch is scheduled for the
end of the event loop's turn in which the first row arrives, so that everything that came in with it
shares the run. While each turn brings one request only there is nothing to share, and the next one
is run at once (8 % off the latency at one connection). Otherwise, by the cost curve:

1. A run that is predicted to be short runs here, on the loop's own thread: for a 10 µs model a
   hand-over to another thread costs more than the run. A crowd goes with what the next turn brings,
   too: to read that comes first in any case, as the loop does one thing at a time.
2. A longer one goes to a free lane of the session pool.
3. While all lanes are busy the queue grows into the next batch; a lane that becomes free takes
   everything that waits, up to `max_batch_size`, or to where more rows no longer gain anything.

There is no timer unless `max_queue_delay_seconds` asks for one, or rows with a deadline wait or are
run in a lane: then the deadline is the end of the wait, and of a run that nobody waits for.
`B` rows in a batch, `b` rows of one request.
"""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from time import monotonic

from ml_pipeline.engine.batching.admission import Admission
from ml_pipeline.engine.batching.batch_queue import (
    BatchOptions,
    BatchQueue,
    RunOutputs,
    RunResult,
    WorkItem,
)
from ml_pipeline.engine.batching.batch_run import (
    BatcherStatistics,
    BatchRecord,
    Outcome,
    hand_out,
    join,
    miscounted_part,
    run_batch,
    split,
)
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.deadlines import Deadlines
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.batching.recheck import Recheck
from ml_pipeline.engine.batching.running import Running
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.errors import InferenceError, NotReady

CROWD = 3
"""Requests in a turn from which on they wait for the next one's: the loop is busy, so it comes at
once and brings as many. With 32 clients the requests/s of a small model rose by 13 %, with 8 by 2;
from 2 on, 4 clients lost 6 % (eight rounds by turns)."""


class Batcher:
    """Runs requests of one model, together where it can. Event loop only.

    Mutable state: `_batching` until rows turn out not to stay apart, the queue, `_scheduled` (a
    dispatch is due at the end of this turn, of the next, or of the delay), `_running` in lanes,
    `_waiting_for_lane` (rows are due and every lane is busy), `_lone` (the last turn brought one
    request, so the next is run at once), `_crowded` (this turn brought more after all) and
    `_drained`, which `aclose` waits for.

    Args:
        pool: Where runs happen.
        curve: Cost of a run; kept up to date here.
        options: Limits.
        batching: False for models whose rows must not be run together.
        steady: False for models whose cost the number of rows does not tell: they are never run on
            the event loop's thread, where a run that takes long would keep everybody waiting.
        proof: Of a model whose graph does not show that rows stay apart, so that requests are not
            split, and some are run again alone; None where it does.
        on_batch: Called with a record of each finished run.
        on_disproved: Called with the reason when batching ends, as rows do not stay apart.
    """

    def __init__(
        self,
        pool: SessionPool,
        curve: CostCurve,
        options: BatchOptions,
        *,
        batching: bool,
        steady: bool = True,
        proof: Proof | None = None,
        on_batch: Callable[[BatchRecord], None],
        on_disproved: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._curve = curve
        self._options = options
        self._batching = batching and options.max_batch_size > 1
        self._splits = self._batching and proof is None
        self._recheck = Recheck(pool, proof) if self._batching and proof is not None else None
        self._steady = steady
        self._lane_rows = 0
        if self._batching and curve.batching_pays(options.max_batch_size):
            self._lane_rows = curve.best_batch_size(options.max_batch_size)
        self._admission = Admission(
            curve,
            rows_per_run=max(self._lane_rows, 1),
            num_sessions=pool.statistics().num_sessions,
            max_queue_size=options.max_queue_size,
        )
        self._on_batch = on_batch
        self._on_disproved = on_disproved
        self._queue = BatchQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled: asyncio.Handle | None = None
        self._running: set[Running] = set()
        self._deadlines = Deadlines(self._queue, self._running)
        self._rows_running = 0
        self._waiting_for_lane = False
        self._delay = options.max_queue_delay_seconds
        self._lone = self._crowded = False
        self._closed = False
        self._drained: asyncio.Event | None = None

    async def run(
        self,
        inputs: Tensors,
        num_rows: int,
        *,
        deadline: float,
        group: Hashable = (),
        head_start: float = 0.0,
        whole: bool = False,
    ) -> RunResult:
        """Run the rows of one request.

        Rows beyond `max_batch_size` are split and joined where the graph shows that they may be.

        Args:
            inputs: Checked arrays, `[b, …]` each.
            num_rows: b.
            deadline: `time.monotonic()` seconds; later than that the answer is of no use.
            group: Requests of equal groups may share a run.
            head_start: Seconds that the rows are taken to have come sooner than they did.
            whole: Whether an input is no rows, so that rows beyond the limit are not split.

        Raises:
            Overloaded: The queue is full, or will not be through before the deadline.
            DeadlineExceeded: It passed while the rows waited, or were run in a lane.
            RunFailed: The model refused these rows.
            NotReady: The batcher is closed.
        """
        if self._lone and self._may_run_at_once(num_rows, deadline):
            return self._run_at_once(inputs, num_rows)
        return await self.submit(
            inputs, num_rows, deadline=deadline, group=group, head_start=head_start, whole=whole
        )

    def submit(
        self,
        inputs: Tensors,
        num_rows: int,
        *,
        deadline: float,
        group: Hashable = (),
        head_start: float = 0.0,
        whole: bool = False,
    ) -> asyncio.Future[RunResult]:
        """Queue the rows of one request, for a caller who brings many in one turn.

        Arguments and errors are `run`'s; it raises Overloaded and NotReady itself, the rest comes
        by way of the future.
        """
        now = monotonic()
        if self._closed:
            raise NotReady("model: this version is being replaced", retry_after_seconds=1)
        if self._queue:  # if nobody waits for a lane, it is empty again after the next turn
            rows_running = self._rows_running if self._waiting_for_lane else None
            self._admission.admit(self._queue, num_rows, rows_running, deadline, now)
        limit = self._options.max_batch_size
        future = self._running_loop().create_future
        if head_start:
            group = (head_start, group)
        alone = not num_rows  # nobody has tried what no rows do beside others
        request = WorkItem(inputs, num_rows, group, deadline, now, future(), head_start, alone)
        if num_rows <= limit or whole or not self._splits:
            return self._enqueue(request)
        parts = [
            self._enqueue(WorkItem(part, rows, group, deadline, now, future(), head_start))
            for part, rows in split(inputs, num_rows, limit)
        ]
        return asyncio.ensure_future(self._joined(parts, request))

    async def _joined(self, parts: list[asyncio.Future[RunResult]], request: WorkItem) -> RunResult:
        """Join the parts of a request; where their outputs turn out to be no rows, run it whole."""
        results = await asyncio.gather(*parts)
        if fault := miscounted_part(results, self._pool.sessions[0]):
            self.disprove(fault)
            return await self._enqueue(request)
        return join(results, request.num_rows)

    def _may_run_at_once(self, num_rows: int, deadline: float) -> bool:
        return (
            not (self._queue or self._closed)
            and num_rows <= self._options.max_batch_size
            and self.is_short(num_rows)
            and deadline > monotonic()
        )

    def _run_at_once(self, inputs: Tensors, num_rows: int) -> RunResult:
        """Run a lone request's rows without waiting for the end of the turn."""
        self._lone = False
        self._running_loop().call_soon(self._end_lone_turn)
        outcome = run_batch([inputs], num_rows, self._pool.sessions[0])
        if isinstance(outcome.outputs, InferenceError):
            raise outcome.outputs
        self._curve.update(num_rows, outcome.seconds)
        self._on_batch(BatchRecord(1, num_rows, outcome.seconds, True))
        return RunResult(RunOutputs(outcome.outputs, num_rows), None, 0.0, outcome.seconds)

    def _end_lone_turn(self) -> None:
        """Stay at once while nobody came in the same turn; else the next ones wait for its end."""
        self._lone = not self._queue
        self._crowded = bool(self._queue)

    def predicted_wait_seconds(self, num_more: int = 0) -> float:
        """Seconds until the rows that wait or run now, and so many more, will all have been run."""
        return self._admission.wait_seconds(self._queue.num_rows + self._rows_running + num_more)

    def _enqueue(self, item: WorkItem) -> asyncio.Future[RunResult]:
        self._queue.push(item)
        if self._delay and not self._waiting_for_lane:
            self._schedule_delayed(item.future.get_loop())
        elif self._scheduled is None:
            self._scheduled = item.future.get_loop().call_soon(self._end_turn)
        return item.future

    def _end_turn(self) -> None:
        """Dispatch what this turn has brought; a crowd that is run here, after the next one.

        Not if as much again would be too much to be run here: it might have to wait for a lane.
        """
        self._scheduled = None
        num_rows = self._queue.num_rows
        may_grow = self._batching and num_rows < self._options.max_batch_size
        if may_grow and len(self._queue) >= CROWD and self.is_short(2 * num_rows):
            self._schedule_soon(self._running_loop())
        else:
            self._dispatch()

    def _schedule_delayed(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for company: one timer, set by the first row; a full batch goes at once."""
        full = self._queue.num_rows >= self._options.max_batch_size
        if self._scheduled is None and not full:
            delay = self._delay
            self._scheduled = loop.call_later(delay, self._dispatch)
        elif full:
            self._schedule_soon(loop)
        self._deadlines.watch(loop)

    def _dispatch(self) -> None:
        """Start every run that can start now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        self._deadlines.refuse(monotonic())
        while self._queue:
            inline = self.is_short(self._queue.num_rows)
            if not (inline or self._pool.idle):
                if self._recheck is not None:
                    self._recheck.give_way()
                break
            max_rows = self._options.max_batch_size if inline else self._lane_rows
            batch = self._queue.take(max_rows if self._batching else 0)
            if not batch:
                break
            if inline:
                started = monotonic()
                parts, num_rows = [item.inputs for item in batch], sum(i.num_rows for i in batch)
                outcome = run_batch(parts, num_rows, self._pool.sessions[0])
                self._finish(batch, started, True, outcome)
                self._lone = len(batch) == 1 and not (self._queue or self._crowded or self._delay)
                self._crowded = False
            else:
                self._start_in_lane(batch)
        self._waiting_for_lane = bool(self._queue)
        self._deadlines.watch(self._running_loop())
        if self._drained is not None and not self._busy:
            self._drained.set()

    def _start_in_lane(self, batch: list[WorkItem]) -> None:
        num_rows = sum(item.num_rows for item in batch)
        running = Running(batch, monotonic(), self._curve.predict(num_rows))
        self._running.add(running)
        self._rows_running += num_rows
        parts = [item.inputs for item in batch]
        work = partial(run_batch, parts, num_rows, options=running.options)
        self._pool.start(work, partial(self._finish_in_lane, running))

    def is_short(self, num_rows: int) -> bool:
        """Whether a run of so many rows takes no longer than a hop to another thread is worth."""
        size = min(num_rows, self._options.max_batch_size) if self._splits else num_rows
        return self._steady and self._curve.predict(size) <= self._options.inline_budget_seconds

    def _finish_in_lane(self, running: Running, outcome: Outcome) -> None:
        if self._waiting_for_lane:  # first, so that the lane runs while the rows are handed out
            self._dispatch()
        if not running.abandoned:
            self._finish(running.batch, running.started, False, outcome)
        self._running.remove(running)
        self._rows_running -= running.num_rows
        if self._closed:
            self._dispatch()

    def _finish(
        self, batch: list[WorkItem], started: float, inline: bool, outcome: Outcome
    ) -> None:
        """Hand out the outputs, or the error; neighbours of a guilty request run again, alone.

        So do all whose shared run ends after rows were found not to stay apart.
        """
        outputs, num_rows, shared = outcome.outputs, outcome.num_rows, len(batch) > 1
        if outcome.miscounted:
            self.disprove(outcome.miscounted)
        if shared and (isinstance(outputs, InferenceError) or not self._batching):
            self._queue.push_front(batch)
            self._schedule_soon(batch[0].future.get_loop())
        elif isinstance(outputs, InferenceError):
            if not batch[0].future.done():
                batch[0].future.set_exception(outputs)
        else:
            self._curve.update(num_rows, outcome.seconds)
            hand_out(batch, outputs, num_rows, started, outcome.seconds)
            self._on_batch(BatchRecord(len(batch), num_rows, outcome.seconds, inline))
            if shared and self._recheck is not None and not (self._queue or self._closed):
                self._recheck.observe(batch, outputs, num_rows, self._end_check)

    def _end_check(self, difference: str) -> None:
        if difference:
            self.disprove(difference)
        if self._waiting_for_lane or self._closed:
            self._dispatch()

    def disprove(self, reason: str) -> None:
        """Run each request alone from now on, and say why."""
        self.stop_batching()
        self._on_disproved(reason)

    def stop_batching(self) -> None:
        """Run each request alone from now on, those that wait as well; idempotent."""
        self._batching = self._splits = False
        self._lane_rows = 0
        self._admission.expect_lone_runs()

    def _schedule_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._scheduled = loop.call_soon(self._dispatch)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of every request; asking asyncio each time would be a system call (getpid)."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    async def aclose(self) -> None:
        """Refuse new rows, wait for those that are here; idempotent."""
        self._closed = True
        if self._recheck is not None:
            self._recheck.give_way()
        if self._busy:
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()

    @property
    def _busy(self) -> bool:
        checking = self._recheck is not None and self._recheck.running
        return checking or bool(self._queue or self._running)

    def statistics(self) -> BatcherStatistics:
        """Count what waits and what runs."""
        return BatcherStatistics(len(self._queue), self._queue.num_rows, len(self._running))

    def __repr__(self) -> str:
        requests, rows, running = self.statistics()
        return f"<Batcher [{requests} requests, {rows} rows waiting | {running} running]>"
