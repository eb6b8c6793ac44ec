"""Locust as a library: one scenario from its first request to the answer of its last.

Must be imported in a process that gevent has patched. Not here: the users (`locustfile`).
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gevent
from locust.env import Environment
from locust.html import get_html_report
from locust.runners import LocalRunner
from locust.stats import stats_history

from bench.harness import ServerError
from bench.locustfile import user_class
from bench.scenarios import WARM_UP_SECONDS, Scenario
from bench.suite.messages import Message
from bench.suite.outcome import Outcome, summarize
from bench.suite.traffic import Traffic

PROGRESS_SECONDS = 1.0
SPAWN_RATE = 100.0  # users a second, of which locust does not warn
LAST_ANSWER_SECONDS = 15.0

CpuSeconds = Callable[[], Mapping[str, float]]


def drive(
    scenario: Scenario,
    url: str,
    kinds: Sequence[tuple[float, Sequence[Message]]],
    *,
    rates: tuple[float, ...],
    seconds: int,
    cpu_seconds: CpuSeconds,
    html: Path | None = None,
) -> tuple[Outcome, Traffic]:
    """Send a scenario's requests and return what came of them.

    Args:
        scenario: Which.
        url: Of the API.
        kinds: Its messages, each kind with its share.
        rates: Requests a second.
        seconds: How long, the warm-up included.
        cpu_seconds: CPU time so far by kind of process.
        html: Where locust's own report goes.

    Raises:
        ServerError: The last answers do not come.
    """
    traffic = Traffic(scenario, kinds, seconds, rates)
    users = user_class(scenario)
    users.traffic = traffic
    environment = Environment(user_classes=[users], host=url)
    runner = environment.create_local_runner()
    history = gevent.spawn(stats_history, runner)
    gc.collect()
    gc.freeze()  # a collection of ours would look like a pause of theirs
    runner.start(traffic.users, spawn_rate=SPAWN_RATE)
    gevent.joinall([runner.spawning_greenlet])
    warm_up = min(WARM_UP_SECONDS, seconds / 3)
    traffic.begin()
    try:
        spent = _watch(traffic, scenario.name, seconds, warm_up, cpu_seconds)
        _wait_for_the_last(traffic, runner, seconds)
        if html is not None:
            html.write_text(get_html_report(environment, show_download_link=False))
    finally:
        history.kill(block=False)
        runner.quit()
        gc.unfreeze()
    return summarize(scenario, traffic.record, rates, (warm_up, float(seconds)), spent), traffic


def _watch(
    traffic: Traffic, name: str, seconds: int, warm_up: float, cpu_seconds: CpuSeconds
) -> dict[str, float]:
    """Print a line a second; return the CPU seconds by kind of process after the warm-up."""
    _sleep_until(traffic, warm_up)
    before = {**cpu_seconds(), "generator": time.process_time()}
    moment, seen = warm_up, len(traffic.record)
    while moment < seconds:
        moment = min(moment + PROGRESS_SECONDS, seconds)
        _sleep_until(traffic, moment)
        latest = traffic.record.latest(seen)
        seen += len(latest)
        p95 = f"{sorted(latest)[int(len(latest) * 0.95)] * 1e3:.2f}" if len(latest) else "–"
        progress(
            f"{name}: {seconds - moment:.0f} s left · {len(latest) / PROGRESS_SECONDS:,.0f} "
            f"requests/s · p95 {p95} ms · {traffic.record.num_faults} errors"
        )
    after = {**cpu_seconds(), "generator": time.process_time()}
    return {kind: after[kind] - before.get(kind, 0.0) for kind in after}


def progress(text: str, *, done: bool = False) -> None:
    """Show a line on standard error that the next one replaces; elsewhere only what is done."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\n" if done else "", file=sys.stderr, flush=True)
    elif done:
        print(text, file=sys.stderr, flush=True)


def _sleep_until(traffic: Traffic, moment: float) -> None:
    gevent.sleep(max(0.0, moment - traffic.seconds))


def _wait_for_the_last(traffic: Traffic, runner: LocalRunner, seconds: int) -> None:
    """Wait until every user has its last answer and has stopped: none may be cut off."""
    while runner.user_count:
        if traffic.seconds > seconds + LAST_ANSWER_SECONDS:
            raise ServerError(f"{traffic.users} users: the last answers do not come")
        gevent.sleep(0.01)
