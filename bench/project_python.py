"""The commands of this folder, and the interpreter they run in.

A file without a suffix here is a command: `batching`, `ceiling`, `compare`, `formats`,
`gc_pauses`, `inference`, `loading`, `micro`, `perf_analyzer`, `redis`, `startup`, `tracing`. Its
text is the module of the same name in `measurements/`; it prints one report in Markdown. What they
share: `request` (what a client sends), `load` (the generator, wrk), `harness` (servers as processes
and what they cost), `rounds` (candidates by turns), `offline` (ONNX Runtime without a server),
`cores` and `machine` (where it runs), `report` (tables, targets). The load suite of `ops/bench` is
in `suite/`, what `ops/soak` does to servers in `soak/`.

This module needs the standard library alone: the shebang may find any `python3`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_measurement(name: str) -> None:
    """Replace this process with `python -m bench.measurements.<name>` in the repository root.

    The project's `.venv` is preferred; without one the interpreter at hand goes on.
    """
    environment = ROOT / ".venv"
    interpreter = sys.executable
    if environment.exists():
        interpreter = str(environment / "bin" / "python")
        if not any(environment.glob("lib/python*/site-packages/psutil")):
            sys.exit(f"bench/{name}: .venv lacks its packages; ops/bench brings them")
    os.chdir(ROOT)
    os.execv(interpreter, [interpreter, "-m", f"bench.measurements.{name}", *sys.argv[1:]])
