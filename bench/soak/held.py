"""What a server holds: memory, descriptors, threads, tasks and coroutines."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import Server
from bench.request import get as ask_once

PROBE = (sys.executable, "-m", "bench.soak.task_probe", "serve")
"""The server that can be asked, with ALIVE in its environment."""
MAY_COME = {"descriptors": 0, "tasks": 0, "coroutines": 0, "threads": 4 + (os.cpu_count() or 1)}
"""What may be more at the end; asyncio's pool of threads grows to this size as it is used."""
SETTLE_SECONDS = 10.0


def read_held(server: Server, alive: Path) -> dict[str, float]:
    """Read what the server holds, as soon as nothing of it is under way any more."""
    limit = time.monotonic() + SETTLE_SECONDS
    process = server.process
    while len(process.net_connections()) > 1 and time.monotonic() < limit:
        time.sleep(0.05)
    ask_once(server.port, "/metrics")  # what a scrape allocates once is there then
    time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    while not alive.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    counts: dict[str, float] = json.loads(alive.read_text())
    alive.unlink()
    descriptors, threads = process.num_fds(), process.num_threads()
    return {
        **counts,
        "bytes": server.rss_bytes(),
        "descriptors": descriptors,
        "threads": threads,
    }


def leaks(first: Mapping[str, float], last: Mapping[str, float]) -> list[str]:
    """Tell what has become more than it may, but for memory."""
    return [
        f"{name}: expected {first[name]:.0f}, found {last[name]:.0f}"
        for name, more in MAY_COME.items()
        if last[name] > first[name] + more
    ]
