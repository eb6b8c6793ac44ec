"""Runs requests of shared runs again, alone, while a lane has nothing else to do.

What is compared: the request's rows of the shared run, and the same rows run as the request came.
ONNX Runtime rounds differently for different numbers of rows, which shows where terms cancel. So a
difference that is small beside the largest values of the run is looked at again: the request is run
beside copies of itself, as many rows as the shared run had. Then all is equal but the neighbours.
`B` rows in the shared run, `b` rows of the request.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from app.engine.batch_queue import WorkItem
from app.engine.bfloat import widened
from app.engine.proof import Proof
from app.engine.session_pool import Session, SessionPool
from app.engine.tensor import Array, Tensors, TensorSpec

RELATIVE_TOLERANCE = 1e-5
"""Largest difference that is none, relative to the request's largest value in that column."""

COARSE_TOLERANCES = {"float16": 2e-3, "bfloat16": 1.6e-2}
"""Likewise, of types whose last two bits are more than that."""


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        difference: In words; empty if there is none; None if that could not be found out.
        num_rows: That were run for it.
    """

    difference: str | None
    num_rows: int


class Recheck:
    """Checks one request at a time. Event loop only.

    Mutable state: the options of the run that is under way, by which it can be ended.

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
        position = self._proof.choose(len(batch), num_rows)
        if position is None or self.running or not self._pool.idle:
            return
        start = sum(item.num_rows for item in batch[:position])
        item = batch[position]
        self._options = ort.RunOptions()
        work = partial(
            check, item.inputs, outputs, slice(start, start + item.num_rows), self._options
        )
        self._pool.start(work, partial(self._end, item.num_rows, done))

    def give_way(self) -> None:
        """End the run at its next node: somebody waits for the lane."""
        if self._options is not None:
            self._options.terminate = True

    def _end(self, num_rows: int, done: Callable[[str], None], found: Finding) -> None:
        self._options = None
        if found.difference == "":
            self._proof.passed(num_rows, found.num_rows)
        done(found.difference or "")


def check(
    inputs: Tensors, shared: list[Array], rows: slice, options: ort.RunOptions, session: Session
) -> Finding:
    """Run a request alone, and compare; any thread. Never raises.

    Args:
        inputs: The request's, `[b, …]` each.
        shared: Outputs of the shared run, `[B, …]` each.
        rows: The request's in it.
        options: By which another thread may end the run.
        session: Where to run.
    """
    differing = partial(first_difference, shared, rows, specs=session.outputs)
    num_rows = rows.stop - rows.start
    try:
        alone = session.run(inputs, options)
        name = differing(alone)
        if not name or differing(alone, coarse=True):
            return Finding(_in_words(name), num_rows)
        place = (np.arange(len(shared[0])) - rows.start) % num_rows
        copies = session.run({name: array[place] for name, array in inputs.items()}, options)
        name = differing([output[rows] for output in copies])
        return Finding(_in_words(name), num_rows + len(place))
    except Exception:  # it was ended, memory ran out: nothing is known, and nobody waits for it
        return Finding(None, num_rows)


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
        coarse: Whether a difference is held against the largest value of the whole shared run,
            and not of the request in that column (the last axis).
    """
    for spec, together, apart in zip(specs, shared, alone, strict=True):
        if spec.dtype == "bfloat16":
            together, apart = widened(together), widened(apart)
        tolerance = COARSE_TOLERANCES.get(spec.dtype, RELATIVE_TOLERANCE)
        if not _same(together, rows, apart, tolerance, coarse=coarse):
            return spec.name
    return ""


def _same(together: Array, rows: slice, apart: Array, tolerance: float, *, coarse: bool) -> bool:
    found = together[rows]
    if found.shape != apart.shape:
        return False
    if found.dtype.kind != "f":
        return bool(np.array_equal(found, apart))
    axes = None if coarse or apart.ndim == 1 else tuple(range(apart.ndim - 1))
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, which are equal or are not
        sizes = np.abs(together if coarse else apart)
        scale = np.max(sizes, axis=axes, initial=0.0, where=np.isfinite(sizes))
        near = np.abs(found - apart) <= tolerance * scale
    return bool(np.all(near | (found == apart) | (np.isnan(found) & np.isnan(apart))))


def _in_words(name: str) -> str:
    return f"output {name}: rows run together differ from rows run apart" if name else ""
