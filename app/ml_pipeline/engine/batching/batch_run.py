"""One run of a batch: join the rows, call the session, count and hand out what comes back.

`run_batch` is called on whatever thread `batcher.py` chose; it touches nothing but its arguments.
`B` rows in the batch, `b` rows of one request.
"""

from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from ml_pipeline.engine.batching.batch_queue import RunOutputs, RunResult, WorkItem
from ml_pipeline.engine.sessions.session_pool import Session
from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.errors import DeadlineExceeded, InferenceError, RunFailed


class BatchRecord(NamedTuple):
    """One finished run, for observers.

    Attributes:
        num_requests: That shared it.
        num_rows: Of all of them.
        run_seconds: Of the run alone.
        inline: Whether it was on the event loop's thread.
    """

    num_requests: int
    num_rows: int
    run_seconds: float
    inline: bool


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        outputs: In the order of the signature, or the error. Of a shared run `[B, …]` each.
        num_rows: B.
        seconds: Of the run.
        miscounted: What is wrong with the outputs' rows, where it could not be told whose they are;
            empty if nothing is.
    """

    outputs: list[Array] | InferenceError
    num_rows: int
    seconds: float
    miscounted: str = ""


def run_batch(
    parts: list[Tensors],
    num_rows: int,
    session: Session,
    options: ort.RunOptions | None = None,
) -> Outcome:
    """Join the rows and run; of a shared run check that each row came back; any thread.

    One copy of the rows, none for a single request, whose outputs may be as they like.

    Args:
        parts: Inputs of each request, `[b, …]` each.
        num_rows: B.
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
        fault = miscounted(outputs, num_rows, session) if len(parts) > 1 else ""
    except InferenceError as error:
        return Outcome(error, num_rows, 0.0)
    except Exception as error:  # memory ran out, say: whatever it is, somebody waits for an answer
        return Outcome(RunFailed(f"run: {type(error).__name__}"), num_rows, 0.0)
    if fault:
        return Outcome(RunFailed(fault), num_rows, 0.0, fault)
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


def refuse_late(late: list[WorkItem], now: float) -> None:
    """Tell those whose deadline has passed while they waited; event loop only."""
    for item in late:
        if not item.future.done():
            text = f"deadline: passed after {now - item.arrived:.3f} s in the queue"
            item.future.set_exception(DeadlineExceeded(text))


def miscounted(outputs: list[Array], num_rows: int, session: Session) -> str:
    """Tell which output has not as many rows as went in; empty if all have."""
    for spec, output in zip(session.outputs, outputs, strict=True):
        if output.shape[:1] != (num_rows,):
            return f"output {spec.name}: expected {num_rows} rows, found shape {output.shape}"
    return ""


def miscounted_part(results: list[RunResult], session: Session) -> str:
    """Do the same for the parts of a split request; those of shared runs have been looked at."""
    for shared in (result.shared for result in results if result.rows is None):
        if fault := miscounted(shared.arrays, shared.num_rows, session):
            return fault
    return ""


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
