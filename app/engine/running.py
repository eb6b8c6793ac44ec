"""A batch in a lane: who waits for it, and when it is of no use to anybody any more."""

from math import inf

import onnxruntime as ort

from app.engine.batch_queue import WorkItem
from app.errors import DeadlineExceeded


class Running:
    """Event loop only.

    Args:
        batch: Its requests.
        started: `time.monotonic()` seconds.

    Attributes:
        options: Of its run.
        deadline: The earliest of those who still wait, on the same clock.
    """

    def __init__(self, batch: list[WorkItem], started: float) -> None:
        self.batch = batch
        self.started = started
        self.options = ort.RunOptions()
        self.deadline = min(item.deadline for item in batch)

    @property
    def num_rows(self) -> int:
        """Of all its requests."""
        return sum(item.num_rows for item in self.batch)

    def expire(self, now: float) -> None:
        """Refuse who is too late; without anybody left the run is ended at its next node."""
        for item in self.batch:
            if item.deadline <= now and not item.future.done():
                item.future.set_exception(
                    DeadlineExceeded(
                        f"deadline: passed after {now - self.started:.3f} s of the run"
                    )
                )
        waiting = [item.deadline for item in self.batch if not item.future.done()]
        self.deadline = min(waiting, default=inf)
        if not waiting:
            self.options.terminate = True
