"""`ops/profile`: a flame graph of a server."""

import subprocess
import sys
from pathlib import Path

from bench.harness import started
from bench.suite.flame import reason_of
from tests.server import ROOT

LIMIT_SECONDS = 60.0


def profile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench.suite.flame", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def test_a_server_s_flame_graph_names_its_functions(tmp_path: Path) -> None:
    """Two seconds of load on a server of its own show what it does, in and out of Python."""
    path = tmp_path / "new" / "flame.svg"

    done = profile("--seconds", "2", "--output", path)

    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "(app/ml_pipeline/pipeline/predictor.py:" in text
    assert ".so)" in text
    assert done.stdout == f"{path}\n"


def test_a_process_that_runs_already_is_looked_at(tmp_path: Path) -> None:
    """With --pid and --idle the threads of a server without work are seen where they wait."""
    path = tmp_path / "flame.svg"

    with started("a server") as server:
        pid = server.process.pid
        done = profile("--pid", str(pid), "--idle", "--seconds", "1", "--output", path)

    assert done.returncode == 0, done.stderr
    assert "main (app/ml_pipeline/__main__.py:" in path.read_text()


def test_a_process_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A wrong pid ends with the reason and exit status 2."""
    done = profile("--pid", "4194304", "--seconds", "1", "--output", tmp_path / "flame.svg")

    assert done.returncode == 2
    assert "cannot attach to process 4194304" in done.stderr
    assert "Stack backtrace" not in done.stderr


def test_a_process_that_may_not_be_looked_at_is_told_with_what_to_do() -> None:
    """What py-spy says to a user without the right becomes the two ways to get it."""
    words = "Permission Denied: Try running again with elevated permissions by going 'sudo env'\n"

    reason = reason_of(7, words)

    assert "may not attach to process 7: be root" in reason
    assert "kernel.yama.ptrace_scope=0" in reason


def test_a_model_and_a_pid_exclude_each_other() -> None:
    """A server that runs has its model already."""
    done = profile("app/ml_pipeline/models", "--pid", "1")

    assert done.returncode == 2
    assert "not for --pid" in done.stderr


def test_the_command_tells_how_to_read_it() -> None:
    """`ops/profile --help` says what a box is and what sampling costs."""
    done = subprocess.run(
        [ROOT / "ops" / "profile", "--help"], capture_output=True, text=True, timeout=LIMIT_SECONDS
    )

    assert done.returncode == 0, done.stderr
    assert "a box is a function" in done.stdout
    assert "--rate" in done.stdout
