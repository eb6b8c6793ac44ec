"""A measurement under way: servers on their cores, the load on its own, and a report of both."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.cores import divide
from bench.harness import SERVE_COMMAND, Server, started
from bench.machine import describe, disturbance, processor_time
from bench.markdown import facts, table
from bench.rounds import Candidate, Results, alternate
from bench.targets import judge, verdict_table


class Run:
    """What a measurement is given.

    Args:
        name: Of the measurement.
        options: Of its command line: `rounds`, `seconds`, and its own.
        opened: Ends what is started here.

    Attributes:
        cores: Which the servers have, and the load.
        report: By which name it is kept.
        raw: Everything measured, for `--json`.
    """

    def __init__(self, name: str, options: argparse.Namespace, opened: ExitStack) -> None:
        self.name = self.report = name
        self.options = options
        self.opened = opened
        self.cores = divide()
        self.raw: dict[str, Any] = {}
        self._parts: list[str] = []
        self._time_at_start = processor_time()

    def start(
        self, name: str, command: Sequence[str] = SERVE_COMMAND, **environment: str
    ) -> Server:
        """Start a server that is ready then and ends with the measurement.

        Raises:
            ServerError: It ended early, or was not ready in time.
        """
        server = started(name, command, environment=environment, cores=self.cores.server)
        return self.opened.enter_context(server)

    def folder(self) -> Path:
        """Return an empty folder that is gone afterwards."""
        return Path(self.opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

    def by_turns(self, candidates: Sequence[Candidate]) -> Results:
        """Measure candidates by turns, for the rounds of the command line."""
        results = alternate(candidates, self.options.rounds, load_cores=self.cores.load)
        self.raw["results"] = results.raw()
        return results

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; all columns but the first are numbers."""
        self._parts.append(table(header, rows))

    def note(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(text)

    def explain(self, *, connections: int | None = None) -> None:
        """Add what the columns of a table are that `Results.cells` has filled."""
        crowd = f", {connections} connections" if connections else ""
        self.note(
            "RPS, p50, p99: median over rounds; CPU: the quietest round, all processes of the "
            "server; ratios: median of those within a round. Closed loop, wrk, one thread, "
            f"keep-alive{crowd}; {self.cores.text}."
        )

    def judge(self, measured: Mapping[str, float]) -> None:
        """Add the table of targets; figures by their names in `targets.toml`.

        Raises:
            TargetError: One of them is not there.
        """
        verdicts = [each for each in judge(self.name, measured) if each.value is not None]
        if verdicts:
            self._parts.append(verdict_table(verdicts))

    def about(self, command: str) -> dict[str, str]:
        """Return where the figures come from, by name."""
        return describe() | {"lost": disturbance(self._time_at_start), "command": command}

    def text(self, about: Mapping[str, str]) -> str:
        """Return the whole report, as Markdown."""
        return "\n\n".join([*self._parts, facts(about)])
