"""The bound on a process' memory holds, whichever way it is set, and ends with its block."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bombs.cage import CGROUPS, caged

MEGABYTE = 1 << 20
TAKE = """
import sys
for line in sys.stdin:
    try:
        taken = bytearray(int(line))
        print("taken", flush=True)
    except MemoryError:
        print("refused", flush=True)
"""


@pytest.fixture
def taker() -> Iterator[subprocess.Popen[str]]:
    """A process that takes as much memory as it is told to."""
    command = [sys.executable, "-c", TAKE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def take(taker: subprocess.Popen[str], megabytes: int) -> str:
    """Let it take that much in place of what it has; empty where that ended it."""
    assert taker.stdin is not None
    assert taker.stdout is not None
    taker.stdin.write(f"{megabytes * MEGABYTE}\n")
    taker.stdin.flush()
    return taker.stdout.readline().strip()


def nowhere(path: Path) -> Path:
    """A folder that is not there."""
    return path / "none"


def plain(path: Path) -> Path:
    """Folders that are no cgroups, as where only others are mounted."""
    (path / "memory").mkdir()
    return path


@pytest.mark.parametrize("cgroups", [nowhere, plain])
def test_the_address_space_is_bounded_where_there_is_no_cgroup(
    cgroups: Callable[[Path], Path], taker: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Within its block it is refused what is beyond, and outside it has what it likes."""
    take(taker, 1)
    with caged(taker.pid, 128 * MEGABYTE, cgroups(tmp_path)):
        within = [take(taker, megabytes) for megabytes in (64, 512, 64)]

    assert within == ["taken", "refused", "taken"]
    assert take(taker, 512) == "taken"


def test_the_usual_cage_holds(taker: subprocess.Popen[str]) -> None:
    """A cgroup where there is one: who takes more is ended or refused, less is taken."""
    take(taker, 1)
    with caged(taker.pid, 128 * MEGABYTE, CGROUPS):
        assert take(taker, 64) == "taken"
        assert take(taker, 512) in ("", "refused")
