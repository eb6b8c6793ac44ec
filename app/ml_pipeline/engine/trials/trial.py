"""Evidence that rows run together are answered as each is alone.

`k` rows are run apart, once each; then some of them together: 2, 6, and as many as a batch may
have. What counts as equal is `equality.py`.
"""

from math import inf
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.bfloat import widened
from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.engine.trials.equality import (
    RELATIVE_TOLERANCE,
    ROUNDING_TOLERANCE,
    allowed,
    unequal,
    varies,
)
from ml_pipeline.engine.trials.trial_rows import MOST_BYTES, TrialRows
from ml_pipeline.errors import RunRefused

FEW = 6
"""Rows that are tried however long that takes."""

TRIAL_SECONDS, CHECK_SECONDS = 0.5, 0.1
"""Time for all other rows: a slow model is ready after a few runs. The latter where the graph shows
already what the trial is to find."""

NUM_COPIED = 3
"""Rows of a run of which it is found out whether their neighbours make the difference."""

Outcome = Literal["equal", "differs", "unfit", "unproven", "failed"]
"""Together equals apart; it does not; what comes back are no rows that could be handed out; it says
nothing, for all answers are the same; no row could be run."""


class Evidence(NamedTuple):
    """What a trial has found; `reason` is a clause for people, empty where all is equal."""

    outcome: Outcome
    reason: str = ""


def try_batching(
    pool: SessionPool, rows: TrialRows, max_batch_size: int, *, seconds: float = TRIAL_SECONDS
) -> Evidence:
    """Run rows together and apart, on the calling thread, with the pool's first session.

    Args:
        pool: The model's sessions.
        rows: What to try it with.
        max_batch_size: Most rows that will be run together.
        seconds: Time for more than the first few rows.
    """
    trial = _Trial(pool, rows)
    found = trial.run_apart(FEW) or trial.run_together(0, 2) or trial.run_together(0, FEW)
    finish = perf_counter() + seconds
    found = found or trial.run_apart(len(rows.scales), finish - seconds / 2)
    if found:
        return found
    largest = trial.affordable(max_batch_size, finish - perf_counter())
    runs = [(0, largest)] if largest > FEW else []
    runs += [(start, size) for size in (2, FEW) for start in range(size, trial.num_taken, size)]
    for start, size in runs:
        if perf_counter() < finish and (found := trial.run_together(start, size)):
            return found
    if trial.tells_nothing():
        return Evidence("unproven", "its trial proves nothing: every row has the same answer")
    return Evidence("equal")


class _Trial:
    """Mutable state: `_taken`, the numbers of the rows that the model takes, and their answers.

    `_expected` are those answers by output, `[k, …]` each; `_allowed` is how far others may be from
    them, `_rounding` how far if only the number of rows makes them differ.
    """

    def __init__(self, pool: SessionPool, rows: TrialRows) -> None:
        self._pool, self._rows = pool, rows
        self._outputs = pool.sessions[0].outputs
        self._next = 0
        self._row_seconds = inf
        self._taken: list[int] = []
        self._apart: list[list[Array]] = []
        self._expected: list[Array] = []
        self._allowed: list[Array] = []
        self._rounding: list[Array] = []

    @property
    def num_taken(self) -> int:
        """Rows that the model has taken."""
        return len(self._taken)

    def run_apart(self, enough: int, finish: float = inf) -> Evidence | None:
        """Run one row after the other, until the model has taken enough of them."""
        refusal = ""
        while self._next < len(self._rows.scales) and self.num_taken < enough:
            if perf_counter() > finish:
                break
            number, self._next = self._next, self._next + 1
            try:
                self._apart.append(self._run(self._inputs([number])))
                self._taken.append(number)
            except RunRefused as error:
                refusal = error.detail
        if not self._taken:
            return Evidence("failed", f"trial rows failed: {refusal}")
        scales = self._rows.scales[self._taken]
        self._expected, self._allowed, self._rounding = [], [], []
        for spec, answers in zip(self._outputs, zip(*self._apart, strict=True), strict=True):
            if any(each.shape[:1] != (1,) for each in answers):
                return Evidence("unfit", _no_rows(spec.name))
            if any(each.shape != answers[0].shape for each in answers):
                reason = f"output {spec.name}: the size of a row's answer depends on its values"
                return Evidence("unfit", reason)
            expected = np.concatenate(answers)
            self._expected.append(expected)
            self._allowed.append(allowed(expected, scales, RELATIVE_TOLERANCE))
            self._rounding.append(allowed(expected, scales, ROUNDING_TOLERANCE))
        return None

    def run_together(self, start: int, size: int) -> Evidence | None:
        """Run so many rows from one on, again from the first behind the last; None if all equal."""
        places = np.arange(start, start + size) % self.num_taken
        started = perf_counter()
        try:
            together = self._run(self._inputs([self._taken[place] for place in places]))
        except RunRefused as error:
            return Evidence("unfit", f"rows that can be run apart fail together: {error.detail}")
        for index, output in enumerate(together):
            name, expected = self._outputs[index].name, self._expected[index][places]
            if output.shape[:1] != (size,):
                return Evidence("unfit", _no_rows(name))
            if output.shape != expected.shape:
                reason = f"output {name}: rows run together have other sizes than rows run apart"
                return Evidence("unfit", reason)
            if self._differs(index, output, places):
                reason = f"output {name}: rows run together differ from rows run apart"
                return Evidence("differs", reason)
        self._row_seconds = min(self._row_seconds, (perf_counter() - started) / size)
        return None

    def _differs(self, index: int, output: Array, places: Array) -> bool:
        """Tell whether rows of an output are not what they are alone, but for rounding."""
        expected = self._expected[index][places]
        for allowed_here, asked in ((self._rounding, False), (self._allowed, True)):
            different = unequal(output, expected, allowed_here[index][places])
            rows = np.flatnonzero(different.reshape(len(places), -1).any(axis=1))
            if len(rows) and not (asked and self._alike_beside_copies(index, output, places, rows)):
                return True
        return False

    def _alike_beside_copies(self, index: int, output: Array, places: Array, rows: Array) -> bool:
        """Tell whether some of these rows are answered so among as many copies of themselves."""
        for row in rows[:NUM_COPIED]:
            copies = self._run(self._inputs([self._taken[places[row]]] * len(places)))[index]
            near = self._allowed[index][places[row] : places[row] + 1]
            if copies.shape != output.shape:
                return False
            if unequal(output[row : row + 1], copies[row : row + 1], near).any():
                return False
        return True

    def affordable(self, max_rows: int, seconds: float) -> int:
        """Count the rows that can be run and compared in a time, by the quickest so far."""
        row_bytes = sum(array[:1].nbytes for array in self._rows.inputs.values())
        return int(min(max_rows, MOST_BYTES / max(row_bytes, 1), seconds / self._row_seconds))

    def tells_nothing(self) -> bool:
        """Whether answers are the same for all rows; if there are floats, they alone count."""
        floats = [each for each in self._expected if each.dtype.kind == "f"]
        return not any(varies(each) for each in floats or self._expected)

    def _inputs(self, numbers: list[int]) -> Tensors:
        return {name: array[numbers] for name, array in self._rows.inputs.items()}

    def _run(self, inputs: Tensors) -> list[Array]:
        outputs = zip(self._pool.run(inputs), self._outputs, strict=True)
        return [widened(each) if spec.dtype == "bfloat16" else each for each, spec in outputs]


def _no_rows(name: str) -> str:
    return f"output {name}: its first dimension does not follow the input's"
