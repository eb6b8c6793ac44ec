"""Batches that are run in lanes of the session pool, and what is known of them meanwhile."""

from collections.abc import Callable
from functools import partial
from time import monotonic

from ml_pipeline.engine.batching.batch_queue import WorkItem
from ml_pipeline.engine.batching.batch_run import Outcome, run_batch
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.running import Running
from ml_pipeline.engine.sessions.session_pool import SessionPool


class LaneRuns:
    """Event loop only.

    Mutable state: the runs that are under way, and their rows.

    Args:
        pool: Where they happen.
        curve: Predicts what they take.

    Attributes:
        running: Those that were started, and did not `end`.
        num_rows: Of all of them.
    """

    def __init__(self, pool: SessionPool, curve: CostCurve) -> None:
        self._pool = pool
        self._curve = curve
        self.running: set[Running] = set()
        self.num_rows = 0

    def start(self, batch: list[WorkItem], done: Callable[[Running, Outcome], None]) -> None:
        """Run a batch; only while a lane is idle.

        Args:
            batch: Its requests.
            done: Told what became of it, when its lane is idle again; has to `end` it.
        """
        num_rows = sum(item.num_rows for item in batch)
        run = Running(batch, num_rows, monotonic(), self._curve.predict(num_rows))
        self.running.add(run)
        self.num_rows += num_rows
        parts = [item.inputs for item in batch]
        work = partial(run_batch, parts, num_rows, options=run.options)
        self._pool.start(work, partial(done, run))

    def end(self, run: Running) -> None:
        """Count a run no more."""
        self.running.remove(run)
        self.num_rows -= run.num_rows
