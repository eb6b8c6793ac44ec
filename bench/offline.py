"""ONNX Runtime without a server: what a run costs, and what a machine can run at most.

Sessions are set as the server's are: one thread a session, no spinning.
Letters for shapes: B rows of one run, F features.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

WARM_UP_RUNS = 5
MOST_RUNS = 1000
Run = Callable[[npt.NDArray[np.float32]], None]


def run_seconds(
    model: Path, rows: int, *, pause_seconds: float = 0.0, limit_seconds: float = 3.0
) -> float:
    """Return the median time of a run of `rows` rows.

    Args:
        model: An ONNX file with one input, float32 [B, F].
        rows: B.
        pause_seconds: Idle time before each run. A processor that has slept runs a small model
            several times slower than one in a tight loop, and a server with one client sleeps.
        limit_seconds: How long to go on measuring, at most `MOST_RUNS` runs.
    """
    run, features = _open(model)
    batch = _batch(rows, features)
    for _ in range(WARM_UP_RUNS):
        run(batch)
    end = time.perf_counter() + limit_seconds
    taken: list[float] = []
    while len(taken) < MOST_RUNS and time.perf_counter() < end:
        if pause_seconds:
            time.sleep(pause_seconds)
        start = time.perf_counter()
        run(batch)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def rows_per_second(model: Path, mean_batch: float, *, sessions: int, seconds: float) -> float:
    """Return what `sessions` threads, one session each, run in a plain loop.

    Args:
        model: An ONNX file with one input, float32 [B, F].
        mean_batch: Rows a run on average: the sizes below and above it alternate to meet it.
        sessions: Number of threads.
        seconds: How long to run.
    """
    lanes = [_open(model) for _ in range(sessions)]
    together = threading.Barrier(sessions)

    def loop(lane: tuple[Run, int]) -> float:
        run, features = lane
        low, high = (_batch(size(mean_batch), features) for size in (math.floor, math.ceil))
        for _ in range(WARM_UP_RUNS):
            run(high)
        together.wait()
        start, owed, done = time.perf_counter(), 0.0, 0
        while (now := time.perf_counter()) - start < seconds:
            owed += mean_batch
            batch = high if owed >= len(high) else low
            run(batch)
            owed -= len(batch)
            done += len(batch)
        return done / (now - start)

    with ThreadPoolExecutor(sessions) as threads:
        return sum(threads.map(loop, lanes))


def _open(model: Path) -> tuple[Run, int]:
    """Return the run of a new session, and the features its input has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (tensor,) = session.get_inputs()

    def run(batch: npt.NDArray[np.float32]) -> None:
        session.run(None, {tensor.name: batch})

    return run, int(tensor.shape[1])


def _batch(rows: int, features: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed=7).uniform(-1.0, 1.0, (rows, features)).astype(np.float32)
