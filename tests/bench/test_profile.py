"""`ops/profile`: a flame graph of a server."""

import subprocess
import sys
from pathlib import Path

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
    assert "ml_pipeline/pipeline/predictor.py:" in text
    assert ".so)" in text
    assert done.stdout == f"{path}\n"


def test_what_py_spy_refuses_is_told_by_itself(tmp_path: Path) -> None:
    """Options that are not ours are its own; one that is nobody's ends with exit status 2."""
    done = profile("--no-such-option", "--seconds", "1", "--output", tmp_path / "flame.svg")

    assert done.returncode == 2
    assert "--no-such-option" in done.stderr


def test_the_command_tells_how_to_read_it() -> None:
    """`ops/profile --help` says what a box is and what sampling costs."""
    done = subprocess.run(
        [ROOT / "ops" / "profile", "--help"], capture_output=True, text=True, timeout=LIMIT_SECONDS
    )

    assert done.returncode == 0, done.stderr
    assert "a box is a function" in done.stdout
    assert "--cached" in done.stdout
