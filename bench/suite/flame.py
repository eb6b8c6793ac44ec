"""Writes a flame graph of a server under load: where its time goes, Python and native code alike.

A server of its own is started and loaded by wrk while py-spy looks at it; with --pid a process that
runs already is looked at instead, under whatever load it has. Each sample stops it for a moment: at
100 a second that costs about a fifth of the throughput, at 250 more than half, so these requests/s
are no result. What sleeps or waits is left out, unless --idle is given.

How to read it: a box is a function, its width the share of the samples in which it ran, below it
what it called.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.harness import SERVE_COMMAND, Server, ServerError, started
from bench.load import Load, LoadError, run_load
from bench.machine import ROOT
from bench.request import Request, get
from bench.sample import SAMPLE_MODEL

PY_SPY = str(Path(sys.executable).with_name("py-spy"))
FAILED = 2


class ProfileError(RuntimeError):
    """There is no flame graph."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Record; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.pid and options.model:
        parser.error("a model is for a server of its own, not for --pid")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers stop too
    options.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        if options.pid:
            record(options.pid, options)
        else:
            model = (options.model or SAMPLE_MODEL).resolve()
            with started("the server", [*SERVE_COMMAND, str(model)]) as server:
                record(server.process.pid, options, server)
    except (ProfileError, ServerError, LoadError) as error:
        print(f"ops/profile: {error}", file=sys.stderr)
        return FAILED
    print(options.output)
    return 0


def record(pid: int, options: argparse.Namespace, server: Server | None = None) -> None:
    """Let py-spy look at a process; a server of our own is loaded as long as it does.

    Raises:
        ProfileError: py-spy may not, or cannot.
    """
    request = _request(server, cached=options.cached) if server else None
    flags = [f"--{name}" for name in ("gil", "idle") if getattr(options, name)]
    flags += [f"--{name}={getattr(options, name)}" for name in ("rate", "duration", "output")]
    process = subprocess.Popen(
        [PY_SPY, "record", "--native", "--threads", f"--pid={pid}", *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        words = process.stdout.readline()  # it has attached, or says why not
        if "Sampling" in words and server and request:
            run_load(server.port, Load(request, options.connections, options.duration))
        words += process.communicate()[0]
    finally:
        process.terminate()
        process.wait()
    if process.returncode:
        raise ProfileError(reason_of(pid, words))


def _request(server: Server, *, cached: bool) -> Request:
    """Return a prediction of the model's sample row."""
    data = msgspec.json.decode(get(server.port, "/sample").body)["data"]
    rows = data[:1] if isinstance(data, list) else data  # a model of several inputs has an object
    body = msgspec.json.encode({"data": rows, "use_cache": cached})
    return Request("/predict", body, "application/json")


def reason_of(pid: int, words: str) -> str:
    """Return why py-spy cannot look at a process, by what it said."""
    if "permission denied" in words.lower():
        return (
            f"py-spy may not attach to process {pid}: be root, or allow it for your own processes "
            "with sysctl kernel.yama.ptrace_scope=0; in a container, with CAP_SYS_PTRACE"
        )
    first = (words.strip() or "it says nothing").splitlines()[0]
    return f"py-spy cannot attach to process {pid}: {first}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ops/profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", nargs="?", type=Path, metavar="MODEL", help="file or folder; default: bundled")
    add("--pid", type=int, help="look at this process; nothing is started, no load is sent")
    add("--seconds", dest="duration", metavar="SECONDS", type=int, default=10, help="default: 10")
    add("--rate", type=int, default=100, help="samples a second (default: %(default)s)")
    add("--connections", type=int, default=32, help="of the load (default: %(default)s)")
    add("--cached", action="store_true", help="requests that the cache answers")
    add("--gil", action="store_true", help="only what holds Python's lock")
    add("--idle", action="store_true", help="also what sleeps or waits")
    output = ROOT / "bench" / "results" / "profile.svg"
    add("--output", type=Path, default=output, help="default: bench/results/profile.svg")
    return parser


if __name__ == "__main__":
    sys.exit(main())
