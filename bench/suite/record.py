"""What became of the requests of one scenario, one line each, in arrays that cost nothing."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
MOST_FAULTS = 5  # told in words; all are counted


@dataclass(slots=True)
class Record:
    """Every request: when it was due, how much later it was sent and answered, and how.

    Attributes:
        faults: Of the first wrong ones, in words.
        num_faults: Requests that were answered wrongly or not at all.
    """

    faults: list[str] = field(default_factory=list)
    num_faults: int = 0
    _due: array[float] = field(default_factory=lambda: array("d"))
    _late: array[float] = field(default_factory=lambda: array("d"))
    _latency: array[float] = field(default_factory=lambda: array("d"))
    _kind: array[int] = field(default_factory=lambda: array("H"))
    _kinds: dict[tuple[int, str], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._due)

    def add(
        self, due: float, late: float, latency: float, *, status: int, cache: str, fault: str = ""
    ) -> None:
        """Add a request.

        Args:
            due: Seconds since the scenario began.
            late: Seconds from then until it was sent.
            latency: Seconds from when it was due to the last byte of its answer.
            status: Of HTTP; 0 for none.
            cache: `X-Cache` of the answer, or nothing.
            fault: What was wrong with it, or nothing.
        """
        self._due.append(due)
        self._late.append(late)
        self._latency.append(latency)
        self._kind.append(self._kinds.setdefault((status, cache), len(self._kinds)))
        if fault:
            self.num_faults += 1
            if len(self.faults) < MOST_FAULTS:
                self.faults.append(fault)

    @property
    def due(self) -> Array:
        """Return when each was due, seconds since the beginning, float64 [requests]."""
        return np.array(self._due)

    @property
    def late(self) -> Array:
        """Return how much later each was sent, seconds, float64 [requests]."""
        return np.array(self._late)

    @property
    def latency(self) -> Array:
        """Return from due to answered, seconds, float64 [requests]."""
        return np.array(self._latency)

    def having(self, *, status: int | None = None, cache: str | None = None) -> Array:
        """Return which have this status and cache state, bool [requests]."""
        wanted = [
            number
            for (its_status, its_cache), number in self._kinds.items()
            if status in (None, its_status) and cache in (None, its_cache)
        ]
        return np.isin(np.array(self._kind), wanted)

    def counts(self) -> Counter[tuple[int, str]]:
        """Count requests by status and cache state."""
        numbers = Counter(self._kind)
        return Counter({kind: numbers[number] for kind, number in self._kinds.items()})

    def latest(self, since: int) -> Array:
        """Return the latencies of all but the first `since` requests, seconds."""
        return np.array(self._latency[since:])
