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

from bench.harness import Server, started
from bench.machine import ROOT
from bench.soak.client import Connection, get
from bench.soak.open_loop import percentile
from bench.soak.scenario import Finding, Run

FLOODS = (
    *(("refusals", 1, "yes"), ("hits", 1, "yes"), ("misses", 1, "yes"), ("pages", 1, "yes")),
    *(("nothing", 1, "yes"), ("hits", 20, "yes"), ("refusals", 1, "no"), ("pages", 20, "no")),
)
"""What is asked for, over how many connections, and whether the answers are read."""
INTERVAL_SECONDS = 0.01
MOST_SECONDS = 0.02
MOST_SECONDS_QUICK = 1.0
"""p99 of `/health`; in the short form other work may have the cores."""
MOST_GROWTH_BYTES = 32e6


class Beside(NamedTuple):
    """What was seen beside one flood."""

    name: str
    seconds: list[float]
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
        alone, _ = runner.run(ask(server.port, seconds))
        before = most = server.rss_bytes()
        found = []
        for kind, connections, reads in FLOODS:
            run.progress(f"{kind} over {connections}")
            found.append(beside(server, runner, kind, connections, reads, seconds))
            most = max(most, server.rss_bytes())
    return judge(run, alone, found, most - before)


def beside(
    server: Server,
    runner: asyncio.Runner,
    kind: str,
    connections: int,
    reads: str,
    seconds: float,
) -> Beside:
    """Ask while a process floods the server."""
    words = (str(server.port), kind, str(connections), reads)
    flood = subprocess.Popen(
        [sys.executable, "-m", "bench.soak.flood", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        time.sleep(0.5)  # until it has begun
        asked, num_lost = runner.run(ask(server.port, seconds))
        output, _ = flood.communicate(timeout=30.0)  # which ends its input
    finally:
        flood.kill()
    return Beside(f"{kind} over {connections}, {reads}", asked, int(output), num_lost)


async def ask(port: int, seconds: float) -> tuple[list[float], int]:
    """Ask for `/health` at fixed times; gives seconds, since each was due, and how many failed."""
    connection = await Connection.open(port)
    request, found, num_lost = get("/health"), [], 0
    due = time.perf_counter()
    until = due + seconds
    while due < until:
        await asyncio.sleep(due - time.perf_counter())
        answer = await connection.ask(request)
        found.append(time.perf_counter() - due)
        num_lost += answer.status != 200
        due = max(due + INTERVAL_SECONDS, time.perf_counter() - INTERVAL_SECONDS)
    connection.close()
    return found, num_lost


def judge(run: Run, alone: list[float], found: list[Beside], growth_bytes: float) -> Finding:
    """Say what held."""
    most = run.choose(MOST_SECONDS, MOST_SECONDS_QUICK)
    p99 = {each.name: percentile(each.seconds, 0.99) for each in found}
    broken = [
        f"/health beside {name}: expected p99 of {most * 1e3:.0f} ms at most, found "
        f"{seconds * 1e3:.1f}"
        for name, seconds in p99.items()
        if seconds > most
    ]
    broken += [
        f"/health beside {each.name}: expected 200, found {each.num_lost} others"
        for each in found
        if each.num_lost
    ]
    broken += [
        f"{each.name}: expected answers, found none"
        for each in found
        if each.name.endswith("yes") and not each.num_answers
    ]
    if growth_bytes > MOST_GROWTH_BYTES:
        broken.append(
            f"memory: expected to grow by {MOST_GROWTH_BYTES / 1e6:.0f} MB at most, found "
            f"{growth_bytes / 1e6:.0f}"
        )
    worst = max(p99.values())
    return Finding(
        tried="1 and 20 connections that send without waiting, and read what comes or do not: "
        f"hits, misses, refusals, pages of 60 kB; {sum(each.num_answers for each in found):,} "
        "answers",
        found=f"p99 of `/health` {percentile(alone, 0.99) * 1e3:.1f} ms alone, "
        f"{worst * 1e3:.1f} ms beside the worst; memory +{growth_bytes / 1e6:.0f} MB",
        broken=broken,
    )
