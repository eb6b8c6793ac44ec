"""Whether a request may join the queue: refused at once, before any work, or let in.

Knows the cost of runs and the limits; what waits is told by `batcher.py`.
"""

from math import ceil

from app.engine.appointments import Appointments
from app.engine.cost_curve import CostCurve
from app.errors import Overloaded

ADMITTED_SHARE = 0.7
"""Of the time that is left a queue may take so much.

One that is filled up to the deadline brings no more throughput than a shorter one, and every answer
of it is late by what is not foreseen: the wire, and runs that take longer than those before.
"""


class Admission:
    """Predicts waits and refuses what cannot be run in time.

    Args:
        curve: Cost of a run.
        rows_per_run: Rows that a lane takes at most; 1 for models that are not batched.
        num_sessions: Lanes.
        max_queue_size: Rows that may wait.
    """

    def __init__(
        self, curve: CostCurve, *, rows_per_run: int, num_sessions: int, max_queue_size: int
    ) -> None:
        self._curve = curve
        self._rows_per_run = rows_per_run
        self._num_sessions = num_sessions
        self._max_queue_size = max_queue_size
        self._appointments = Appointments()

    def wait_seconds(self, num_ahead: int) -> float:
        """Seconds until `num_ahead` rows, waiting or running, will all have been run."""
        if not num_ahead:
            return 0.0
        size = min(num_ahead, self._rows_per_run)
        rounds = ceil(ceil(num_ahead / size) / self._num_sessions)
        return self._curve.predict(size) * rounds

    def is_full(self, num_waiting: int, num_rows: int) -> bool:
        """Whether `num_rows` more do not fit; into an empty queue everything does."""
        return bool(num_waiting) and num_waiting + num_rows > self._max_queue_size

    @staticmethod
    def is_late(seconds_left: float, wait_seconds: float) -> bool:
        """Whether the wait is longer than `ADMITTED_SHARE` of what the request has left.

        Args:
            seconds_left: Until its deadline.
            wait_seconds: Until its own rows will have been run.
        """
        return wait_seconds > ADMITTED_SHARE * seconds_left

    def full(self, num_waiting: int, num_rows: int, now: float, wait_seconds: float) -> Overloaded:
        """Give the error for rows that do not fit.

        Args:
            num_waiting: Rows before them.
            num_rows: Their number.
            now: The clock's seconds.
            wait_seconds: Until they would have been run.
        """
        return Overloaded(
            f"queue: expected at most {self._max_queue_size} rows waiting, found {num_waiting}",
            retry_after_seconds=self._retry_after(num_rows, now, wait_seconds),
        )

    def late(
        self, seconds_left: float, num_rows: int, now: float, wait_seconds: float
    ) -> Overloaded:
        """Give the error for rows that are late; arguments as for `is_late` and `full`."""
        return Overloaded(
            f"deadline: expected an answer in {seconds_left:.3f} s, found {wait_seconds:.3f} s "
            "of work waiting",
            retry_after_seconds=self._retry_after(num_rows, now, wait_seconds),
        )

    def _retry_after(self, num_rows: int, now: float, wait_seconds: float) -> int:
        size = self._rows_per_run
        work_seconds = self._curve.predict(size) / size * num_rows / self._num_sessions
        return self._appointments.book(now, max(1, ceil(wait_seconds)), work_seconds)
