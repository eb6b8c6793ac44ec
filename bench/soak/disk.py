"""Model files that are gone, half there or unreadable when a reload comes, and a disk that is full.

The old model answers all the time; when the file is right a reload takes it. The server's log is on
the full disk too; elsewhere nobody reads it. Then lines are lost, and no answer.
"""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Server, started
from bench.request import Request, get, send
from bench.soak.checked_load import Load, Questions, drawn_rows
from bench.soak.scenario import Finding, Run, equal

WIDTHS = (16, 17)
"""Of the old model and the new one, which differ in every answer."""
OLD, NEW = 0, 1
DISK_BYTES = 1024 * 1024
PIECES = 20
"""In which a file is written while reloads come."""
LOUD = {"ACCESS_LOG": "all", "LOG_LEVEL": "info"}
INTO = 'exec "$0" "$@" >>"$LOG" 2>&1'
"""Starts a server whose log goes to a file of our choice."""


def run(run: Run) -> Finding:
    """Break the model's file in every way, then the log's, then fill a disk."""
    files = [run.folder / name for name in ("old.onnx", "new.onnx")]
    for path, width in zip(files, WIDTHS, strict=True):
        write_model(path, width)
    questions = Questions(files, drawn_rows(3000, [1.0] * FEATURES), use_cache=False)
    broken, asked = _break_files(run, files, questions)
    broken += _lose_logs(run, files[OLD], questions)
    with _disk(run.folder / "disk") as full:
        if full:
            broken += _fill_disk(run, files, questions)
    filled = "a disk that is full" if full else "no disk was filled, which needs root"
    return Finding(
        tried="reloads while the model's folder is gone and its file empty, cut, of zeros, a "
        "folder, closed to us or being written; a log on `/dev/full`, to a reader that is gone, "
        f"to one that sleeps; {filled}",
        found=f"{asked}; each reload refused with its reason, then taken; no line of the log that "
        "could not be written cost an answer",
        broken=broken,
    )


def _break_files(run: Run, files: list[Path], questions: Questions) -> tuple[list[str], str]:
    folder = run.folder / "models"
    folder.mkdir()
    model = folder / "model.onnx"
    with ExitStack() as opened:
        model.write_bytes(files[OLD].read_bytes())
        command = (*_without_override(), *SERVE_COMMAND, str(folder))
        server = opened.enter_context(started("server", command))
        load = opened.enter_context(Load(server.port, questions))
        load.wait_for_answers(100)
        broken = []
        for name, (damage, text) in DAMAGES.items():
            run.progress(f"{name} · {load.counts}")
            damage(model)
            broken += _expect(server, name, 422, text)
            load.wait_for_answers(run.choose(1000, 50))
            _mend(folder, model, files[OLD])
        broken += equal("models that answer before the reload", load.models, {OLD})
        broken += _write_slowly(server, model, files[NEW].read_bytes())
        load.wait_for_answers(100)
        load.models.clear()
        load.wait_for_answers(100)
        broken += equal("models that answer after it", load.models, {NEW})
    return [*broken, *load.faults], load.counts


def _gone(model: Path) -> None:
    model.parent.rename(model.parent.with_name("away"))


def _cut(model: Path) -> None:
    os.truncate(model, model.stat().st_size // 2)


def _zeros(model: Path) -> None:
    model.write_bytes(bytes(model.stat().st_size))


def _folder(model: Path) -> None:
    model.unlink()
    model.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (_gone, "expected a file or folder, found nothing"),
    "empty": (lambda model: os.truncate(model, 0), "model.onnx: "),
    "cut": (_cut, "model.onnx: "),
    "zeros": (_zeros, "model.onnx: "),
    "folder": (_folder, "expected an ONNX file, or a folder that holds model.onnx"),
    "closed": (lambda model: model.chmod(0), "Permission denied"),
}
"""What is done to the model's file, and what a reload says then."""


def _mend(folder: Path, model: Path, source: Path) -> None:
    """Put the old file back, as it was."""
    away = folder.with_name("away")
    if away.exists():
        away.rename(folder)
    if model.is_dir():
        model.rmdir()
    model.unlink(missing_ok=True)
    model.write_bytes(source.read_bytes())


