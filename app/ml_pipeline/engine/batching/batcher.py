"""Microbatching without waiting: rows never wait while a session is free.

What arrives in one turn of the event loop shares a run (`turn_collector.py`). While each turn
brings one request only there is nothing to share, and the next one is run at once (8 % off the
latency at one connection). Otherwise, by the cost curve:

1. A run that is predicted to be short runs here, on the loop's own thread: for a 10 µs model a
   hand-over to another thread costs more than the run. Those of a busy turn go with what the next
   brings, too: to read that comes first in any case, as the loop does one thing at a time.
2. A longer one goes to a free lane of the session pool.
3. While all lanes are busy the queue grows into the next batch; a lane that becomes free takes
   everything that waits, up to `max_batch_size`, or to where more rows no longer gain anything.

There is no timer unless `max_queue_delay_seconds` asks for one, or rows with a deadline wait or are
run in a lane: then the deadline is the end of the wait, and of a run that nobody waits for.
`B` rows in a batch, `b` rows of one request.
"""

import asyncio
from collections.abc import Callable, Hashable
from time import monotonic

from ml_pipeline.engine.batching.admission import Admission
from ml_pipeline.engine.batching.batch_policy import BatchPolicy
from ml_pipeline.engine.batching.batch_queue import BatchOptions, RunResult, WorkItem
from ml_pipeline.engine.batching.batch_run import BatchRecord, join, miscounted_part, split
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.dispatcher import Dispatcher
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.errors import NotReady


class Batcher:
    """Runs requests of one model, together where it can. Event loop only.

    What is let in goes to the `Dispatcher`, whose state all of it is.

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
        self._session = pool.sessions[0]
        self._limit = options.max_batch_size
        self._delay = options.max_queue_delay_seconds
        self._policy = policy = BatchPolicy(
            curve, options, batching=batching, proven=proof is None, steady=steady
        )
        self._admission = Admission(
            curve,
            policy,
            num_sessions=pool.statistics().num_sessions,
            max_queue_size=options.max_queue_size,
        )
        self._dispatcher = Dispatcher(
            pool, curve, policy, options, proof, on_batch=on_batch, on_disproved=on_disproved
        )
        self._queue = self._dispatcher.queue
        self._lanes = self._dispatcher.lanes
        self._turn = self._dispatcher.turn

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
        if self._turn.at_once and self._may_run_at_once(num_rows, deadline):
            return self._dispatcher.run_at_once(inputs, num_rows)
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
        if self._dispatcher.closed:
            raise NotReady("model: this version is being replaced", retry_after_seconds=1)
        if self._queue:  # if nobody waits for a lane, it is empty again after the next turn
            rows_running = self._lanes.num_rows if self._dispatcher.waiting_for_lane else None
            self._admission.admit(self._queue, num_rows, rows_running, deadline, now)
        future = self._turn.loop.create_future
        if head_start:
            group = (head_start, group)
        alone = not num_rows  # nobody has tried what no rows do beside others
        request = WorkItem(inputs, num_rows, group, deadline, now, future(), head_start, alone)
        enqueue = self._dispatcher.enqueue
        if num_rows <= self._limit or whole or not self._policy.splits:
            return enqueue(request)
        parts = [
            enqueue(WorkItem(part, rows, group, deadline, now, future(), head_start))
            for part, rows in split(inputs, num_rows, self._limit)
        ]
        return asyncio.ensure_future(self._joined(parts, request))

    async def _joined(self, parts: list[asyncio.Future[RunResult]], request: WorkItem) -> RunResult:
        """Join the parts of a request; where their outputs turn out to be no rows, run it whole."""
        results = await asyncio.gather(*parts)
        if fault := miscounted_part(results, self._session):
            self.disprove(fault)
            return await self._dispatcher.enqueue(request)
        return join(results, request.num_rows)

    def _may_run_at_once(self, num_rows: int, deadline: float) -> bool:
        return (
            not (self._queue or self._dispatcher.closed or self._delay)
            and num_rows <= self._limit
            and self._policy.is_short(num_rows)
            and deadline > monotonic()
        )

    def is_short(self, num_rows: int) -> bool:
        """Whether a run of so many rows takes no longer than a hop to another thread is worth."""
        return self._policy.is_short(num_rows)

    def predicted_wait_seconds(self, num_more: int = 0) -> float:
        """Seconds until the rows that wait or run now, and so many more, will all have been run."""
        return self._admission.wait_seconds(self._queue.num_rows + self._lanes.num_rows + num_more)

    def disprove(self, reason: str) -> None:
        """Run each request alone from now on, and say why."""
        self._dispatcher.disprove(reason)

    def stop_batching(self) -> None:
        """Run each request alone from now on, those that wait as well; idempotent."""
        self._policy.stop_batching()

    async def aclose(self) -> None:
        """Refuse new rows, wait for those that are here; idempotent."""
        await self._dispatcher.aclose()

    @property
    def num_rows_waiting(self) -> int:
        """Rows that wait for a run."""
        return self._queue.num_rows

    def __repr__(self) -> str:
        waiting = f"{len(self._queue)} requests, {self._queue.num_rows} rows waiting"
        return f"<Batcher [{waiting} | {len(self._lanes.running)} running]>"
