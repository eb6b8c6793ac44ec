"""One timer for all deadlines: of rows that wait, and of runs in lanes."""

import asyncio
from math import inf
from time import monotonic

from ml_pipeline.engine.batching.batch_queue import BatchQueue
from ml_pipeline.engine.batching.batch_run import refuse_late
from ml_pipeline.engine.batching.running import Running


class Deadlines:
    """Refuses who is too late, and ends runs that nobody waits for. Event loop only.

    Mutable state: the timer, due no later than the earliest deadline.

    Args:
        queue: What waits.
        running: What is run in lanes.
    """

    def __init__(self, queue: BatchQueue, running: set[Running]) -> None:
        self._queue = queue
        self._running = running
        self._timer: asyncio.TimerHandle | None = None

    def refuse(self, now: float) -> None:
        """Take out of the queue what is too late."""
        refuse_late(self._queue.expire(now), now)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer anew: for the earliest deadline, or run in a lane that is overdue."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue or self._running:
            due = min((each.due for each in self._running), default=inf)
            deadline = min(due, self._queue.next_deadline) if self._queue else due
            if deadline < inf:
                self._timer = loop.call_later(max(deadline - monotonic(), 0.0), self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = monotonic()
        self.refuse(now)
        for running in self._running:
            if running.due <= now:
                running.expire(now)
        self.watch(loop)
