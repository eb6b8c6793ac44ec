"""What is known of one tensor while the batch axis is followed through a graph.

A graph is followed for several numbers of rows at once, `BATCHES`. All sizes are then plain
integers, and no algebra is needed: what differs between them depends on the number of rows. `P` is
the last of them, a prime so large that a size is a multiple of it only along the rows.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

BATCHES = (1, 2, 100_003)
"""One row, because alone is how an answer shall be the same, and where axes of size 1 disappear or
stretch; two; and a prime beyond the largest batch that can be asked for (65,536)."""

P = BATCHES[-1]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class Rows(NamedTuple):
    """Where the rows of the batch lie in a tensor: along one axis, in blocks.

    The axis has `outer · B · inner` elements: `outer` times over, each row in turn with `inner`
    elements. An input has (0, 1, 1); flattening `[B, 3]` gives (0, 1, 3).
    """

    axis: int
    outer: int = 1
    inner: int = 1

    def moved(self, axis: int) -> "Rows":
        """The same blocks along another axis."""
        return Rows(axis, self.outer, self.inner)


class Fault(NamedTuple):
    """Why rows of a tensor do not stay apart, or why nobody can tell.

    Attributes:
        verdict: Coupled, if it is understood.
        node: Operator and name of the node where it happened.
        reason: One clause, after "it …".
    """

    verdict: Literal["coupled", "unknown"]
    node: str
    reason: str


class Mixed(Exception):
    """Raised by a rule: this node lets rows know of each other. The text is a clause."""


class NotUnderstood(Exception):
    """Raised by a rule: nobody can tell. The text is a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor.

    Attributes:
        kind: ONNX' number of its element type; 0 if unknown.
        shapes: Its shape for each of `BATCHES`; None if unknown.
        rows: Where the rows lie; None if it does not depend on them.
        fault: Set where that cannot be said.
        data: Its elements for each of `BATCHES`, if they are few and no input decides them.
        counts: Whether its elements depend on how many rows there are.
        hidden: Whether they may although they are the same for each of `BATCHES`: "are there 8?".
        guessed: Whether they may come of sizes that the inputs leave open.
        numbers: Whether its elements are numbers of rows: "each" its own (`Range`), or in the
            "first" place of the last axis, as indices hold them; "sorted" as a sort gives them, and
            "back" those that undo it (`ordering.py`).
        sort: Which sort that is.
        order: Which sort the rows themselves are in; empty for their own order, None if they are
            all alike.
        padding: The string that fills it up to the longest row, if that is all that rows share.
    """

    kind: int = 0
    shapes: tuple[Shape, ...] | None = None
    rows: Rows | None = None
    fault: Fault | None = None
    data: tuple[Array, ...] | None = None
    counts: bool = False
    hidden: bool = False
    guessed: bool = False
    numbers: Literal["", "each", "first", "sorted", "back"] = ""
    sort: str = ""
    order: str | None = ""
    padding: str | None = None

    @property
    def shape(self) -> Shape:
        """For `P` rows. Raises NotUnderstood if it is not known."""
        if self.shapes is None:
            raise NotUnderstood("works on sizes that the graph does not tell")
        return self.shapes[-1]

    @property
    def rank(self) -> int:
        """Number of axes. Raises NotUnderstood if it is not known."""
        return len(self.shape)

    @property
    def constant(self) -> Array | None:
        """Its elements, if they are the same for any number of rows."""
        return None if self.data is None or self.counts else self.data[-1]

    def failed(self, fault: Fault) -> "Value":
        """The same tensor, of which the rows are not known any more."""
        return replace(self, fault=fault, rows=None, data=None)


def of_data(arrays: tuple[Array, ...], kind: int) -> Value:
    """Make a value whose elements are known."""
    first = arrays[0]
    differs = any(not _equal(first, other) for other in arrays[1:])
    shapes = tuple(array.shape for array in arrays)
    return Value(kind=kind, shapes=shapes, data=arrays, counts=differs)


def _equal(left: Array, right: Array) -> bool:
    if left is right:
        return True
    may_be_nan = left.dtype.kind == right.dtype.kind == "f"
    return left.shape == right.shape and np.array_equal(left, right, equal_nan=may_be_nan)


def along(axis: int, rank: int) -> int:
    """Count an axis from the front."""
    return axis + rank if axis < 0 else axis
