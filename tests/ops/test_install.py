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
