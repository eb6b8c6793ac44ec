"""One of three replicas is stopped, while clients are answered by Nginx and by the others.

A stopped process takes connections, as the kernel does that, and answers none: what a deadlock
looks like from outside. Nothing lets it go on, so that whatever becomes of it is our doing.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from bench.soak.checked_load import Load, behind_nginx
from bench.soak.kills import answers
from bench.soak.scenario import Finding, Run, at_most
from bench.suite.native import Stack
from bench.waiting import wait_until

NUM_REPLICAS = 3
MOMENT_SECONDS = 3.0
"""In which it is left out, and as long as p99 may be meanwhile."""
RECOVERY_SECONDS = 30.0
BEFORE_SECONDS = 3.0
MOST_TIMES, MOST_SECONDS, MOST_SECONDS_QUICK = 2.0, 0.025, 0.5
"""So many times as long as before may p99 be afterwards, or this long, whichever is more."""


class Moment(NamedTuple):
    """What one of them cost, in seconds.

    Attributes:
        gone: Until its process was another; infinite if it never was.
        before: p99 in the seconds before.
        within: p99 in the moment.
        after: p99 once all replicas are back.
    """

    gone: float
    before: float
    within: float
    after: float


def run(run: Run) -> Finding:
    """Stop each replica in turn, several times."""
    moments = []
    with behind_nginx(run, NUM_REPLICAS) as (servers, load):
        for number in range(run.choose(6, 1)):
            run.progress(f"{number} have hung · {load.counts}")
            moments.append(_hang(servers, load, f"api-{number % NUM_REPLICAS + 1}"))
    gone, before, within, after = map(max, zip(*moments, strict=True))
    most = max(MOST_TIMES * before, run.choose(MOST_SECONDS, MOST_SECONDS_QUICK))
    return Finding(
        tried=f"one of {NUM_REPLICAS} replicas stopped (SIGSTOP), {len(moments)} times, "
        f"{load.num_clients} clients behind Nginx",
        found=f"{load.counts}; ended and started anew after {gone:.1f} s at most; p99 "
        f"{before * 1e3:.0f} ms before, {within:.2f} s within the 3 s, {after * 1e3:.0f} ms after",
        broken=[
            *load.faults,
            *at_most("left out after", gone, MOMENT_SECONDS, " s"),
            *at_most("p99 meanwhile", within, MOMENT_SECONDS, " s"),
            *at_most("p99 afterwards", after * 1e3, most * 1e3, " ms"),
        ],
    )


def _hang(servers: Stack, load: Load, name: str) -> Moment:
    """Stop one, wait until it is another process that answers, and see what it cost."""
    began = time.monotonic()
    time.sleep(BEFORE_SECONDS)
    process = servers.process_of(name)
    assert process is not None
    stopped, gone = time.monotonic(), float("inf")
    process.suspend()
    if wait_until(lambda: not process.is_running(), RECOVERY_SECONDS):
        gone = time.monotonic() - stopped
        wait_until(lambda: answers(servers.state.replicas[name]), RECOVERY_SECONDS)
    time.sleep(max(stopped + MOMENT_SECONDS - time.monotonic(), 0.0) + 0.5)
    again = time.monotonic()
    time.sleep(BEFORE_SECONDS)
    return Moment(
        gone,
        load.p99_seconds(began, stopped),
        load.p99_seconds(stopped, stopped + MOMENT_SECONDS),
        load.p99_seconds(again),
    )
