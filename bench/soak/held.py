"""What a server holds: memory, descriptors, threads, tasks and coroutines."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from time import sleep

from bench.harness import Server
from bench.request import get as ask_once
from bench.soak.scenario import Run, at_most
from bench.waiting import wait_until

PROBE = (sys.executable, "-m", "bench.soak.task_probe", "serve")
"""The server that can be asked, with ALIVE in its environment."""
MAY_COME = {"descriptors": 0, "tasks": 0, "coroutines": 0, "threads": 4 + (os.cpu_count() or 1)}
"""What may be more at the end; asyncio's pool of threads grows to this size as it is used."""
SETTLE_SECONDS = 10.0
MOST_GROWTH = 5.0
"""Of resident memory after the first tenth, in per cent of it."""
MOST_GROWTH_QUICK = 15.0
"""The same in the short form, whose first tenth fills no cache."""


def read_held(server: Server, alive: Path) -> dict[str, float]:
    """Read what the server holds, as soon as nothing of it is under way any more."""
    process = server.process
    wait_until(lambda: len(process.net_connections()) <= 1, SETTLE_SECONDS)
    ask_once(server.port, "/metrics")  # what a scrape allocates once is there then
    sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    wait_until(alive.exists, SETTLE_SECONDS)
    counts: dict[str, float] = json.loads(alive.read_text())
    alive.unlink()
    descriptors, threads = process.num_fds(), process.num_threads()
    held = {"bytes": server.rss_bytes(), "descriptors": descriptors, "threads": threads}
    return {**counts, **held}


def compare(
    run: Run, first: Mapping[str, float], last: Mapping[str, float]
) -> tuple[str, list[str]]:
    """Return how the first tenth and the end differ, as a table has it, and what is too much."""
    growth = 100 * (last["bytes"] / first["bytes"] - 1.0)
    broken = at_most("memory, growth", growth, run.choose(MOST_GROWTH, MOST_GROWTH_QUICK), " %")
    for name, more in MAY_COME.items():
        broken += at_most(name, last[name], first[name] + more)
    told = ", ".join(
        f"{name} {first[name]:.0f} → {last[name]:.0f}" for name in ("descriptors", "tasks")
    )
    memory = f"memory {first['bytes'] / 1e6:.0f} MB after a tenth, {growth:+.1f}% at the end"
    return f"{memory}; {told}", broken
