"""Candidates by turns: each round loads every candidate once, so that noise hits all alike.

The machine may be shared: compare what was measured in the same round (`ratio`), and take the
median over rounds; for CPU time the quietest round, as a neighbour can only add to it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from bench.harness import Measurement, Server, measure, settle
from bench.load import Load
from bench.markdown import number

WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Value:
    """A figure of one load, and which of several rounds' is told.

    Attributes:
        header: Of its column, with the unit.
    """

    header: str
    of: Callable[[Measurement], float]
    over_rounds: Callable[[Iterable[float]], float] = statistics.median


RPS = Value("RPS", lambda found: found.load.rps)
P50 = Value("p50 µs", lambda found: found.load.p50_us)
P99 = Value("p99 µs", lambda found: found.load.p99_us)
TAIL = Value("p99/p50", lambda found: found.load.p99_us / found.load.p50_us)
CPU = Value("CPU µs", lambda found: found.cpu_us, min)
MEMORY = Value("memory MB", lambda found: found.rss_bytes / 1e6, max)
SPEED = (RPS, P50, P99, CPU)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of a report: a load on a server."""

    label: str
    server: Server
    load: Load


@dataclass(frozen=True, slots=True)
class Results:
    """Every measurement of every candidate, in the order of rounds."""

    by_label: Mapping[str, Sequence[Measurement]]

    def figure(self, label: str, value: Value) -> float:
        """Return what is told of all rounds."""
        return value.over_rounds(map(value.of, self.by_label[label]))

    def ratio(self, label: str, base: str, value: Value) -> float:
        """Return the median over rounds of `label` / `base` of the same round."""
        pairs = zip(self.by_label[label], self.by_label[base], strict=True)
        return statistics.median(value.of(one) / value.of(other) for one, other in pairs)

    def cells(self, label: str, values: Sequence[Value] = SPEED) -> list[str]:
        """Return the figures of a row of a table."""
        return [number(self.figure(label, value)) for value in values]

    def raw(self) -> dict[str, list[dict[str, object]]]:
        """Return everything as plain values."""
        return {
            label: [asdict(entry) for entry in entries] for label, entries in self.by_label.items()
        }


def headers(values: Sequence[Value] = SPEED) -> list[str]:
    """Return the headers of `Results.cells`."""
    return [value.header for value in values]


def alternate(
    candidates: Sequence[Candidate], rounds: int, *, load_cores: Sequence[int] = ()
) -> Results:
    """Warm every candidate up, then measure them by turns, `rounds` times.

    A numbered request goes on counting from turn to turn, so that no two are equal.
    """
    found: dict[str, list[Measurement]] = {candidate.label: [] for candidate in candidates}
    sent = dict.fromkeys(found, 0)
    for turn in range(rounds + 1):
        for candidate in candidates:
            load = replace(candidate.load, first_number=sent[candidate.label])
            if turn == 0:
                load = replace(load, seconds=WARM_UP_SECONDS)
            measured = measure(candidate.server, load, cores=load_cores)
            settle(candidate.server)
            # The generator does not count what is in flight when it stops.
            sent[candidate.label] += measured.load.requests + 2 * load.connections
            if turn > 0:
                found[candidate.label].append(measured)
    return Results(found)
