"""Which cores the servers and the load generator get.

With three cores or more the generator has one of its own. With fewer both share all of them: the
threads of some servers (Granian, mosec) alone keep more than one core busy, and would fight each
other on a single one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FEWEST_TO_DIVIDE = 3


@dataclass(frozen=True, slots=True)
class Cores:
    """Core numbers for each side, and the sentence a report says about them."""

    server: list[int]
    load: list[int]
    text: str


def divide() -> Cores:
    """Divide the cores this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < FEWEST_TO_DIVIDE:
        return Cores(cores, cores, f"servers and load generator share {len(cores)} cores")
    text = f"servers on {len(cores) - 1} cores, load generator on another"
    return Cores(cores[:-1], cores[-1:], text)


@contextmanager
def held(cores: list[int]) -> Iterator[None]:
    """Keep this process on `cores` for a `with` block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
