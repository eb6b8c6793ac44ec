"""The machine a measurement ran on, and how much of it others had meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("httptools", "uvloop", "litestar", "onnxruntime", "numpy", "msgspec")
GUEST_FIELDS = 2  # the last of /proc/stat, which user and nice hold already
MOST_DISTURBANCE = 0.1


def describe() -> dict[str, str]:
    """Return processor, kernel, versions, commit and date."""
    packages = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return {
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *packages]),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit, with a `+` when the working tree differs from it."""
    words = ["git", "describe", "--always", "--dirty=+", "--abbrev=12"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "none yet"


def processor_time() -> dict[str, float]:
    """Return CPU seconds by who had them: this command counts the processes it has ended."""
    times = psutil.cpu_times()
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "all": sum(times[: len(times) - GUEST_FIELDS]),
        "busy": times.user + times.nice + times.system,
        "stolen": times.steal,
        "own": sum(usage.ru_utime + usage.ru_stime for usage in usages),
    }


def disturbance(start: Mapping[str, float], *, servers: float = 0.0) -> str:
    """Return the shares of the cores' time that others had since `start`.

    Args:
        start: Of `processor_time`.
        servers: CPU seconds of servers that are not this command's children.
    """
    end = processor_time()
    passed = {name: end[name] - start[name] for name in end}
    others = max(0.0, passed["busy"] - passed["own"] - servers) / passed["all"]
    stolen = passed["stolen"] / passed["all"]
    return (
        f"{others:.0%} of the cores' time to other processes, {stolen:.1%} to other machines"
        f"{'; too much: measure again' if others + stolen > MOST_DISTURBANCE else ''}"
    )
