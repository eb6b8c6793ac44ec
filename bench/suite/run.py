"""The order of a run: starts, then scenarios by the servers they share, then wrk's extremes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from bench.scenarios import SCENARIOS, Open, Scenario
from bench.suite.extremes import measure_ceilings, measure_starts
from bench.suite.results import Results
from bench.suite.session import Session, session

NAMES = ("starts", *(scenario.name for scenario in SCENARIOS), "wrk")


def run_all(results: Results, folder: Path, names: Sequence[str], *, quick: bool) -> None:
    """Run what is named, or everything, on stacks of our own.

    Args:
        results: Where everything found is added.
        folder: For locust's own reports.
        names: Of `NAMES`; those that a named one builds on are run too.
        quick: Short, and without those that a quick run leaves out.
    """
    wanted = set(names) or set(NAMES)
    if "starts" in wanted:
        measure_starts(results, quick=quick)
    chosen = [
        scenario
        for scenario in SCENARIOS
        if scenario.name in _with_bases(wanted) and scenario.length(quick=quick)
    ]
    for servers, scenarios in itertools.groupby(chosen, key=lambda scenario: scenario.servers):
        with session(servers, results, folder, quick=quick) as opened:
            for scenario in scenarios:
                opened.run(scenario)
    if "wrk" in wanted:
        measure_ceilings(results, quick=quick)


def run_elsewhere(
    results: Results, folder: Path, names: Sequence[str], url: str, *, quick: bool
) -> None:
    """Run the scenarios that need nothing but the URL of an API, and touch nothing else there."""
    opened = Session(url, results, folder, quick=quick)
    for scenario in SCENARIOS:
        wanted = scenario.length(quick=quick) and (not names or scenario.name in names)
        if wanted and can_run_elsewhere(scenario):
            opened.run(scenario)


def can_run_elsewhere(scenario: Scenario) -> bool:
    """Tell whether a scenario needs no servers of our own, and pushes nobody's over its limits."""
    return scenario.runs_anywhere and isinstance(scenario.arrivals, Open)


def _with_bases(names: set[str]) -> set[str]:
    bases = {
        scenario.arrivals.times_of
        for scenario in SCENARIOS
        if scenario.name in names and isinstance(scenario.arrivals, Open)
    }
    return names | bases