def _write_slowly(server: Server, model: Path, content: bytes) -> list[str]:
    """Write a file piece by piece while reloads come; each but the last must be refused."""
    statuses: list[int] = []
    done = threading.Event()

    def reload() -> None:
        while not done.is_set():
            statuses.append(_reload(server)[0])

    reloading = threading.Thread(target=reload)
    with model.open("wb", buffering=0) as handle:
        reloading.start()
        size = len(content) // PIECES + 1
        for start in range(0, len(content), size):
            time.sleep(0.03)  # a slow disk
            if start + size >= len(content):
                done.set()
                reloading.join()
            handle.write(content[start : start + size])
    broken = _expect(server, "written", 200, "digest")
    return broken + equal("reloads of half a file", set(statuses), {422})


def _reload(server: Server) -> tuple[int, str]:
    answer = send(server.port, Request("/models/reload", b"", "application/json"))
    return answer.status, answer.body.decode()


def _expect(server: Server, name: str, status: int, text: str) -> list[str]:
    """Ask for a reload, and for /health, which stays as it was."""
    found, words = _reload(server)
    broken = equal(f"{name}: reload", found, status)
    if text not in words:
        broken.append(f"{name}: expected {text!r}, found {words[:300]}")
    healthy = b'"status":"healthy"' in get(server.port, "/health").body
    return broken + equal(f"{name}: /health is healthy", healthy, True)


def _without_override() -> tuple[str, ...]:
    """Root reads what is closed to it, but for these capabilities."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


# Logs that nobody gets, and a disk that is full.


@contextmanager
def _logging_to(log: Path, model: Path) -> Iterator[Server]:
    """Start a server that logs every request there."""
    command = ("sh", "-c", INTO, *SERVE_COMMAND, str(model))
    with started("server", command, environment={**LOUD, "LOG": str(log)}) as server:
        yield server


def _lose_logs(run: Run, model: Path, questions: Questions) -> list[str]:
    """Ask servers whose log is full, or whose log's reader is gone or asleep."""
    broken: list[str] = []
    for name in ("full", "gone", "asleep"):
        run.progress(f"a log that is {name}")
        path = Path("/dev/full") if name == "full" else run.folder / name
        with ExitStack() as opened:
            reader = None
            if name != "full":
                os.mkfifo(path)
                reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            server = opened.enter_context(_logging_to(path, model))
            if reader is not None and name == "gone":
                os.close(reader)
                reader = None
            load = opened.enter_context(Load(server.port, questions))
            load.wait_for_answers(run.choose(5000, 1000))  # a pipe takes 64 kB, some 300 lines
        if reader is not None:
            os.close(reader)
        broken += [f"log {name}: {fault}" for fault in load.faults]
    return broken


def _fill_disk(run: Run, files: list[Path], questions: Questions) -> list[str]:
    """Fill the disk that model and log are on, reload, make room, reload."""
    disk = run.folder / "disk"
    model, log, filler = disk / "model.onnx", disk / "log", disk / "filler"
    with ExitStack() as opened:
        model.write_bytes(files[OLD].read_bytes())
        server = opened.enter_context(_logging_to(log, model))
        load = opened.enter_context(Load(server.port, questions))
        _fill(filler)
        load.wait_for_answers(run.choose(5000, 500))
        broken = _expect(server, "full disk", 200, "digest")
        filler.unlink()
        load.wait_for_answers(100)
        told = "log_lines_lost" in log.read_text()
        broken += equal("log_lines_lost in the log when there was room", told, True)
    return [*broken, *load.faults]


def _fill(filler: Path) -> None:
    """Write until there is no room for another byte."""
    with filler.open("wb", buffering=0) as handle:
        size = 65536
        while size:
            try:
                handle.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


@contextmanager
def _disk(path: Path) -> Iterator[bool]:
    """Mount a small disk; False where we may not."""
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
    mounted = not subprocess.run(["mount", *options], capture_output=True).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(path)], check=True)
