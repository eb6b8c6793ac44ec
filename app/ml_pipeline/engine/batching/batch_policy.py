"""How many rows share a run, and whether it happens on the event loop's thread or in a lane."""

from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.batching.cost_curve import CostCurve


class BatchPolicy:
    """Decides by the cost curve, and acts on nothing.

    Mutable state: `batching`, until rows turn out not to stay apart, and what follows from it.

    Args:
        curve: Cost of a run, as it is known just now.
        options: Limits.
        batching: Whether requests may share runs at all.
        proven: Whether the graph shows that rows stay apart, so that requests may be split.
        steady: Whether the number of rows tells what a run costs. If it does not, no run is short:
            on the event loop's thread one that takes long would keep everybody waiting.

    Attributes:
        batching: Whether requests share runs.
        splits: Whether rows beyond `max_batch_size` are run in parts.
        lane_rows: Of a run in a lane at most; 0 where each request is run alone.
    """

    def __init__(
        self,
        curve: CostCurve,
        options: BatchOptions,
        *,
        batching: bool,
        proven: bool,
        steady: bool,
    ) -> None:
        self._curve = curve
        self._max_rows = options.max_batch_size
        self._inline_budget_seconds = options.inline_budget_seconds
        self._steady = steady
        self.batching = batching and options.max_batch_size > 1
        self.splits = self.batching and proven
        pays = self.batching and curve.batching_pays(options.max_batch_size)
        self.lane_rows = curve.best_batch_size(options.max_batch_size) if pays else 0

    def is_short(self, num_rows: int) -> bool:
        """Whether a run of so many rows takes no longer than a hop to another thread is worth."""
        size = min(num_rows, self._max_rows) if self.splits else num_rows
        return self._steady and self._curve.predict(size) <= self._inline_budget_seconds

    def may_grow(self, num_rows: int) -> bool:
        """Whether so many rows may wait for as many more.

        Not if all of them would be too much to be run here: they might have to wait for a lane.
        """
        return self.batching and num_rows < self._max_rows and self.is_short(2 * num_rows)

    def max_rows(self, *, inline: bool) -> int:
        """Rows of one run at most, here or in a lane; 0 where each request is run alone."""
        return self._max_rows if inline and self.batching else self.lane_rows

    def stop_batching(self) -> None:
        """Have each request run alone from now on; idempotent."""
        self.batching = self.splits = False
        self.lane_rows = 0
