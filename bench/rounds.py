"""Candidates by turns: each round loads every candidate once, so that noise hits all alike.

The machine may be shared: compare what was measured in the same round (`ratio`), and take the
median over rounds; for CPU time the quietest round, as a neighbour can only add to it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from bench.harness import Measurement, Server, measure, settle
from bench.load import Load

WARM_UP_SECONDS = 1

Value = Callable[[Measurement], float]


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

    def median(self, label: str, value: Value) -> float:
        """Return the median over rounds."""
        return statistics.median(map(value, self.by_label[label]))

    def least(self, label: str, value: Value) -> float:
        """Return the value of the quietest round."""
        return min(map(value, self.by_label[label]))

    def ratio(self, label: str, base: str, value: Value) -> float:
        """Return the median over rounds of `label` / `base` of the same round."""
        pairs = zip(self.by_label[label], self.by_label[base], strict=True)
        return statistics.median(value(one) / value(other) for one, other in pairs)

    def raw(self) -> dict[str, list[dict[str, object]]]:
        """Return everything as plain values."""
        return {
            label: [asdict(entry) for entry in entries] for label, entries in self.by_label.items()
        }


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


def rps(measurement: Measurement) -> float:
    """Requests a second."""
    return measurement.load.rps


def p50(measurement: Measurement) -> float:
    """Microseconds of the middle request."""
    return measurement.load.p50_us


def p99(measurement: Measurement) -> float:
    """Microseconds that 1 % of the requests exceeded."""
    return measurement.load.p99_us


def tail(measurement: Measurement) -> float:
    """How many times the middle request those 1 % took at least."""
    return measurement.load.p99_us / measurement.load.p50_us


def cpu(measurement: Measurement) -> float:
    """CPU microseconds of the server a request."""
    return measurement.cpu_us


def rss_mb(measurement: Measurement) -> float:
    """Resident megabytes after the load."""
    return measurement.rss_bytes / 1e6
