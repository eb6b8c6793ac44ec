"""One of three replicas is stopped, while clients are answered by Nginx and by the others.

A stopped process takes connections, as the kernel does that, and answers none: what a deadlock
looks like from outside. Nothing lets it go on, so that whatever becomes of it is our doing.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from bench.sample import SAMPLE_MODEL
from bench.scenarios import Servers
from bench.soak.checked_load import Load, Questions, drawn_rows
from bench.soak.kills import ENVIRONMENT, SAMPLE_ROW, answers
from bench.soak.scenario import Finding, Run
from bench.suite.native import Stack, stack

NUM_REPLICAS = 3
MOMENT_SECONDS = 3.0
"""In which it is left out, and as long as p99 may be meanwhile."""
RECOVERY_SECONDS = 30.0
BEFORE_SECONDS = 3.0
MOST_TIMES, MOST_SECONDS, MOST_SECONDS_QUICK = 2.0, 0.025, 0.5
"""So many times as long as before may p99 be afterwards, or this long, whichever is more."""


class Moment(NamedTuple):
    """What one of them cost.

    Attributes:
        gone_seconds: Until its process was another; infinite if it never was.
        before: p99 in the seconds before.
        within: p99 in the moment.
        after: p99 once all replicas are back.
    """

    gone_seconds: float
    before: float
    within: float
    after: float


def run(run: Run) -> Finding:
    """Stop each replica in turn, several times."""
    questions = Questions(
        [SAMPLE_MODEL], drawn_rows(run.choose(20_000, 3000), SAMPLE_ROW), path="/api/predict"
    )
    with (
        stack(Servers("soak", NUM_REPLICAS, environment=ENVIRONMENT)) as servers,
        Load(servers.state.http_port, questions) as load,
    ):
        moments = []
        for number in range(run.choose(6, 1)):
            run.progress(f"{number} have hung · {load.counts}")
            moments.append(_hang(servers, load, f"api-{number % NUM_REPLICAS + 1}"))
    gone = max(each.gone_seconds for each in moments)
    before, within, after = (
        max(getattr(each, name) for each in moments) for name in ("before", "within", "after")
    )
    most = max(MOST_TIMES * before, run.choose(MOST_SECONDS, MOST_SECONDS_QUICK))
    held = {
        f"left out: expected within {MOMENT_SECONDS:.0f} s, found {gone:.1f}": gone
        <= MOMENT_SECONDS,
        f"p99 meanwhile: expected {MOMENT_SECONDS:.0f} s at most, found {within:.2f}": within
        <= MOMENT_SECONDS,
        f"p99 afterwards: expected {most * 1e3:.0f} ms at most, found {after * 1e3:.0f}": after
        <= most,
    }
    return Finding(
        tried=f"one of {NUM_REPLICAS} replicas stopped (SIGSTOP), {len(moments)} times, "
        f"{load.num_clients} clients behind Nginx",
        found=f"{load.counts}; ended and started anew after {gone:.1f} s at most; p99 "
        f"{before * 1e3:.0f} ms before, {within:.2f} s within the 3 s, {after * 1e3:.0f} ms after",
        broken=[*load.faults, *(promise for promise, true in held.items() if not true)],
    )


def _hang(servers: Stack, load: Load, name: str) -> Moment:
    """Stop one, wait until it is another process that answers, and see what it cost."""
    began = time.monotonic()
    time.sleep(BEFORE_SECONDS)
    process = servers.process_of(name)
    assert process is not None
    stopped, gone = time.monotonic(), float("inf")
    process.suspend()
    while time.monotonic() < stopped + RECOVERY_SECONDS:
        if gone == float("inf") and not process.is_running():
            gone = time.monotonic() - stopped
        if gone < float("inf") and answers(servers.state.replicas[name]):
            break
        time.sleep(0.02)
    time.sleep(max(stopped + MOMENT_SECONDS - time.monotonic(), 0.0) + 0.5)
    again = time.monotonic()
    time.sleep(BEFORE_SECONDS)
    return Moment(
        gone,
        load.p99_seconds(began, stopped),
        load.p99_seconds(stopped, stopped + MOMENT_SECONDS),
        load.p99_seconds(again),
    )
