"""A batch in a lane: who waits for it, and when it is of no use to anybody any more."""

from math import inf

import onnxruntime as ort

from ml_pipeline.engine.batching.batch_queue import WorkItem
from ml_pipeline.errors import DeadlineExceeded

OVERDUE_RATIO, LEAST_OVERDUE_SECONDS = 20.0, 0.25
"""A shared run that takes so many times as long as was predicted, and this long, is ended, and each
request is run alone: one of them is the reason, and the others are not to wait for it. Runs under
load take a few times as long, and being run alone costs more than it saves then."""


class Running:
    """Event loop only.

    Args:
        batch: Its requests.
        num_rows: Of all of them.
        started: `time.monotonic()` seconds.
        predicted_seconds: Of the run.

    Attributes:
        options: Of its run.
        due: When to look at it next, on the same clock: a deadline, or it is overdue.
        abandoned: Whether it was ended because nobody waits for it; it may have come to its end in
            that moment, and is then of no use either.
    """

    def __init__(
        self, batch: list[WorkItem], num_rows: int, started: float, predicted_seconds: float
    ) -> None:
        self.batch = batch
        self.num_rows = num_rows
        self.abandoned = False
        self.started = started
        self.options = ort.RunOptions()
        self._overdue = inf
        if len(batch) > 1:
            overdue_seconds = max(OVERDUE_RATIO * predicted_seconds, LEAST_OVERDUE_SECONDS)
            self._overdue = started + overdue_seconds
        self.due = min(self._overdue, *(item.deadline for item in batch))

    def expire(self, now: float) -> None:
        """Refuse who is too late; end the run at its next node if it is of no use to the others."""
        for item in self.batch:
            if item.deadline <= now and not item.future.done():
                text = f"deadline: passed after {now - self.started:.3f} s of the run"
                item.future.set_exception(DeadlineExceeded(text))
        waiting = [item.deadline for item in self.batch if not item.future.done()]
        self.abandoned = not waiting
        if self.abandoned or now >= self._overdue:
            self.options.terminate = True
            self._overdue = inf
        self.due = min(self._overdue, *waiting, inf)
