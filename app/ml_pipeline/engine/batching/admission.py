"""Whether a request may join the queue: refused at once, before any work, or let in.

Knows the cost of runs and the limits; what waits is told by `batcher.py`.
"""

from math import ceil

from ml_pipeline.engine.batching.batch_policy import BatchPolicy
from ml_pipeline.engine.batching.batch_queue import BatchQueue
from ml_pipeline.engine.batching.batch_run import refuse_late
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.retry_after import RetrySchedule
from ml_pipeline.errors import Overloaded

ADMITTED_SHARE = 0.7
"""Of the time that is left a queue may take so much.

One that is filled up to the deadline brings no more throughput than a shorter one, and every answer
of it is late by what is not foreseen: the wire, and runs that take longer than those before.
"""


SWEEP_SECONDS = 0.05
"""Least time between two looks through a full queue: one costs 3 ms at 10,000 rows."""


class Admission:
    """Predicts waits and refuses what cannot be run in time.

    Mutable state: when the queue was swept last, and what those who were refused were told.

    Args:
        curve: Cost of a run.
        policy: Tells how many rows a lane takes at most.
        num_sessions: Lanes.
        max_queue_size: Rows that may wait.
    """

    def __init__(
        self, curve: CostCurve, policy: BatchPolicy, *, num_sessions: int, max_queue_size: int
    ) -> None:
        self._curve = curve
        self._policy = policy
        self._num_sessions = num_sessions
        self._max_queue_size = max_queue_size
        self._retries = RetrySchedule()
        self._swept = 0.0

    @property
    def _rows_per_run(self) -> int:
        return max(self._policy.lane_rows, 1)

    def wait_seconds(self, num_ahead: int) -> float:
        """Seconds until `num_ahead` rows, waiting or running, will all have been run."""
        if not num_ahead:
            return 0.0
        size = min(num_ahead, self._rows_per_run)
        rounds = ceil(ceil(num_ahead / size) / self._num_sessions)
        return self._curve.predict(size) * rounds

    def admit(
        self,
        queue: BatchQueue,
        num_rows: int,
        num_running: int | None,
        deadline: float,
        now: float,
    ) -> None:
        """Let rows join others that wait; into an empty queue everything may go.

        Args:
            queue: What waits; rows whose callers have left are swept out if there is no room.
            num_rows: Of the request.
            num_running: Rows in lanes; None while nobody waits for a lane.
            deadline: Of the request, on the clock of `now`.
            now: The clock's seconds.

        Raises:
            Overloaded: They do not fit, or would be late.
        """
        full = queue.num_rows + num_rows > self._max_queue_size
        if not full and num_running is None:
            return
        wait_seconds = self.wait_seconds(queue.num_rows + (num_running or 0) + num_rows)
        seconds_left = deadline - now
        if not full and wait_seconds <= ADMITTED_SHARE * seconds_left:
            return
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            refuse_late(queue.sweep(now), now)
            if queue:
                self.admit(queue, num_rows, num_running, deadline, now)
            return
        most = f"expected at most {self._max_queue_size} rows waiting, found {queue.num_rows}"
        late = f"expected an answer in {seconds_left:.3f} s, found {wait_seconds:.3f} s of work"
        raise Overloaded(
            f"queue: {most}" if full else f"deadline: {late} waiting",
            retry_after_seconds=self._retry_after(num_rows, now, wait_seconds),
        )

    def _retry_after(self, num_rows: int, now: float, wait_seconds: float) -> int:
        size = self._rows_per_run
        work_seconds = self._curve.predict(size) / size * num_rows / self._num_sessions
        return self._retries.reserve(now, max(1, ceil(wait_seconds)), work_seconds)
