"""Waiting for something that a process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

POLL_SECONDS = 0.02


class Process(Protocol):
    """What is told of a process: None while it runs."""

    def poll(self) -> int | None: ...


def wait_until(
    happened: Callable[[], bool], seconds: float, process: Process | None = None
) -> bool:
    """Wait until something has happened, an OSError meaning that it has not.

    Args:
        happened: Asked over and over.
        seconds: How long at most.
        process: Without which it cannot happen.

    Returns:
        False if the time is over, or the process has ended.
    """
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and (process is None or process.poll() is None):
        with suppress(OSError):
            if happened():
                return True
        time.sleep(POLL_SECONDS)
    return False
