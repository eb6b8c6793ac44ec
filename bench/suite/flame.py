"""Writes a flame graph of a server under load: where its time goes, Python and native code alike.

A server of its own is started and loaded by wrk while py-spy looks at it. Each sample stops it for
a moment: at 100 a second that costs about a fifth of the throughput, at 250 more than half, so
there are no requests/s here. What sleeps or waits is left out. Options that are not told below are
py-spy's: --idle, --gil, --rate 250. A process that runs already is looked at by py-spy itself,
`.venv/bin/py-spy record --native --threads --pid PID --output FILE`.

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
CONNECTIONS = 32
FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Record; returns the exit status."""
    options, flags = _parser().parse_known_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers stop too
    options.output.parent.mkdir(parents=True, exist_ok=True)
    flags += [f"--duration={options.seconds}", f"--output={options.output}"]
    try:
        with started("the server", [*SERVE_COMMAND, str(options.model.resolve())]) as server:
            status = record(server, _request(server, cached=options.cached), options.seconds, flags)
    except (ServerError, LoadError) as error:
        print(f"ops/profile: {error}", file=sys.stderr)
        return FAILED
    print(options.output)
    return FAILED if status else 0


def record(server: Server, request: Request, seconds: int, flags: Sequence[str]) -> int:
    """Load a server as long as py-spy looks at it; returns py-spy's status, which says why."""
    command = [PY_SPY, "record", "--native", "--threads", f"--pid={server.process.pid}", *flags]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) as process:
        try:
            run_load(server.port, Load(request, CONNECTIONS, seconds))
            return process.wait()
        finally:
            process.terminate()


def _request(server: Server, *, cached: bool) -> Request:
    """Return a prediction of the model's sample row."""
    data = msgspec.json.decode(get(server.port, "/sample").body)["data"]
    rows = data[:1] if isinstance(data, list) else data  # a model of several inputs has an object
    body = msgspec.json.encode({"data": rows, "use_cache": cached})
    return Request("/predict", body, "application/json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ops/profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    output = ROOT / "bench" / "results" / "profile.svg"
    add = parser.add_argument
    add("model", nargs="?", type=Path, default=SAMPLE_MODEL, help="file or folder")
    add("--seconds", type=int, default=10, help="default: %(default)s")
    add("--cached", action="store_true", help="requests that the cache answers")
    add("--output", type=Path, default=output, help="default: bench/results/profile.svg")
    return parser


if __name__ == "__main__":
    sys.exit(main())
