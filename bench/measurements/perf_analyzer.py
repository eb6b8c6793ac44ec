"""Inferences a second by NVIDIA's perf_analyzer, as it comes from PyPI: one row, binary tensors.

It needs a C library of 2.38 or newer. Where the system's is older, on Debian 12, that of Debian 13
is unpacked beside it, from the system's own mirror, and nothing is installed.
"""

from __future__ import annotations

import csv
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import cores as core_division
from bench.harness import SERVE_COMMAND, started
from bench.load import LoadError, pinned
from bench.project_python import ROOT
from bench.report import begin, number, parser
from bench.request import HOST
from bench.sample import SAMPLE_MODEL

PINNED = (
    "perf-analyzer==2.60.0 "
    "--hash=sha256:23ef56b107ae9233e5cf09fbdf508dd9b936a52f1bae2f63f53c8117087b3f25"
)
WHEEL_PLATFORM = "manylinux_2_38_x86_64"
NEEDED_LIBC = (2, 38)
NEWER_DEBIAN, NEWER_PACKAGES = "trixie", ("libc6", "libstdc++6", "libgcc-s1")
LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
FOLDER = ROOT / ".venv" / "perf_analyzer"
CONCURRENCIES = (1, 8, 32)
STABLE_PERCENT = 30
"""Windows that differ by less count as one measurement: a shared machine seldom does better."""


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=1, seconds=3)
    report, arguments = begin("perf_analyzer", options)
    program = install()
    cores = core_division.divide()
    rows = []
    with started("server", [*SERVE_COMMAND, str(SAMPLE_MODEL)], cores=cores.server) as server:
        for concurrency in CONCURRENCIES:
            command = [*pinned(cores.load), *program]
            found = measure(command, server.port, concurrency, arguments.seconds)
            rows.append((concurrency, *map(number, found)))
    report.table(("concurrency", "inferences/s", "p50 µs", "p99 µs"), rows)
    report.note(f"{PINNED.split()[0]}, synchronous, binary FP32 [1, 10]; {cores.text}.")
    report.finish(arguments.json)


def measure(
    program: Sequence[str], port: int, concurrency: int, seconds: int
) -> tuple[float, float, float]:
    """Run it at one concurrency, in windows of so many seconds until three agree.

    Returns:
        Inferences a second; p50 and p99 in µs.

    Raises:
        LoadError: It ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="bench-perf-") as folder:
        written = Path(folder) / "found.csv"
        where = ["-m", "wine", "-u", f"{HOST}:{port}", "-i", "http", "--service-kind", "triton"]
        how = ["-p", str(seconds * 1000), "-s", str(STABLE_PERCENT)]
        what = ["--concurrency-range", str(concurrency), "-f", str(written)]
        _run([*program, *where, *how, *what])
        with written.open() as lines:
            (row,) = csv.DictReader(lines)
    return tuple(float(row[name]) for name in ("Inferences/Second", "p50 latency", "p99 latency"))  # type: ignore[return-value]


def install() -> list[str]:
    """Put the program into `.venv`, unless it is there; returns the words that run it."""
    binary = FOLDER / "perf_analyzer" / "bin" / "perf_analyzer"
    if not binary.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        lock = FOLDER / "requirements.lock"
        lock.write_text(PINNED + "\n")
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        which = ["--platform", WHEEL_PLATFORM, "--only-binary=:all:", "--no-deps"]
        _run([*pip, *which, "--require-hashes", "--target", str(FOLDER), "-r", str(lock)])
        binary.chmod(0o755)
    if tuple(map(int, platform.libc_ver()[1].split("."))) >= NEEDED_LIBC:
        return [str(binary)]
    unpacked = FOLDER / "debian"
    if not unpacked.exists():
        _unpack_newer_libraries(unpacked)
    newer = unpacked / LIBRARIES
    searched = f"{newer}:/{LIBRARIES}"
    return [str(newer / "ld-linux-x86-64.so.2"), "--library-path", searched, str(binary)]


def _unpack_newer_libraries(unpacked: Path) -> None:
    """Download packages of a newer Debian with lists of their own, and unpack them."""
    with tempfile.TemporaryDirectory(prefix="bench-apt-") as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        source = f"deb [signed-by={KEYRING}] {_mirror()} {NEWER_DEBIAN} main\n"
        (folder / "sources.list").write_text(source)
        paths = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
        }
        apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in paths.items())]
        _run([*apt, "update"])
        _run([*apt, "download", *NEWER_PACKAGES], folder)
        unpacking = unpacked.with_suffix(
            ".part"
        )  # what an interruption leaves is not taken for all
        for package in folder.glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(unpacking)])
        unpacking.rename(unpacked)


def _mirror() -> str:
    """Return where the system gets its Debian packages.

    Raises:
        LoadError: It gets none.
    """
    for place in map(Path, SOURCES):
        for path in sorted(place.iterdir()) if place.is_dir() else [place]:
            text = path.read_text() if path.is_file() else ""
            if found := re.search(
                r"(?m)^(?:URIs:|deb\b.*?) *(https?://\S+/debian/?)(?:\s|$)", text
            ):
                return found[1]
    raise LoadError("perf_analyzer: expected a source of Debian packages, found none")


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-1000:]
        raise LoadError(f"{Path(command[0]).name} ended with {done.returncode}: {words}")


if __name__ == "__main__":
    main()
