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
from math import inf
from time import monotonic
from typing import NamedTuple

from app.engine.admission import Admission
from app.engine.batch_queue import (
    DEFAULT_PRIORITY,
    BatchOptions,
    BatchQueue,
    RunOutputs,
    RunResult,
    WorkItem,
)
from app.engine.batch_run import BatchRecord, Outcome, hand_out, join, run_batch, split
from app.engine.cost_curve import CostCurve
from app.engine.running import Running
from app.engine.session_pool import SessionPool
from app.engine.tensor import Tensors
from app.errors import DeadlineExceeded, InferenceError, NotReady

SWEEP_SECONDS = 0.05
"""Least time between two looks through a full queue: one costs 3 ms at 10,000 rows."""

CROWD = 3
"""Requests in a turn from which on they wait for the next one's: the loop is busy, so it comes at
once and brings as many. With 32 clients the requests/s of a small model rose by 13 %, with 8 by 2;
from 2 on, 4 clients lost 6 % (eight rounds by turns)."""


class BatcherStatistics(NamedTuple):
    """Snapshot of a batcher."""

    num_requests_waiting: int
    num_rows_waiting: int
    num_running: int


class Batcher:
    """Runs requests of one model, together where it can. Event loop only.

    Mutable state: the queue, `_scheduled` (a dispatch is due at the end of this turn, of the next,
    or of the delay), `_expiry` (the timer of the earliest deadline), `_running` in lanes,
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
        on_batch: Called with a record of each finished run.
    """

    def __init__(
        self,
        pool: SessionPool,
        curve: CostCurve,
        options: BatchOptions,
        *,
        batching: bool,
        steady: bool = True,
        on_batch: Callable[[BatchRecord], None],
    ) -> None:
        self._pool = pool
        self._curve = curve
        self._options = options
        self._batching = batching and options.max_batch_size > 1
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
        self._queue = BatchQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled: asyncio.Handle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._running: set[Running] = set()
        self._rows_running = 0
        self._waiting_for_lane = False
        self._delay = options.max_queue_delay_seconds
        self._lone = self._crowded = False
        self._swept = 0.0
        self._closed = False
        self._drained: asyncio.Event | None = None

    async def run(
        self,
        inputs: Tensors,
        num_rows: int,
        *,
        deadline: float,
        group: Hashable = (),
        priority: int = DEFAULT_PRIORITY,
        whole: bool = False,
    ) -> RunResult:
        """Run the rows of one request. Rows beyond `max_batch_size` are split and joined.

        Args:
            inputs: Checked arrays, `[b, …]` each.
            num_rows: b.
            deadline: `time.monotonic()` seconds; later than that the answer is of no use.
            group: Requests of equal groups may share a run.
            priority: The lower the sooner.
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
            inputs, num_rows, deadline=deadline, group=group, priority=priority, whole=whole
        )

    def submit(
        self,
        inputs: Tensors,
        num_rows: int,
        *,
        deadline: float,
        group: Hashable = (),
        priority: int = DEFAULT_PRIORITY,
        whole: bool = False,
    ) -> asyncio.Future[RunResult]:
        """Queue the rows of one request, for a caller who brings many in one turn.

        Arguments and errors are `run`'s; it raises Overloaded and NotReady itself, the rest comes
        by way of the future.
        """
        now = monotonic()
        self._admit(num_rows, deadline, now)
        limit = self._options.max_batch_size
        future = self._running_loop().create_future
        if priority != DEFAULT_PRIORITY:
            group = (priority, group)
        if num_rows <= limit or whole or not self._batching:
            alone = not num_rows  # nobody has tried what no rows do beside others
            return self._enqueue(
                WorkItem(inputs, num_rows, group, deadline, now, future(), priority, alone)
            )
        parts = [
            self._enqueue(WorkItem(part, rows, group, deadline, now, future(), priority))
            for part, rows in split(inputs, num_rows, limit)
        ]
        return asyncio.ensure_future(_joined(parts, num_rows))

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
        outcome = run_batch([inputs], num_rows, self._batching, self._pool.sessions[0])
        if isinstance(outcome.outputs, InferenceError):
            raise outcome.outputs
        self._curve.update(num_rows, outcome.seconds)
        self._on_batch(BatchRecord(1, num_rows, outcome.seconds, True))
        return RunResult(RunOutputs(outcome.outputs, num_rows), None, 0.0, outcome.seconds)

    def _end_lone_turn(self) -> None:
        """Stay at once while nobody came in the same turn; else the next ones wait for its end."""
        self._lone = not self._queue
        self._crowded = bool(self._queue)

    def _admit(self, num_rows: int, deadline: float, now: float) -> None:
        if self._closed:
            raise NotReady("model: this version is being replaced", retry_after_seconds=1)
        if not self._queue:
            return
        full = self._admission.is_full(self._queue.num_rows, num_rows)
        if not (full or self._waiting_for_lane):
            return  # if nobody waits for a lane, the queue is empty again after the next turn
        wait_seconds, seconds_left = self.predicted_wait_seconds(num_rows), deadline - now
        if not (full or self._admission.is_late(seconds_left, wait_seconds)):
            return
        if now - self._swept > SWEEP_SECONDS:  # rows whose callers have left make room
            self._swept = now
            self._refuse_late(self._queue.sweep(now))
            self._admit(num_rows, deadline, now)
        elif full:
            raise self._admission.full(self._queue.num_rows, num_rows, now, wait_seconds)
        else:
            raise self._admission.late(seconds_left, num_rows, now, wait_seconds)

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
        self._watch_deadlines()

    def _dispatch(self) -> None:
        """Start every run that can start now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        self._refuse_late(self._queue.expire(monotonic()))
        while self._queue:
            inline = self.is_short(self._queue.num_rows)
            if not (inline or self._pool.idle):
                break
            max_rows = self._options.max_batch_size if inline else self._lane_rows
            batch = self._queue.take(max_rows if self._batching else 0)
            if not batch:
                break
            if inline:
                started = monotonic()
                parts, num_rows = [item.inputs for item in batch], sum(i.num_rows for i in batch)
                outcome = run_batch(parts, num_rows, self._batching, self._pool.sessions[0])
                self._finish(batch, started, True, outcome)
                self._lone = len(batch) == 1 and not (self._queue or self._crowded or self._delay)
                self._crowded = False
            else:
                self._start_in_lane(batch)
        self._waiting_for_lane = bool(self._queue)
        self._watch_deadlines()
        if self._drained is not None and not (self._queue or self._running):
            self._drained.set()

    def _start_in_lane(self, batch: list[WorkItem]) -> None:
        num_rows = sum(item.num_rows for item in batch)
        running = Running(batch, monotonic(), self._curve.predict(num_rows))
        self._running.add(running)
        self._rows_running += num_rows
        parts = [item.inputs for item in batch]
        work = partial(run_batch, parts, num_rows, self._batching, options=running.options)
        self._pool.start(work, partial(self._finish_in_lane, running))

    def is_short(self, num_rows: int) -> bool:
        """Whether a run of so many rows takes no longer than a hop to another thread is worth."""
        size = min(num_rows, self._options.max_batch_size)
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
        """Hand out the outputs, or the error; neighbours of a guilty request run again, alone."""
        if isinstance(outcome.outputs, InferenceError):
            if len(batch) > 1:
                self._queue.push_front(batch)
                self._schedule_soon(batch[0].future.get_loop())
            elif not batch[0].future.done():
                batch[0].future.set_exception(outcome.outputs)
            return
        self._curve.update(outcome.num_rows, outcome.seconds)
        hand_out(batch, outcome.outputs, outcome.num_rows, started, outcome.seconds)
        self._on_batch(BatchRecord(len(batch), outcome.num_rows, outcome.seconds, inline))

    def _schedule_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._scheduled = loop.call_soon(self._dispatch)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of every request; asking asyncio each time would be a system call (getpid)."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @staticmethod
    def _refuse_late(late: list[WorkItem]) -> None:
        for item in late:
            if not item.future.done():
                waited = monotonic() - item.arrived
                item.future.set_exception(
                    DeadlineExceeded(f"deadline: passed after {waited:.3f} s in the queue")
                )

    def _watch_deadlines(self) -> None:
        """Keep one timer: for the earliest deadline, or run in a lane that is overdue."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._queue or self._running:
            due = min((each.due for each in self._running), default=inf)
            deadline = min(due, self._queue.next_deadline) if self._queue else due
            if deadline < inf:
                delay = max(deadline - monotonic(), 0.0)
                self._expiry = self._running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = monotonic()
        self._refuse_late(self._queue.expire(now))
        for running in self._running:
            if running.due <= now:
                running.expire(now)
        self._watch_deadlines()

    async def aclose(self) -> None:
        """Refuse new rows, wait for those that are here; idempotent."""
        self._closed = True
        if self._queue or self._running:
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()

    def statistics(self) -> BatcherStatistics:
        """Count what waits and what runs."""
        return BatcherStatistics(len(self._queue), self._queue.num_rows, len(self._running))

    def __repr__(self) -> str:
        requests, rows, running = self.statistics()
        return f"<Batcher [{requests} requests, {rows} rows waiting | {running} running]>"


async def _joined(parts: list[asyncio.Future[RunResult]], num_rows: int) -> RunResult:
    return join(await asyncio.gather(*parts), num_rows)
