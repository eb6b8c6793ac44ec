"""`ops/profile`: a flame graph of a server, and who ran longest."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.harness import started
from bench.suite.flame import reason_of
from bench.suite.own_time import ProfileError, own_times
from tests.server import ROOT

LIMIT_SECONDS = 60.0
BOX = '<g><title>{title}</title><rect y="{y}" fg:x="{x}" fg:w="{w}"/><text>…</text></g>'


def profile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench.suite.flame", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def drawn(folder: Path, *boxes: tuple[str, int, int, int]) -> Path:
    """Write a flame graph of ten samples, of boxes: title, y, x, width."""
    content = "".join(BOX.format(title=title, y=y, x=x, w=w) for title, y, x, w in boxes)
    path = folder / "flame.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:fg="http://github.com/jonhoo/inferno">'
        f'<svg id="frames" total_samples="10">{content}</svg></svg>'
    )
    return path


def test_a_server_s_flame_graph_names_its_functions(tmp_path: Path) -> None:
    """Two seconds of load on a server of its own show what it does, in and out of Python."""
    path = tmp_path / "new" / "flame.svg"

    done = profile("--seconds", "2", "--output", path)

    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "(app/ml_pipeline/pipeline/predictor.py:" in text
    assert ".so)" in text
    assert done.stdout.count("% |") == 10
    assert done.stdout.splitlines()[-1] == str(path)


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


def test_own_time_is_without_what_was_called(tmp_path: Path) -> None:
    """Of ten samples the lowest box has each; lines of one function are one."""
    path = drawn(
        tmp_path,
        ("all (10 samples, 100%)", 0, 0, 10),
        ("outer (a.py:1) (9 samples, 90%)", 16, 0, 9),
        ("inner (a.py:7) (3 samples, 30%)", 32, 0, 3),
        ("inner (a.py:8) (2 samples, 20%)", 32, 5, 2),
        ("0x7f00 (lib.so) (1 samples, 10%)", 48, 6, 1),
    )

    assert own_times(path) == {
        "outer (a.py)": 4, "inner (a.py)": 4, "unnamed (lib.so)": 1, "all": 1
    }  # fmt: skip


def test_a_flame_graph_of_nothing_is_refused(tmp_path: Path) -> None:
    """A picture without boxes says that nothing ran."""
    path = tmp_path / "flame.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text>ERROR: no data</text></svg>')

    with pytest.raises(ProfileError, match="nothing ran"):
        own_times(path)
