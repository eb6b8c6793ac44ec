"""The server, telling on SIGUSR1 how many tasks and coroutines are alive in it.

Run as `python -m bench.soak.task_probe serve [MODEL]`, configured as the server is. The numbers go
to the file that ALIVE names, as one line of JSON. Those from before it was ready are not counted:
they were frozen out of the garbage collector's sight.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import CoroutineType, FrameType

from ml_pipeline.__main__ import main


def tell(_number: int, _frame: FrameType | None) -> None:
    """Write the numbers; by way of another file, so that no half is ever read."""
    alive = gc.get_objects()
    counts = {
        "tasks": sum(isinstance(each, asyncio.Task) and not each.done() for each in alive),
        "coroutines": sum(isinstance(each, CoroutineType) for each in alive),
    }
    path = Path(os.environ["ALIVE"])
    written = path.with_suffix(".new")
    written.write_text(json.dumps(counts))
    written.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    sys.exit(main())
