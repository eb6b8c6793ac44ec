"""What waits, and what goes next: the deciding half of microbatching.

Plain data: no event loop, no clock, no session. `batcher.py` acts on what is decided here.
Rows of one *group* (same dtypes and sizes but the first) may share a run; groups do not mix.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterator

import msgspec

from ml_pipeline.engine.signature.tensor import Array, Tensors
from ml_pipeline.engine.wire.answer import Answers

LEVEL_SECONDS = 0.25
"""What a level of priority is worth. Whoever has waited so much longer goes first all the same, so
that no number of requests of a higher one keeps anybody waiting for ever."""


def head_start(priority: int, num_levels: int) -> float:
    """Seconds that a request is taken to have come sooner than it did; below 0 later.

    Args:
        priority: 1 is the soonest; beyond the levels it is the last of them.
        num_levels: Of the model. The middle one is that of requests that name none.
    """
    return ((num_levels + 1) // 2 - min(priority, num_levels)) * LEVEL_SECONDS


class BatchOptions(msgspec.Struct, frozen=True):
    """How a model is batched.

    Attributes:
        max_batch_size: Rows in a run at most; 1 turns batching off.
        max_queue_size: Rows that may wait; beyond it requests are refused.
        max_queue_delay_seconds: Longest wait of a first row for company; 0 = never wait.
        inline_budget_seconds: Runs predicted to be shorter stay on the event loop's thread.
    """

    max_batch_size: int
    max_queue_size: int
    max_queue_delay_seconds: float
    inline_budget_seconds: float


class RunOutputs(msgspec.Struct, gc=False, eq=False):
    """What one run gave: all requests of its batch share it, so that it is read once.

    Attributes:
        arrays: In the order of the model's signature, `[B, …]` each.
        num_rows: B; of a request that was split, its own.
        answers: The same as clients see it, once one has asked.
    """

    arrays: list[Array]
    num_rows: int
    answers: Answers | None = None


class RunResult(msgspec.Struct, frozen=True, gc=False):
    """What a request gets back.

    Attributes:
        shared: The run's outputs.
        rows: Which of their rows are the request's; None where it had a run to itself, whose
            outputs need not have a row for each of its own.
        queue_seconds: From arrival in the queue to the start of the run.
        run_seconds: The run itself, shared by all requests of the batch.
    """

    shared: RunOutputs
    rows: slice | None
    queue_seconds: float
    run_seconds: float

    @property
    def outputs(self) -> list[Array]:
        """The request's own, `[b, …]` each; views."""
        if self.rows is None:
            return self.shared.arrays
        return [array[self.rows] for array in self.shared.arrays]


class WorkItem(msgspec.Struct, gc=False, eq=False):
    """Rows of one request that wait for a run.

    Attributes:
        inputs: `[b, …]` each.
        num_rows: b.
        group: Items of equal groups may share a run.
        deadline: On the loop's clock, seconds; past it the rows are not worth running.
        arrived: When it came, on the same clock.
        future: Where the result goes; done early when the caller has left.
        head_start: Seconds that it is taken to have come sooner; of equal groups it is equal.
        alone: Set after a failed batch: run by itself, so that only the guilty request fails.
    """

    inputs: Tensors
    num_rows: int
    group: Hashable
    deadline: float
    arrived: float
    future: asyncio.Future[RunResult]
    head_start: float = 0.0
    alone: bool = False


class BatchQueue:
    """First come, first served, by group.

    Mutable state: the items by group in order of arrival, `num_rows` that wait, and
    `next_deadline`, no later than the earliest of them.
    """

    def __init__(self) -> None:
        self._groups: dict[Hashable, deque[WorkItem]] = {}
        self.num_rows = 0
        self.next_deadline = float("inf")

    def push(self, item: WorkItem) -> None:
        """Add to the end."""
        group = self._groups.get(item.group)
        if group is None:
            group = self._groups[item.group] = deque()
        group.append(item)
        self._count(item)

    def push_front(self, items: list[WorkItem]) -> None:
        """Put a failed batch back, each of its items to be run alone."""
        for item in reversed(items):
            item.alone = True
            self._groups.setdefault(item.group, deque()).appendleft(item)
            self._count(item)

    def take(self, max_rows: int) -> list[WorkItem]:
        """Take the next batch: items of the group whose turn it is, up to `max_rows`, at least one.

        It is the turn of the one whose first has waited longest, its head start counted in.

        Items whose caller has left are dropped on the way. Empty only if nothing is left.
        """
        batch: list[WorkItem] = []
        while self._groups and not batch:
            key = min(self._groups, key=self._turn)
            waiting = self._groups[key]
            num_rows = 0
            while waiting and self._fits(batch, num_rows, waiting[0], max_rows):
                item = waiting.popleft()
                self.num_rows -= item.num_rows
                if not item.future.done():
                    batch.append(item)
                    num_rows += item.num_rows
            if not waiting:
                del self._groups[key]
        if not self._groups:
            self.next_deadline = float("inf")
        return batch

    def _turn(self, group: Hashable) -> float:
        first = self._groups[group][0]
        return first.arrived - first.head_start

    @staticmethod
    def _fits(batch: list[WorkItem], num_rows: int, item: WorkItem, max_rows: int) -> bool:
        if not batch:
            return True
        return not (item.alone or batch[0].alone) and num_rows + item.num_rows <= max_rows

    def expire(self, now: float) -> list[WorkItem]:
        """Take out what is past its deadline. O(1) until something may be."""
        return self.sweep(now) if now >= self.next_deadline else []

    def sweep(self, now: float) -> list[WorkItem]:
        """Take out what is past its deadline, or abandoned. O(n)."""
        late = [item for item in self if item.deadline <= now or item.future.done()]
        staying = [item for item in self if not (item.deadline <= now or item.future.done())]
        self._groups.clear()
        self.num_rows = 0
        self.next_deadline = float("inf")
        for item in staying:
            self.push(item)
        return late

    def _count(self, item: WorkItem) -> None:
        self.num_rows += item.num_rows
        if item.deadline < self.next_deadline:
            self.next_deadline = item.deadline

    def __iter__(self) -> Iterator[WorkItem]:
        for waiting in self._groups.values():
            yield from waiting

    def __len__(self) -> int:
        return sum(map(len, self._groups.values())) if self._groups else 0

    def __bool__(self) -> bool:
        return bool(self._groups)
