"""Runs the load suite, and holds the server to every target that is published.

Without names everything is run: Nginx, two replicas, Redis and Prometheus are started in a folder
and on ports of their own, locust sends the load, and every answer is compared with the right one.
The exit status is 1 if a target is missed or an answer was wrong, 2 if a run failed. What was
found is kept in bench/results/: results.json, locust's HTML reports, charts.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import publish
from bench.harness import ServerError
from bench.load import LoadError
from bench.machine import ROOT, describe, disturbance, processor_time
from bench.request import AnswerError
from bench.scenarios import SCENARIOS
from bench.suite.charts import draw_charts
from bench.suite.checks import verdicts_on
from bench.suite.results import Results
from bench.suite.run import NAMES, can_run_elsewhere, run_all, run_elsewhere
from bench.suite.tell import published, tell
from bench.targets import TargetError, Verdict

RESULTS = ROOT / "bench" / "results"
CHARTS = ROOT / "bench" / "charts"
MISSED, FAILED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell and judge; returns the exit status."""
    options = _read(arguments)
    signal.signal(signal.SIGTERM, _unwind)  # so that servers are stopped too
    folder: Path = options.results
    folder.mkdir(parents=True, exist_ok=True)
    results, before = Results(), processor_time()
    try:
        if options.target:
            run_elsewhere(results, folder, options.names, options.target, quick=options.quick)
        else:
            run_all(results, folder, options.names, quick=options.quick)
        verdicts = [] if options.target else verdicts_on(results)
    except (ServerError, AnswerError, LoadError, TargetError) as error:
        print(f"ops/bench: {error}", file=sys.stderr)
        return FAILED
    command = shlex.join(["ops/bench", *(sys.argv[1:] if arguments is None else arguments)])
    lost = disturbance(before, servers=results.servers_cpu_seconds)
    results.about = {**describe(), "lost": lost, "command": command}
    tell(results, verdicts)
    _keep(results, verdicts, folder, to_publish=options.publish)
    wrong = any(outcome.num_faults for outcome in results.outcomes.values())
    return MISSED if wrong or any(verdict.missed for verdict in verdicts) else 0


def _keep(results: Results, verdicts: Sequence[Verdict], folder: Path, *, to_publish: bool) -> None:
    (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    draw_charts(results, folder)
    if to_publish:
        draw_charts(results, CHARTS)
        publish.keep("suite", published(verdicts, results.about))


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and refuse what would measure nothing of what was asked for."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.target and options.publish:
        parser.error("--publish is for figures of this machine, not of --target")
    if options.publish and (options.quick or options.names):
        parser.error("--publish is for one whole run, not for --quick or single names")
    for name in options.names:
        scenario = next((one for one in SCENARIOS if one.name == name), None)
        if options.target and not (scenario and can_run_elsewhere(scenario)):
            parser.error(f"{name} needs servers of its own, so it cannot be sent to --target")
        if options.quick and scenario and not scenario.length(quick=True):
            parser.error(f"{name} is left out with --quick")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ops/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        type=_name,
        metavar="NAME",
        help=f"what to run: {', '.join(NAMES)} (default: everything)",
    )
    parser.add_argument("--quick", action="store_true", help="at most a minute; rougher figures")
    parser.add_argument(
        "--target",
        type=_url,
        metavar="URL",
        help="of an API that runs elsewhere, such as https://host/api: open-loop scenarios alone, "
        "nothing is started and no target judged",
    )
    parser.add_argument(
        "--publish", action="store_true", help="keep figures and charts for docs/benchmarks.md"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="default: bench/results"
    )
    return parser


def _name(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(NAMES)}, found {text}")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"expected http:// or https:// in front, found {text}")
    return text.rstrip("/")


def _unwind(signal_number: int, _frame: object) -> None:
    sys.exit(128 + signal_number)
