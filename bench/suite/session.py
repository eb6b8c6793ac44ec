"""A start of the servers, and the scenarios that run on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.request import HOST
from bench.scenarios import Scenario, Servers
from bench.suite import counters
from bench.suite.drive import CpuSeconds, drive, progress
from bench.suite.floor import floor
from bench.suite.messages import Message, Oracle
from bench.suite.native import Stack, stack
from bench.suite.outcome import Outcome
from bench.suite.results import Results
from bench.suite.traffic import Primer, rates_of


class Session:
    """Scenarios on servers that run.

    Args:
        url: Of the API.
        results: Where outcomes are added, and looked up by those that build on another.
        folder: For locust's own reports.
        quick: Short scenarios.
        oracle: Knows the right answers, where the model's file is at hand.
        running: The stack, unless the servers are somebody else's.
    """

    def __init__(
        self,
        url: str,
        results: Results,
        folder: Path,
        *,
        quick: bool,
        oracle: Oracle | None = None,
        running: Stack | None = None,
    ) -> None:
        self._url = url
        self._results = results
        self._folder = folder
        self._quick = quick
        self._stack = running
        self._primer = Primer(url, oracle)
        self._cpu_seconds: CpuSeconds = Cpu(running.processes()) if running else dict
        self._sent: Counter[tuple[int, str]] = Counter()

    def run(self, scenario: Scenario) -> Outcome:
        """Run a scenario and add what came of it to the results."""
        kinds = [(share, self._primer.messages(ask)) for share, ask in scenario.mix]
        arrivals = scenario.arrivals
        reached = getattr(arrivals, "times_of", "")
        base = self._results.outcomes[reached].requests_per_second if reached else 1.0
        if scenario.way == "floor":  # which knows one answer
            kinds = [(1.0, kinds[0][1][:1])]
        with self._way(scenario, kinds[0][1][0]) as url:
            outcome, traffic = drive(
                scenario,
                url,
                kinds,
                rates=rates_of(arrivals, base),
                seconds=scenario.length(quick=self._quick),
                cpu_seconds=self._cpu_seconds,
                html=self._folder / f"{scenario.name}.html",
            )
        if scenario.way != "floor":
            self._sent += traffic.record.counts()
        self._results.outcomes[scenario.name] = outcome
        progress(_line(outcome), done=True)
        return outcome

    def compare_counts(self, name: str) -> None:
        """Hold what Prometheus has counted against what was sent, and add it to the results."""
        if self._stack is None:
            return
        sent = self._sent + self._primer.record.counts()
        state = self._stack.state
        counted = counters.read(state.prometheus_port, len(state.replicas))
        found = counters.differences(counted, sent)
        self._results.miscounts |= {f"{name}: {what}": pair for what, pair in found.items()}
        self._results.counted += sum(sent.values())

    @contextmanager
    def _way(self, scenario: Scenario, message: Message) -> Iterator[str]:
        """Give the URL that a scenario's requests go to."""
        if scenario.way == "floor":
            with floor(message.expected.head + b'model_info":{}}') as url:
                yield url
        elif scenario.way == "replica" and self._stack is not None:
            yield f"http://{HOST}:{self._stack.replica_port}"
        else:
            yield self._url


@contextmanager
def session(servers: Servers, results: Results, folder: Path, *, quick: bool) -> Iterator[Session]:
    """Start a stack for a `with` block; at its end counts are compared."""
    with stack(servers) as running:
        oracle = Oracle(running.model)
        opened = Session(running.url, results, folder, quick=quick, oracle=oracle, running=running)
        yield opened
        opened.compare_counts(servers.name)
        results.servers_cpu_seconds += running.cpu_seconds()


class Cpu:
    """CPU time by kind of process; what a process has spent stays counted when it ends."""

    def __init__(self, processes: Mapping[str, list[psutil.Process]]) -> None:
        self._processes = processes
        self._spent: dict[psutil.Process, float] = {}

    def __call__(self) -> dict[str, float]:
        """Return the seconds so far, user and system."""
        for process in (process for some in self._processes.values() for process in some):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # such as the one that nginx reads its cache with at a start
            self._spent[process] = times.user + times.system
        return {
            kind: sum(self._spent.get(process, 0.0) for process in some)
            for kind, some in self._processes.items()
        }


def _line(outcome: Outcome) -> str:
    found = outcome.answered
    times = f"p50 {found.p50:.2f} p95 {found.p95:.2f} p99 {found.p99:.2f} ms" if found else "–"
    refused = f" · {outcome.refused.requests:,} refused" if outcome.refused else ""
    return (
        f"{outcome.name:<11} {outcome.requests_per_second:>7,.0f} requests/s · {times}"
        f"{refused} · {outcome.num_faults} errors"
    )
