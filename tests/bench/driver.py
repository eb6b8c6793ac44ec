"""Drives one scenario in a process of its own, which gevent may patch; the tests' may not be.

`drive_at` is the tests' side; `python -m tests.bench.driver` reads a scenario, pickled, and writes
what came of it as JSON.
"""

import os
import pickle
import subprocess
import sys
from typing import Any

import msgspec

from bench.scenarios import Scenario
from bench.suite.outcome import Outcome
from tests.server import ROOT

LIMIT_SECONDS = 40.0


class Driven(msgspec.Struct):
    """What came of a scenario, request by request: seconds from its beginning.

    Attributes:
        due: When each was due.
        late: How much later it was sent.
        latency: From then to its answer.
        outcome: In numbers.
    """

    due: list[float]
    late: list[float]
    latency: list[float]
    outcome: Outcome


def drive_at(url: str, scenario: Scenario, seconds: int) -> Driven:
    """Send a scenario's requests to a server."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.driver"],
        cwd=ROOT,
        input=pickle.dumps((url, scenario, seconds)),
        capture_output=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Driven)


def main() -> None:
    """Drive, in a patched process."""
    import gevent.monkey

    os.environ["GEVENT_BACKEND"] = "select"  # as bench/suite/__main__.py
    gevent.monkey.patch_all()
    from bench.suite.drive import drive
    from bench.suite.traffic import Primer, rates_of

    url, scenario, seconds = pickle.loads(sys.stdin.buffer.read())
    primer = Primer(url)
    kinds: Any = [(share, primer.messages(ask)) for share, ask in scenario.mix]
    rates = rates_of(scenario.arrivals)
    outcome, traffic = drive(scenario, url, kinds, rates=rates, seconds=seconds, cpu_seconds=dict)
    record = traffic.record
    driven = Driven(record.due.tolist(), record.late.tolist(), record.latency.tolist(), outcome)
    sys.stdout.buffer.write(msgspec.json.encode(driven))


if __name__ == "__main__":
    main()
