"""How long a run of B rows takes: t(B) ≈ scale · (a + c·B), learned at warm-up, kept while serving.

The batcher asks it whether a run is short enough for the event loop's own thread, how long the
queue will take, and whether batching pays at all.
"""

import msgspec

LEARNING_RATE = 0.05
"""Weight of the newest run in the moving average: about the last 20 runs count."""

PAYS_FROM = 1.15
"""Batching pays when rows run together are at least this much cheaper than apart; below it, larger
batches would only make the first row wait for the last."""


WASTE = 0.05
"""Share of a run's fixed cost that larger batches need not save."""

UNKNOWN_SECONDS = 1e-3
"""Taken for a run's cost while nothing has been measured: enough to keep it off the event loop."""


class Sample(msgspec.Struct, frozen=True):
    """One measured run: rows, and its seconds (the quickest of a few)."""

    num_rows: int
    seconds: float


class CostCurve:
    """Seconds of a run as a line in its rows.

    Mutable state: the fitted line `fixed + per_row · B`, and `scale`, a moving average of
    observed over predicted, which follows the machine's mood without refitting.
    """

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.fixed_seconds, self.row_seconds = _fit(samples) if samples else (UNKNOWN_SECONDS, 0.0)
        self.scale = 1.0

    def predict(self, num_rows: int) -> float:
        """Seconds that a run of `num_rows` rows will take."""
        return self.scale * (self.fixed_seconds + self.row_seconds * num_rows)

    def update(self, num_rows: int, seconds: float) -> None:
        """Take in a measured run; one far off (a page fault, a stolen core) counts as 4x.

        One of no rows tells nothing of what rows cost.
        """
        if not num_rows:
            return
        expected = self.fixed_seconds + self.row_seconds * num_rows
        ratio = min(seconds / expected, 4.0 * self.scale)
        self.scale += LEARNING_RATE * (ratio - self.scale)

    def best_batch_size(self, max_batch_size: int) -> int:
        """Rows beyond which a larger run gains next to nothing, and costs its first row a wait.

        At B = fixed / (WASTE · row) the share of the fixed cost in a row's has fallen to WASTE.
        """
        if self.row_seconds * WASTE * max_batch_size <= self.fixed_seconds:
            return max_batch_size
        return max(1, round(self.fixed_seconds / (WASTE * self.row_seconds)))

    def batching_pays(self, max_batch_size: int) -> bool:
        """Whether `max_batch_size` rows together beat as many runs of one row."""
        apart = max_batch_size * (self.fixed_seconds + self.row_seconds)
        together = self.fixed_seconds + self.row_seconds * max_batch_size
        return apart >= PAYS_FROM * together

    def __repr__(self) -> str:
        return (
            f"<CostCurve {self.fixed_seconds * 1e6:.1f} µs + "
            f"{self.row_seconds * 1e6:.2f} µs a row, scale {self.scale:.2f}>"
        )


def _fit(samples: list[Sample]) -> tuple[float, float]:
    """Fit by least squares on relative errors: small runs count as much as large ones."""
    weights = [1.0 / sample.seconds**2 for sample in samples]
    total = sum(weights)
    mean_rows = sum(w * s.num_rows for w, s in zip(weights, samples, strict=True)) / total
    mean_seconds = sum(w * s.seconds for w, s in zip(weights, samples, strict=True)) / total
    spread = sum(w * (s.num_rows - mean_rows) ** 2 for w, s in zip(weights, samples, strict=True))
    if all(sample.num_rows == samples[0].num_rows for sample in samples):
        return 0.0, mean_seconds / mean_rows
    slope = (
        sum(
            w * (s.num_rows - mean_rows) * (s.seconds - mean_seconds)
            for w, s in zip(weights, samples, strict=True)
        )
        / spread
    )
    slope = max(slope, 0.0)
    fixed = max(mean_seconds - slope * mean_rows, 1e-7)
    return fixed, slope
