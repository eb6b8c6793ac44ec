"""Runs one measurement of `bench/measurements/` and prints its report, in Markdown.

`--help` after a name tells what it measures. `docs` writes docs/benchmarks.md anew. The load suite
is `ops/bench`, what is done to servers `ops/soak`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Protocol, cast

from bench import publish
from bench.harness import ServerError
from bench.load import LoadError
from bench.request import AnswerError
from bench.run import Run

FOLDER = Path(__file__).parent / "measurements"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
FAILED = 2


class Measurement(Protocol):
    """What each module of `measurements/` has.

    Attributes:
        ROUNDS: How often its candidates are loaded by turns.
        SECONDS: Of one load.
        measure: Measures, and puts what it finds into the run's report.
    """

    ROUNDS: int
    SECONDS: int
    measure: Callable[[Run], None]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns the exit status."""
    name: str = _names().parse_args(arguments[:1]).name
    if name == "docs":
        publish.PAGE.write_text(publish.render())
        return 0
    measurement = cast(Measurement, importlib.import_module(f"bench.measurements.{name}"))
    options = _options(name, measurement, arguments[1:])
    signal.signal(signal.SIGTERM, _unwind)  # so that servers are stopped too
    try:
        with ExitStack() as opened:
            run = Run(name, options, opened)
            measurement.measure(run)
    except (ServerError, AnswerError, LoadError) as error:
        print(f"python -m bench {name}: {error}", file=sys.stderr)
        return FAILED
    _report(run, shlex.join(["python", "-m", "bench", *arguments]))
    return 0


def _report(run: Run, command: str) -> None:
    about = run.about(command)
    print(f"## {run.name}\n\n{run.text(about)}")
    if run.options.json is not None:
        run.options.json.write_text(json.dumps({"about": about, **run.raw}, indent=2) + "\n")
    if run.options.publish:
        publish.keep(run.report, run.text(about))


def _names() -> argparse.ArgumentParser:
    told = "\n".join(f"  {name:<10} {_first_line(name)}" for name in NAMES)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{__doc__}\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=[*NAMES, "docs"], metavar="NAME")
    return parser


def _first_line(name: str) -> str:
    """Read what a measurement is about, without importing it: some of them import for a second."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def _options(name: str, measurement: Measurement, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=sys.modules[f"bench.measurements.{name}"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=measurement.ROUNDS, help="default: %(default)s")
    add("--seconds", type=int, default=measurement.SECONDS, help="of a load: %(default)s")
    add("--json", type=Path, metavar="FILE", help="also write the raw numbers")
    add("--publish", action="store_true", help="keep the report for docs/benchmarks.md")
    getattr(measurement, "add_options", lambda parser: None)(parser)
    return parser.parse_args(arguments)


def _unwind(signal_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
