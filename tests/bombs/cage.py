"""A bound on the memory of a process: a memory cgroup, or its address space where there is none."""

import os
import resource
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path(os.environ.get("BOMB_CGROUPS", "/sys/fs/cgroup"))
"""Where cgroups are; a folder that has none bounds the address space instead."""


@contextmanager
def caged(pid: int, more_bytes: int, cgroups: Path = CGROUPS) -> Iterator[None]:
    """Let a process take so much more memory than it has now.

    Beyond it, it is killed by its cgroup, or gets no more where its address space is bounded.
    """
    group = _enter_cgroup(pid, more_bytes, cgroups)
    before = None if group else _bound_address_space(pid, more_bytes)
    try:
        yield
    finally:
        alive = Path(f"/proc/{pid}").exists()
        if group:
            if alive:
                _write(group.parent / "cgroup.procs", pid)
            group.rmdir()
        elif before and alive:
            resource.prlimit(pid, resource.RLIMIT_AS, before)


def _enter_cgroup(pid: int, more_bytes: int, cgroups: Path) -> Path | None:
    """Put a process into a group of its own, of version 1 or 2; None where there are none."""
    name = f"bombs-{uuid.uuid4().hex}"
    for group, limit in (
        (cgroups / "memory" / name, "memory.limit_in_bytes"),
        (cgroups / name, "memory.max"),
    ):
        try:
            group.mkdir()
            _write(group / limit, more_bytes)  # what it has is another group's
            _write(group / "cgroup.procs", pid)
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        return group
    return None


def _write(path: Path, number: int) -> None:
    """Write into a file that is there: a folder that is no cgroup has none, and gets none."""
    with path.open("r+") as file:
        file.write(str(number))


def _bound_address_space(pid: int, more_bytes: int) -> tuple[int, int]:
    """Bound it above what a process has of it now; gives the bounds before."""
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    most = _status(pid, "VmSize") + more_bytes
    resource.prlimit(pid, resource.RLIMIT_AS, (most, before[1]))
    return before


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
