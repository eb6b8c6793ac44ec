"""One run of a batch: join the rows, call the session, count and hand out what comes back.

`run_batch` is called on whatever thread `batcher.py` chose; it touches nothing but its arguments.
`B` rows in the batch, `b` rows of one request.
"""

from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from app.engine.batch_queue import RunOutputs, RunResult, WorkItem
from app.engine.session_pool import Session
from app.engine.tensor import Array, Tensors
from app.errors import InferenceError, RunFailed


class BatchRecord(NamedTuple):
    """One finished run, for observers."""

    num_requests: int
    num_rows: int
    run_seconds: float
    inline: bool


class Outcome(NamedTuple):
    """Outputs `[B, …]` in the order of the signature, or the error; and the run's seconds."""

    outputs: list[Array] | InferenceError
    num_rows: int
    seconds: float


def run_batch(
    parts: list[Tensors],
    num_rows: int,
    counted: bool,
    session: Session,
    options: ort.RunOptions | None = None,
) -> Outcome:
    """Join the rows, run, and (if `counted`) check that each row came back; any thread.

    One copy of the rows, none for a lone request.

    Args:
        parts: Inputs of each request, `[b, …]` each.
        num_rows: B.
        counted: Whether outputs must have B rows.
        session: Where to run.
        options: By which another thread may end the run.
    """
    inputs = parts[0]
    started = perf_counter()
    try:
        if len(parts) > 1:
            inputs = {name: np.concatenate([part[name] for part in parts]) for name in inputs}
            started = perf_counter()
        outputs = session.run(inputs, options)
        if counted:
            _check_rows(outputs, num_rows)
    except InferenceError as error:
        return Outcome(error, num_rows, 0.0)
    except Exception as error:  # memory ran out, say: whatever it is, somebody waits for an answer
        return Outcome(RunFailed(f"run: {type(error).__name__}"), num_rows, 0.0)
    # To 0.1 us, once for all who are told of it: a rounded number is written quicker, too.
    return Outcome(outputs, num_rows, round(perf_counter() - started, 7))


def hand_out(
    batch: list[WorkItem], outputs: list[Array], num_rows: int, started: float, run_seconds: float
) -> None:
    """Give each request its rows of the outputs; event loop only."""
    shared = RunOutputs(outputs, num_rows)
    start = 0
    for item in batch:
        stop = start + item.num_rows
        if not item.future.done():  # its caller has left; the others must still get theirs
            rows = slice(start, stop) if len(batch) > 1 else None
            item.future.set_result(RunResult(shared, rows, started - item.arrived, run_seconds))
        start = stop


def _check_rows(outputs: list[Array], num_rows: int) -> None:
    for output in outputs:
        if output.shape[:1] != (num_rows,):
            raise RunFailed(f"outputs: expected {num_rows} rows, found shape {output.shape}")


def split(inputs: Tensors, num_rows: int, limit: int) -> list[tuple[Tensors, int]]:
    """Cut a request into parts of at most `limit` rows, with their numbers of rows; views."""
    return [
        (
            {name: array[start : start + limit] for name, array in inputs.items()},
            min(limit, num_rows - start),
        )
        for start in range(0, num_rows, limit)
    ]


def join(results: list[RunResult], num_rows: int) -> RunResult:
    """Put the parts of a split request together; one copy of the outputs."""
    columns = zip(*(result.outputs for result in results), strict=True)
    outputs = [np.concatenate(parts) for parts in columns]
    return RunResult(
        RunOutputs(outputs, num_rows),
        None,
        max(result.queue_seconds for result in results),
        round(sum(result.run_seconds for result in results), 7),
    )
