"""What microbatching brings where it should: a model of about 1 ms a row.

Two servers on the same model, one with the default MAX_BATCH_SIZE and one with 1, are loaded by
turns; after each turn a plain loop runs the batch size that the first one had just formed, with
as many sessions and no server round it. Every request carries a row of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Measurement, Server, measure, started
from bench.load import Load
from bench.offline import rows_per_second, run_seconds
from bench.report import Report, Target, begin, number, parser
from bench.request import json_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps

CROWD = 64
BATCHED, SINGLE = "batched", "one at a time"
REQUEST = json_request(1, FEATURES, use_cache=False, numbered=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and for how long."""

    model: Path
    sessions: int
    rounds: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One round at `CROWD` connections."""

    batched: Measurement
    mean_batch: float
    offline_rps: float
    single: Measurement


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=4)
    # A core is left to the event loop and the generator: the loop offline has none to feed.
    spare = max(1, len(os.sched_getaffinity(0)) - 1)
    options.add_argument("--sessions", type=int, default=spare, help="default: %(default)s")
    report, arguments = begin("Microbatching on a model of 1 ms a row", options)
    with tempfile.TemporaryDirectory(prefix="bench-model-") as folder:
        model = Path(folder) / "compute_bound.onnx"
        write_model(model)
        plan = Plan(model, arguments.sessions, arguments.rounds, arguments.seconds)
        run_ms = run_seconds(model, 1) * 1e3
        crowd, alone = measure_all(plan)
    describe(report, crowd, alone, f"{plan.sessions} sessions; one row offline {run_ms:.2f} ms")
    report.raw = {"crowd": [asdict(turn) for turn in crowd], "alone": alone.raw(), "run_ms": run_ms}
    report.finish(arguments.json)


def measure_all(plan: Plan) -> tuple[list[Turn], Results]:
    """Return the turns of the crowd, then one connection on each server."""
    command = [*SERVE_COMMAND, str(plan.model)]
    batching = {"SESSIONS": str(plan.sessions)}
    with (
        started(BATCHED, command, environment=batching) as batched,
        started(SINGLE, command, environment=batching | {"MAX_BATCH_SIZE": "1"}) as single,
    ):
        for server in (batched, single):
            send_ok(server.port, REQUEST)
            measure(server, Load(REQUEST, CROWD, seconds=1))
        crowd = [_turn(batched, single, plan) for _ in range(plan.rounds)]
        # Many short turns: the target is five per cent, and a quiet turn has to be found.
        one = Load(REQUEST, 1, seconds=1)
        candidates = [Candidate(server.name, server, one) for server in (batched, single)]
        return crowd, alternate(candidates, plan.rounds * plan.seconds)


def describe(report: Report, crowd: Sequence[Turn], alone: Results, setting: str) -> None:
    """Put the tables into the report."""
    batch = median(turn.mean_batch for turn in crowd)
    rows = [
        (f"{BATCHED}, {CROWD}", number(batch), *_crowd(crowd, lambda turn: turn.batched)),
        (f"{SINGLE}, {CROWD}", "1", *_crowd(crowd, lambda turn: turn.single)),
        (
            *("offline loop", number(batch)),
            *(number(median(turn.offline_rps for turn in crowd)), "", "", ""),
        ),
    ]
    for name in (BATCHED, SINGLE):
        values = (alone.median(name, value) for value in (rps, p50, p99))
        rows.append((f"{name}, 1", "1", *map(number, values), number(alone.least(name, cpu))))
    report.table(("what, connections", "mean batch", "rows/s", "p50 µs", "p99 µs", "CPU µs"), rows)
    report.note(
        f"Medians over rounds; CPU: the quietest round. {setting}. Closed loop, wrk; servers and "
        "generator share all cores. Throughput targets: median of the ratios within a round."
    )
    report.targets(_targets(crowd, alone))


def _targets(crowd: Sequence[Turn], alone: Results) -> list[Target]:
    return [
        Target(
            f"throughput, {CROWD} connections: batched / one at a time",
            median(rps(turn.batched) / rps(turn.single) for turn in crowd),
            2.0,
            at_least=True,
        ),
        # Noise only ever adds, and more in an ordinary round than the target allows.
        Target(
            "p50, 1 connection, quietest round: batched / one at a time",
            alone.least(BATCHED, p50) / alone.least(SINGLE, p50),
            1.05,
        ),
        Target(
            "throughput: batched / offline loop of the same batch",
            median(rps(turn.batched) / turn.offline_rps for turn in crowd),
            0.9,
            at_least=True,
        ),
    ]


def _turn(batched: Server, single: Server, plan: Plan) -> Turn:
    load = Load(REQUEST, CROWD, plan.seconds)
    before = batched.metrics()
    together = measure(batched, load)
    after = batched.metrics()
    rows, batches = (
        after[name] - before[name] for name in ("ml_api_batch_rows_sum", "ml_api_batch_rows_count")
    )
    mean = rows / batches
    offline = rows_per_second(plan.model, mean, sessions=plan.sessions, seconds=float(plan.seconds))
    return Turn(together, mean, offline, measure(single, load))


def _crowd(crowd: Sequence[Turn], side: Callable[[Turn], Measurement]) -> list[str]:
    medians = [number(median(value(side(turn)) for turn in crowd)) for value in (rps, p50, p99)]
    return [*medians, number(min(cpu(side(turn)) for turn in crowd))]


if __name__ == "__main__":
    main()
