"""Ends a server that hangs, so that it is started anew: `HANG_SECONDS`.

A process that stands still, in a library that never returns or because it was stopped, goes on
taking connections: the kernel does that. Nobody who waits for it is refused, so nobody asks another
replica. Whoever looks must be another process: in a container `watched` makes one, on a bare
machine there is `ops/native/watch.py`. One that is only busy answers within milliseconds.
"""

import os
import signal
import socket
from collections.abc import Mapping
from ctypes import CDLL
from typing import NoReturn

PAUSE_SECONDS = 0.25
"""Between two looks."""
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
PR_SET_PDEATHSIG = 1


def hangs(host: str, port: int, seconds: float) -> bool:
    """Ask a server twice whether it is alive, for half of the time each; True if it is silent.

    Twice, because after a pause of the whole machine the first time is over when it begins. One
    that refuses connections, as before its models are loaded, does not hang.
    """
    return all(_is_silent(host, port, seconds / 2) for _ in range(2))


def _is_silent(host: str, port: int, seconds: float) -> bool:
    try:
        with socket.create_connection((host, port), seconds) as connection:
            connection.sendall(REQUEST)
            connection.recv(1)  # nothing, where it has just ended: it is not there any more
            return False
    except TimeoutError:
        return True
    except OSError:
        return False


def be_watched(environ: Mapping[str, str]) -> None:
    """Go on in a new process, which this one watches; where nothing asks for that, do nothing.

    Values that make no sense are for the settings to refuse.
    """
    try:
        seconds, port = int(environ["HANG_SECONDS"]), int(environ.get("PORT") or 8000)
    except (KeyError, ValueError):
        return
    if seconds <= 0:
        return
    host = environ.get("HOST") or "127.0.0.1"
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    watcher = os.getpid()
    if server := os.fork():
        _watch(server, {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, seconds)
    CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != watcher:  # it has ended before that was said
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _watch(server: int, host: str, port: int, seconds: int) -> NoReturn:
    """Hand signals on, end the server when it hangs, and end with its status."""
    while True:
        came = signal.sigtimedwait(SIGNALS, PAUSE_SECONDS)
        if came is None:
            if hangs(host, port, seconds):
                text = f"ml-pipeline: no answer in {seconds} s: this process hangs and is ended\n"
                os.write(2, text.encode())
                os.kill(server, signal.SIGKILL)
        elif came.si_signo != signal.SIGCHLD:
            os.kill(server, came.si_signo)
        while (ended := _reap()) is not None:
            pid, status = ended
            if pid == server:  # by a signal: as a shell tells of it
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)


def _reap() -> tuple[int, int] | None:
    """Take the status of a process that has ended; as the first of a container, of orphans too."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None
