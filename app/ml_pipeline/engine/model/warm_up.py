"""Before a model answers: every session is run once, and the cost curve is measured.

Runs here are on the calling thread, with the pool's first session and then once with each other.
`k` rows are repeated as often as it takes; `B` is the rows of a run.
"""

from time import perf_counter

import numpy as np

from ml_pipeline.engine.batching.cost_curve import CostCurve, Sample
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.errors import RunRefused

MEASURE_SECONDS = 0.15
"""Time the cost curve may take: a small model is ready at once, a big one gets fewer points."""

REPEATS = 3
"""Runs a point of the curve, of which the quickest counts."""


def measure(
    pool: SessionPool, inputs: Tensors, max_batch_size: int, *, num_warm_ups: int = 1
) -> CostCurve:
    """Time runs of 1, 2, 4 … `max_batch_size` rows; warms every session. A failing run ends it.

    Args:
        pool: The model's sessions.
        inputs: Rows to repeat, `[k, …]` each; run as they are where the first size is fixed.
        max_batch_size: Largest batch the batcher will make.
        num_warm_ups: Runs of each session before the first that is timed.
    """
    samples: list[Sample] = []
    specs = pool.sessions[0].inputs
    free = bool(specs) and all(spec.batched for spec in specs)
    num_rows = 1
    try:
        for session in pool.sessions:
            for _ in range(num_warm_ups):
                session.run(inputs)
        finish = perf_counter() + MEASURE_SECONDS
        while num_rows <= max_batch_size and (perf_counter() < finish or len(samples) < 2):
            batch = _resize(inputs, num_rows) if free else inputs
            seconds = min(_time(pool, batch) for _ in range(REPEATS))
            samples.append(Sample(_count_rows(pool, batch), seconds))
            num_rows *= 2
    except RunRefused:  # the trial has said so already
        pass
    return CostCurve(samples)


def _resize(inputs: Tensors, num_rows: int) -> Tensors:
    return {name: np.resize(array, (num_rows, *array.shape[1:])) for name, array in inputs.items()}


def _count_rows(pool: SessionPool, inputs: Tensors) -> int:
    """Count as requests are counted (`Model.count_rows`): a fixed first size is one row."""
    specs = pool.sessions[0].inputs
    return max((len(inputs[spec.name]) for spec in specs if spec.batched), default=1)


def _time(pool: SessionPool, inputs: Tensors) -> float:
    started = perf_counter()
    pool.run(inputs)
    return perf_counter() - started
