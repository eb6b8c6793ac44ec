"""Clients that send request upon request without waiting: others are answered as soon as before.

What is looked at is `/health`, asked 100 times a second beside each of them, and memory.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import NamedTuple

import uvloop

from bench.harness import started
from bench.machine import ROOT
from bench.soak.client import get
from bench.soak.open_loop import OpenLoop, Outcome, percentile
from bench.soak.scenario import Finding, Run, at_least, at_most, equal

FLOODS = (
    *(("refusals", 1, "yes"), ("hits", 1, "yes"), ("misses", 1, "yes"), ("pages", 1, "yes")),
    *(("nothing", 1, "yes"), ("hits", 20, "yes"), ("refusals", 1, "no"), ("pages", 20, "no")),
)
"""What is asked for, over how many connections, and whether the answers are read."""
PER_SECOND = 100.0
MOST_SECONDS = 0.02
MOST_SECONDS_QUICK = 1.0
"""p99 of `/health`; in the short form other work may have the cores."""
MOST_GROWTH_MB = 32.0
END_SECONDS = 120.0
"""That a flood may take to end, which is nicer than everybody else on the machine."""


class Beside(NamedTuple):
    """What was seen beside one flood; p99 in seconds."""

    name: str
    p99: float
    num_answers: int
    num_lost: int


def run(run: Run) -> Finding:
    """Ask beside each flood."""
    seconds = run.choose(10.0, 1.0)
    with (
        started("server") as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run.progress("nobody else")
        alone = p99_of(runner.run(ask(server.port, seconds)))
        before = most_bytes = server.rss_bytes()
        found = []
        for kind, connections, reads in FLOODS:
            run.progress(f"{kind} over {connections}")
            words = (str(server.port), kind, str(connections), reads)
            found.append(beside(runner, server.port, words, seconds))
            most_bytes = max(most_bytes, server.rss_bytes())
    return judge(run, alone, found, (most_bytes - before) / 1e6)


def beside(runner: asyncio.Runner, port: int, words: tuple[str, ...], seconds: float) -> Beside:
    """Ask while a process floods the server."""
    command = [sys.executable, "-m", "bench.soak.flood", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as flood:
        try:
            time.sleep(0.5)  # until it has begun
            asked = runner.run(ask(port, seconds))
            output, _ = flood.communicate(timeout=END_SECONDS)  # which ends its input
        finally:
            flood.kill()
    num_lost = sum(each.status != 200 for each in asked)
    return Beside(" ".join(words[1:]), p99_of(asked), int(output), num_lost)


async def ask(port: int, seconds: float) -> list[Outcome]:
    """Ask for `/health` at fixed times."""
    loop = OpenLoop(port, [get("/health")], lambda index, answer: True)
    await loop.send(PER_SECOND, seconds)
    loop.close()
    return loop.outcomes


def p99_of(outcomes: list[Outcome]) -> float:
    """Seconds since each was due."""
    return percentile((each.seconds for each in outcomes), 0.99)


def judge(run: Run, alone: float, found: list[Beside], growth_mb: float) -> Finding:
    """Say what held."""
    most = run.choose(MOST_SECONDS, MOST_SECONDS_QUICK)
    broken = at_most("memory, growth", growth_mb, MOST_GROWTH_MB, " MB")
    for each in found:
        beside = f"/health beside {each.name}"
        broken += at_most(f"{beside}, p99", each.p99 * 1e3, most * 1e3, " ms")
        broken += equal(f"{beside}, other statuses than 200", each.num_lost, 0)
        if each.name.endswith("yes"):
            broken += at_least(f"{each.name}: answers", each.num_answers, 1)
    return Finding(
        tried="1 and 20 connections that send without waiting, and read what comes or do not: "
        f"hits, misses, refusals, pages of 60 kB; {sum(each.num_answers for each in found):,} "
        "answers",
        found=f"p99 of `/health` {alone * 1e3:.1f} ms alone, "
        f"{max(each.p99 for each in found) * 1e3:.1f} ms beside the worst; memory "
        f"+{growth_mb:.0f} MB",
        broken=broken,
    )
