"""The server with a stopwatch on its garbage collector.

Run as `python -m bench.gc_probe serve [MODEL]`, configured as the server is. On its way out it
writes every collection to the file GC_PAUSES names, one line of JSON: generation, start on the
monotonic clock, seconds.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from ml_pipeline.__main__ import main

Pause = tuple[int, float, float]


def watch(pauses: list[Pause]) -> Callable[[str, dict[str, int]], None]:
    """Return the callback for `gc.callbacks` that appends to `pauses`."""
    start = 0.0

    def callback(phase: str, collection: dict[str, int]) -> None:
        nonlocal start
        now = time.monotonic()
        if phase == "start":
            start = now
        else:
            pauses.append((collection["generation"], start, now - start))

    return callback


def run() -> None:
    """Serve, then write down what was seen."""
    pauses: list[Pause] = []
    gc.callbacks.append(watch(pauses))
    try:
        main()
    finally:
        Path(os.environ["GC_PAUSES"]).write_text(json.dumps(pauses))


if __name__ == "__main__":
    run()
