"""What a start installs: pinned, by hash, and once."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.server import free_port, wait_until

ROOT = Path(__file__).parents[2]
LOCKS = pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "ops/requirements.lock",
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
    lines = []
    while not lines or "curl" not in lines[-1]:
        lines.append(started.stderr.readline())
        assert started.poll() is None, lines
    started.send_signal(signal.SIGTERM)

    wait_until(lambda: started.poll() is not None)
    assert started.returncode == 0
    assert [line for line in lines if line.startswith("ops/")] == []
    started.stderr.close()
