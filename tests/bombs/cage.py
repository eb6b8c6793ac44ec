"""A bound on the memory of a process: a memory cgroup, or its address space where there is none."""

import os
import resource
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


@contextmanager
def caged(pid: int, more_bytes: int) -> Iterator[None]:
    """Let a process take so much more memory than it has now; beyond it, it is killed."""
    name = f"bombs-{uuid.uuid4().hex}"
    for group, limit in (
        (CGROUPS / "memory" / name, "memory.limit_in_bytes"),
        (CGROUPS / name, "memory.max"),
    ):
        try:
            group.mkdir()
            (group / limit).write_text(str(more_bytes))  # what it has is another group's
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        try:
            yield
        finally:
            home = group.parent / "cgroup.procs"
            if Path(f"/proc/{pid}").exists():
                home.write_text(str(pid))
            group.rmdir()
        return
    size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (size + more_bytes, hard))
    yield


def resident_bytes(pid: int) -> int:
    """Memory that a process has now."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it has had since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Begin anew; Linux knows it as 5 (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(f"{field}: expected a process that lives, found none")
