"""`python -m bench NAME`: which measurements there are, and what a run prints and keeps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import NAMES
from tests.server import ROOT

LIMIT_SECONDS = 60.0


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def test_help_tells_each_name_and_what_it_measures() -> None:
    """A line for each, of the first sentence of its module."""
    done = bench("--help")

    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {words[0] for words in lines if len(words) > 4} >= set(NAMES)


@pytest.mark.parametrize("arguments", [(), ("cieling",)], ids=["no name", "a typo"])
def test_without_a_name_that_there_is_nothing_is_run(arguments: tuple[str, ...]) -> None:
    """The usage is told, with exit status 2."""
    done = bench(*arguments)

    assert done.returncode == 2
    assert "usage: python -m bench" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_tells_its_options(name: str) -> None:
    """`--help` after a name is that measurement's own."""
    done = bench(name, "--help")

    assert done.returncode == 0, done.stderr
    assert f"usage: python -m bench {name}" in done.stdout
    assert "--rounds" in done.stdout


def test_a_run_prints_a_report_and_keeps_its_numbers(tmp_path: Path) -> None:
    """The smallest run: rows, the target, where the figures come from, and raw numbers."""
    done = bench("formats", "--rounds", "1", "--seconds", "1", "--json", tmp_path / "raw.json")

    assert done.returncode == 0, done.stderr
    assert "| MessagePack | " in done.stdout
    assert "CPU of the server: MessagePack / JSON | ≤ 0.2 |" in done.stdout
    assert "- command: python -m bench formats --rounds 1" in done.stdout
    raw = json.loads((tmp_path / "raw.json").read_text())
    assert raw["results"].keys() == {"MessagePack", "JSON"}
    assert raw["about"]["machine"]
