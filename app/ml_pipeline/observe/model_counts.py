"""What each version of a model has done: for `/metrics`, and for the statistics of `/v2`."""

from collections.abc import Iterable, Iterator
from time import time

from ml_pipeline.observe.histogram import ROWS, RUN_SECONDS, SECONDS, Histogram
from ml_pipeline.protocols.timings import Timings

MAX_VERSIONS = 1000
"""Counted at a time; beyond it those that are served no more make room, the oldest first."""

ModelVersion = tuple[str, str]
"""Name and version."""


class ModelCounts:
    """Of one version of a model. Event loop only.

    Attributes:
        num_rows: Answered, cached or run.
        num_answers: Requests that were answered, and `answer_seconds` from first byte to answer.
        num_failures: Requests that were not, likewise.
        num_hits: Found in a cache, or computed for another; and the seconds of the look-ups.
        num_misses: Likewise.
        queue: Seconds from arrival in the queue to the start of the run, of those that were run.
        decode_seconds: Of those, bytes to arrays.
        run_seconds: Of those, the run, shared by its batch.
        encode_seconds: Of those, arrays to bytes.
        runs: Seconds of each run.
        batches: Rows of each run.
        last_run: Unix seconds of the last request that was run; 0 before.
    """

    __slots__ = (
        *("num_rows", "num_answers", "answer_seconds", "num_failures", "failure_seconds"),
        *("num_hits", "hit_seconds", "num_misses", "miss_seconds"),
        *("queue", "decode_seconds", "run_seconds", "encode_seconds"),
        *("runs", "batches", "last_run"),
    )

    def __init__(self) -> None:
        self.num_rows = self.num_answers = self.num_failures = 0
        self.num_hits = self.num_misses = 0
        self.answer_seconds = self.failure_seconds = 0.0
        self.hit_seconds = self.miss_seconds = 0.0
        self.decode_seconds = self.run_seconds = self.encode_seconds = 0.0
        self.queue = Histogram(SECONDS)
        self.runs = Histogram(RUN_SECONDS)
        self.batches = Histogram(ROWS)
        self.last_run = 0.0

    def observe_answer(self, timings: Timings, seconds: float) -> None:
        """Count an answered request, and where its time went."""
        self.num_rows += timings.num_rows
        self.num_answers += 1
        self.answer_seconds += seconds
        state = timings.cache_state
        if state != "miss" and state != "bypass":
            self.num_hits += 1
            self.hit_seconds += timings.cache_seconds
            return
        if state == "miss":
            self.num_misses += 1
            self.miss_seconds += timings.cache_seconds
        self.queue.observe(timings.queue_seconds)
        self.decode_seconds += timings.decode_seconds
        self.run_seconds += timings.run_seconds
        self.encode_seconds += timings.encode_seconds
        self.last_run = time()

    def observe_failure(self, seconds: float) -> None:
        """Count a request that was refused, or failed."""
        self.num_failures += 1
        self.failure_seconds += seconds

    def observe_run(self, num_rows: int, seconds: float) -> None:
        """Count a run."""
        self.batches.observe(num_rows)
        self.runs.observe(seconds)


class ModelLedger:
    """Counts of all versions. Mutable state: those seen, in the order of their first request."""

    def __init__(self) -> None:
        self._counts: dict[ModelVersion, ModelCounts] = {}

    def of(self, name: str, version: str) -> ModelCounts:
        """Give the counts of a version, zero at first."""
        counts = self._counts.get((name, version))
        if counts is None:
            counts = self._counts[name, version] = ModelCounts()
        return counts

    def forget(self, served: Iterable[ModelVersion]) -> None:
        """Drop what is served no more where there are too many."""
        still = set(served)
        gone = [each for each in self._counts if each not in still]
        for each in gone[: max(0, len(self._counts) - MAX_VERSIONS)]:
            del self._counts[each]

    def __iter__(self) -> Iterator[tuple[ModelVersion, ModelCounts]]:
        yield from self._counts.items()
