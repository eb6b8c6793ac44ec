"""Runs requests of shared runs again, alone, while a lane has nothing else to do.

What is compared: the request's rows of the shared run, and the same rows run as the request came.
ONNX Runtime rounds differently for different numbers of rows, which shows where terms cancel. So a
difference that is small beside the largest values of the run is looked at again: the request is run
beside copies of itself, as many rows as the shared run had. Then all is equal but the neighbours.
`B` rows in the shared run, `b` rows of the request.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from ml_pipeline.engine.batching.batch_queue import WorkItem
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.sessions.session_pool import Session, SessionPool
from ml_pipeline.engine.signature.bfloat import widened
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.engine.trials.equality import (
    RELATIVE_TOLERANCE,
    ROUNDING_TOLERANCE,
    allowed,
    unequal,
)

BFLOAT16_TOLERANCE = 1.6e-2
"""Four steps of bfloat16, in place of the tolerances for floats that have more digits."""


class Checked(NamedTuple):
    """A request of a shared run: its inputs, `[b, …]` each, and which of the run's rows it has."""

    inputs: Tensors
    rows: slice


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        difference: In words; empty if none was found.
        num_passed: Rows that are the same.
        num_run: Rows that were run to find out.
    """

    difference: str
    num_passed: int
    num_run: int


class Recheck:
    """Checks requests of one shared run at a time. Event loop only.

    Mutable state: the options of the runs that are under way, by which they can be ended.

    Args:
        pool: Where it runs.
        proof: Says what to check, and is told what passed.
    """

    def __init__(self, pool: SessionPool, proof: Proof) -> None:
        self._pool = pool
        self._proof = proof
        self._options: ort.RunOptions | None = None

    @property
    def running(self) -> bool:
        """Whether it keeps a lane."""
        return self._options is not None

    def observe(
        self,
        batch: list[WorkItem],
        outputs: list[Array],
        num_rows: int,
        done: Callable[[str], None],
    ) -> None:
        """Take note of a shared run; begin a check if one is due and a lane is idle.

        Args:
            batch: Its requests.
            outputs: `[B, …]` each.
            num_rows: B.
            done: Told at the end of a check, when the lane is idle again, what differs in words;
                empty if nothing is known to.
        """
        places = self._proof.choose(len(batch), num_rows)
        if not places or self.running or not self._pool.idle:
            return
        stops = list(accumulate(item.num_rows for item in batch))
        requests = [
            Checked(batch[place].inputs, slice(stops[place] - batch[place].num_rows, stops[place]))
            for place in places
        ]
        self._options = ort.RunOptions()
        work = partial(check, requests, outputs, self._options)
        self._pool.start(work, partial(self._end, done))

    def give_way(self) -> None:
        """End the runs at the next node: somebody waits for the lane."""
        if self._options is not None:
            self._options.terminate = True

    def _end(self, done: Callable[[str], None], found: Finding) -> None:
        self._options = None
        if found.num_passed:
            self._proof.passed(found.num_passed, found.num_run)
        done(found.difference)


def check(
    requests: list[Checked], shared: list[Array], options: ort.RunOptions, session: Session
) -> Finding:
    """Run requests alone, one after the other, and compare; any thread. Never raises.

    Args:
        requests: Of a shared run.
        shared: Its outputs, `[B, …]` each.
        options: By which another thread may end it; what has passed by then counts.
        session: Where to run.
    """
    num_passed = num_run = 0
    try:
        for request in requests:
            difference, num_rows = _compare(request, shared, options, session)
            num_run += num_rows
            if difference:
                return Finding(difference, num_passed, num_run)
            num_passed += request.rows.stop - request.rows.start
    except Exception:  # it was ended, memory ran out: nothing is known, and nobody waits for it
        pass
    return Finding("", num_passed, num_run)


def _compare(
    request: Checked, shared: list[Array], options: ort.RunOptions, session: Session
) -> tuple[str, int]:
    """Give what differs, in words, and how many rows were run."""
    inputs, rows = request
    differing = partial(first_difference, shared, rows, specs=session.outputs)
    num_rows = rows.stop - rows.start
    alone = session.run(inputs, options)
    name = differing(alone)
    if not name or differing(alone, coarse=True):
        return _in_words(name), num_rows
    places = (np.arange(len(shared[0])) - rows.start) % num_rows
    copies = session.run({name: array[places] for name, array in inputs.items()}, options)
    name = differing([output[rows] for output in copies])
    return _in_words(name), num_rows + len(places)


def first_difference(
    shared: list[Array],
    rows: slice,
    alone: list[Array],
    specs: Sequence[TensorSpec],
    *,
    coarse: bool = False,
) -> str:
    """Name the first output whose rows are not the same in a shared run and alone; empty if none.

    Args:
        shared: Outputs of the shared run, `[B, …]` each.
        rows: The request's in it.
        alone: Outputs of the request's own run, `[b, …]` each.
        specs: Of the outputs.
        coarse: Whether differences are held against the largest value of the whole shared run, as
            by rounding, and not against the request's own values by column (`equality.py`).
    """
    for spec, together, apart in zip(specs, shared, alone, strict=True):
        tolerance = ROUNDING_TOLERANCE if coarse else RELATIVE_TOLERANCE
        if spec.dtype == "bfloat16":
            together, apart, tolerance = widened(together), widened(apart), BFLOAT16_TOLERANCE
        found = together[rows]
        if found.shape != apart.shape:
            return spec.name
        near = allowed(apart, np.zeros(len(apart)), tolerance)
        if coarse:
            every = together.reshape(-1)
            near = allowed(every, np.zeros(len(every)), tolerance).max(initial=0.0)
        if unequal(found, apart, near).any():
            return spec.name
    return ""


def _in_words(name: str) -> str:
    return f"output {name}: rows run together differ from rows run apart" if name else ""
