"""An Nginx of a measurement's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import READY_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS, ServerError
from bench.waiting import wait_until


@contextmanager
def nginx_running(folder: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Run it for a `with` block.

    Args:
        folder: Of its files; `nginx.conf` is there.
        answers: Tells whether it has begun to serve.

    Raises:
        ServerError: It ended, or did not answer in time.
    """
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = ["nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-g", options]
    log = folder / "words"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output
        )
    try:
        if not wait_until(answers, READY_TIMEOUT_SECONDS, process):
            raise ServerError(f"nginx does not answer:\n{log.read_text(errors='replace')}")
        yield
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_SECONDS)
