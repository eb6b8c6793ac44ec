"""Does to a server what happens to servers, and tells what it survived.

Without names every scenario is run, in its long form. Everything is started by the run itself, on
this machine, on free ports and in folders of its own, and is stopped by it. The exit status is 1 if
a promise was broken, 2 if a run failed. What was found is kept in bench/results/soak.json.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.harness import ServerError
from bench.load import LoadError
from bench.machine import ROOT, describe
from bench.markdown import facts
from bench.request import AnswerError
from bench.soak.scenario import Finding, Run, Scenario
from bench.soak.scenarios import SCENARIOS
from bench.soak.table import keep, table

RESULTS = ROOT / "bench" / "results" / "soak.json"
BROKEN, FAILED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and tell; returns the exit status."""
    options = _read(arguments)
    signal.signal(signal.SIGTERM, _unwind)  # so that servers are stopped too
    findings: dict[Scenario, Finding] = {}
    try:
        for scenario in SCENARIOS:
            if scenario.name in options.names or not options.names:
                findings[scenario] = run(scenario, quick=options.quick)
    except (ServerError, AnswerError, LoadError) as error:
        print(f"\nops/soak: {error}", file=sys.stderr)
        return FAILED
    command = shlex.join(["ops/soak", *(sys.argv[1:] if arguments is None else arguments)])
    _tell(findings, {**describe(), "command": command})
    if options.publish:
        keep(findings)
    return BROKEN if any(finding.broken for finding in findings.values()) else 0


def run(scenario: Scenario, *, quick: bool) -> Finding:
    """Run one scenario to its end, and say a line about it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        current = Run(scenario.name, Path(folder), quick=quick)
        current.progress("begins")
        finding = scenario.run(current)
    seconds = time.monotonic() - started
    mark = "✗" if finding.broken else "✓"
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{clear}{mark} {scenario.name} ({seconds:.0f} s): {finding.found}", file=sys.stderr)
    return finding


def _tell(findings: dict[Scenario, Finding], about: dict[str, str]) -> None:
    parts = [table(findings)]
    parts += [
        f"- {scenario.name}: {fault}" for scenario, f in findings.items() for fault in f.broken
    ]
    print("\n\n".join([*parts, facts(about)]))
    kept = {"about": about, "findings": {each.name: found for each, found in findings.items()}}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ops/soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"what to run: {', '.join(names)} (default: everything)",
    )
    parser.add_argument("--quick", action="store_true", help="the short form, as the tests run it")
    parser.add_argument("--publish", action="store_true", help="keep what was found for the docs")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in names:
            parser.error(f"expected some of {', '.join(names)}, found {name}")
    if options.publish and options.quick:
        parser.error("--publish is for the long form, not for --quick")
    return options


def _unwind(signal_number: int, _frame: object) -> None:
    sys.exit(128 + signal_number)
