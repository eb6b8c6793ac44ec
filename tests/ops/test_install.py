"""What a start installs: pinned, by hash, and once."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server import free_port, wait_until

ROOT = Path(__file__).parents[2]
LOCKS = pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "ops/requirements.lock",
        "ops/otel/requirements.lock",
        "ops/supply/requirements.lock",
        "tests/requirements.lock",
        "tests/web/schemathesis/requirements.lock",
        "ui/requirements.lock",
    ],
)


@LOCKS
def test_every_package_is_pinned_with_hashes(lock: str) -> None:
    """Each requirement is one version, followed by its hashes."""
    requirements = re.split(r"\n(?=\w)", (ROOT / lock).read_text())

    pinned = [r for r in requirements if re.match(r"[\w.\[\]-]+==\S+", r)]

    assert pinned
    assert [r.split("\n")[0] for r in pinned if "--hash=sha256:" not in r] == []


@LOCKS
def test_locks_name_no_address(lock: str) -> None:
    """A lock names packages, versions, markers and hashes, and no place to get them from."""
    text = (ROOT / lock).read_text()

    assert re.findall(r"://|--index|--find-links|file:", text) == []


def test_locks_of_one_environment_agree() -> None:
    """Locks whose packages may lie in one .venv have the same version of what both name."""
    names = ("requirements.lock", *(f"{name}/requirements.lock" for name in IN_ONE_VENV))
    pins = {
        pin for name in names for pin in re.findall(r"^([\w.-]+)==(\S+)", read(name), re.MULTILINE)
    }

    assert len(pins) == len(dict(pins))


def read(lock: str) -> str:
    return (ROOT / lock).read_text()


IN_ONE_VENV = ("ops", "ops/otel", "bench", "tests")


@pytest.mark.parametrize(("endpoint", "installed"), [("", ""), ("http://collector:4318", "yes")])
def test_opentelemetry_comes_when_it_is_asked_for(endpoint: str, installed: str) -> None:
    """What traces need is installed where there is a collector, and else not."""
    script = "set -euo pipefail; source ops/install.sh; install_otel() { echo yes; }; "
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    command = ["bash", "-c", script + "install_otel_if_asked"]

    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30
    )

    assert (done.returncode, done.stdout.strip()) == (0, installed)


@pytest.mark.parametrize("script", ["serve", "stack"])
def test_each_start_asks_for_it(script: str) -> None:
    """`ops/serve` and `ops/stack` look whether it is asked for."""
    assert "\none_at_a_time install_otel_if_asked\n" in read(f"ops/{script}")


FAKE_PYTHON = """#!/bin/sh
if [ "$1" = --version ]; then echo Python; exit; fi
mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
"""
"""Makes a folder that looks like a virtual environment."""


@pytest.fixture
def make_venv(tmp_path: Path) -> Callable[[], None]:
    """Do what each start does first, with the script of a copy of the project in `own`."""
    own, python = tmp_path / "own", tmp_path / "python"
    (own / "ops").mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "install.sh", own / "ops")
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)

    def run() -> None:
        script = f"set -euo pipefail; source ops/install.sh; find_python() {{ python={python}; }}"
        command = ["bash", "-c", f"{script}; make_venv"]
        subprocess.run(command, cwd=own, check=True, capture_output=True, timeout=30)

    return run


def contents(folder: Path) -> dict[str, str]:
    """Text of each file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_link_to_another_ones_packages_leaves_them_alone(
    unfinished: bool, tmp_path: Path, make_venv: Callable[[], None]
) -> None:
    """A work tree whose `.venv` is a link gets one of its own; the other tree's stays as it is."""
    other, own = tmp_path / "other" / ".venv", tmp_path / "own" / ".venv"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").write_text("")
    (other / "place").write_text(f"{other.parent} {other}/bin/python\n")
    if unfinished:  # the other tree is installing just now
        (other / "unfinished").touch()
    before = contents(other)
    own.symlink_to(other)

    make_venv()

    assert contents(other) == before
    assert not own.is_symlink()
    assert (own / "place").read_text() == f"{own.parent} {own}/bin/python\n"


def test_a_place_of_ones_own_may_be_a_link(tmp_path: Path, make_venv: Callable[[], None]) -> None:
    """One that leads to another disk and was made for this tree stays, and is used."""
    own, disk = tmp_path / "own" / ".venv", tmp_path / "disk"
    (disk / "bin").mkdir(parents=True)
    (disk / "bin" / "python").write_text("")
    (disk / "place").write_text(f"{own.parent} {disk}/bin/python\n")
    own.symlink_to(disk)

    make_venv()

    assert own.is_symlink()


def test_a_second_start_installs_nothing() -> None:
    """`ops/serve` on what is installed starts the server without a word of its own."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port)}

    started = subprocess.Popen(
        [ROOT / "ops" / "serve"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    lines: list[str] = []
    while not lines or "curl" not in lines[-1]:
        lines.append(started.stderr.readline())
        assert started.poll() is None, lines
    started.send_signal(signal.SIGTERM)

    wait_until(lambda: started.poll() is not None)
    assert started.returncode == 0
    assert [line for line in lines if line.startswith("ops/")] == []
    started.stderr.close()
