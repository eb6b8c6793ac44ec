"""What service has shown of a model whose graph does not tell whether its rows stay apart.

Plain data: no event loop, no session. Of shared runs the first `FIRST_ROWS` rows, and then one in
`EVERY_ROWS`, are run again alone: which ones is decided here, `recheck.py` does it.
"""

import random
from collections.abc import Callable
from typing import Literal

FIRST_ROWS = 64
"""Rows that must have passed before others are told what shared runs answer. A neighbour that
matters shows at once in nearly all models that have one: 64 rows, each beside others, are cheap."""

EVERY_ROWS = 1000
"""Of the rows after those, one is run again: a row alone costs some times what it costs beside
others, and all of it is to stay below 1 % of the throughput. On average: as many each time would
always fall on the same run of what comes again and again, such as the last part of a large request.
"""

Keeping = Literal["everywhere", "here", "nowhere"]
"""Which caches may keep what shared runs answer: all, that of this process, none."""


class Proof:
    """Event loop only.

    Mutable state: the rows that passed, those until the next check, at whose place in its run it
    begins, and whether one has failed.

    Args:
        accepted: Whether the model's owner takes answers that depend on neighbours. Then nothing is
            checked, and nothing kept.
        spread: Gives how much longer than usual it is until the next check, 1 on average.

    Attributes:
        num_passed: Rows that were answered alone as they were beside others.
        refuted: Whether some were not.
    """

    def __init__(
        self,
        *,
        accepted: bool = False,
        spread: Callable[[], float] = lambda: random.uniform(0.5, 1.5),
    ) -> None:
        self.accepted = accepted
        self._spread = spread
        self.num_passed = 0
        self.refuted = False
        self._num_until_next = 1
        self._turn = 0

    @property
    def trusted(self) -> bool:
        """Whether the first rows have passed."""
        return self.num_passed >= FIRST_ROWS and not self.refuted

    @property
    def keeping(self) -> Keeping:
        """Which caches may keep an answer of a shared run."""
        if self.accepted or self.refuted:
            return "nowhere"
        return "everywhere" if self.trusted else "here"

    def choose(self, num_requests: int, num_rows: int) -> list[int]:
        """Count a shared run; give the places of the requests that are to be checked.

        Of the first runs these are all, later one now and then, whose place changes: a model may
        spoil the last rows of a run only. A check that is then not made is due with the next run.
        """
        self._num_until_next -= num_rows
        if self._num_until_next > 0 or self.accepted or self.refuted:
            return []
        self._turn += 1
        count = 1 if self.trusted else min(num_requests, FIRST_ROWS - self.num_passed)
        return [(self._turn + step) % num_requests for step in range(count)]

    def passed(self, num_rows: int, num_run: int) -> None:
        """Take note of rows that are answered alone as beside others.

        Args:
            num_rows: Their number.
            num_run: Rows that were run to find out.
        """
        first = not self.trusted
        self.num_passed += num_rows
        if self.trusted:
            usual = EVERY_ROWS if first else EVERY_ROWS * num_run
            self._num_until_next = round(usual * self._spread())
