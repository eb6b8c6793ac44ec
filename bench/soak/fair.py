"""One greedy client and twenty modest ones, behind Nginx: those do not notice the one.

Nginx is told that this machine is a proxy, so that `X-Forwarded-For` says who is who.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter

import uvloop

from bench.harness import started
from bench.machine import ROOT
from bench.request import HOST
from bench.soak.client import Answer, Connection, post
from bench.soak.gateway import gateway
from bench.soak.greedy import BODY, NUM_CONNECTIONS
from bench.soak.open_loop import percentile
from bench.soak.scenario import Finding, Run

NUM_MODEST = 20
MODEST_PER_SECOND = 4.0
RATE_PER_MINUTE = 600
"""Limit of each client: 10 requests a second, 2.5 times what a modest one asks."""
RETRY_AFTER = 1
"""Seconds after which a client of that limit has a place again."""
MOST_TIMES = 3.0
"""So many times as long may p99 of the modest ones be beside the greedy one, ..."""
MOST_SECONDS = 0.025
"""... or this long, whichever is more."""
MOST_SECONDS_QUICK = 1.0
GREEDY = "10.9.9.9"


def run(run: Run) -> Finding:
    """Ask without the greedy one, then beside it."""
    limits = {
        "TRUSTED_PROXIES": HOST,
        "RATE_LIMIT_PREDICT": str(RATE_PER_MINUTE),
        "RATE_LIMIT_PREDICT_BURST": "0",
    }
    with (
        started("server") as server,
        gateway(run.folder / "nginx", server.port, **limits) as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run.progress("twenty modest clients alone")
        alone = runner.run(be_modest(port, run.choose(20.0, 2.0)))
        run.progress("and beside a greedy one")
        words = (str(port), GREEDY, str(RETRY_AFTER))
        greedy = subprocess.Popen(
            [sys.executable, "-m", "bench.soak.greedy", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            beside = runner.run(be_modest(port, run.choose(60.0, 4.0)))
            output, _ = greedy.communicate(timeout=30.0)  # which ends its input
        finally:
            greedy.kill()
        refused, obeyed = runner.run(obey(port))
    return judge(run, alone, beside, Counter(json.loads(output)), (refused.status, obeyed.status))


async def be_modest(port: int, seconds: float) -> list[tuple[float, int]]:
    """Be all of them for a while; gives seconds, since it was due, and status of each request."""
    found: list[tuple[float, int]] = []
    began = time.perf_counter()

    async def be_one(number: int) -> None:
        connection = await Connection.open(port)
        request = post("/api/predict", BODY, x_forwarded_for=f"10.0.0.{number}")
        due = began + number / NUM_MODEST / MODEST_PER_SECOND
        while due < began + seconds:
            await asyncio.sleep(due - time.perf_counter())
            answer = await connection.ask(request)
            found.append((time.perf_counter() - due, answer.status))
            due += 1.0 / MODEST_PER_SECOND
        connection.close()

    async with asyncio.TaskGroup() as clients:
        for number in range(NUM_MODEST):
            clients.create_task(be_one(number))
    return found


async def obey(port: int) -> tuple[Answer, Answer]:
    """Ask as the greedy one once more, wait as told, and ask again."""
    connection = await Connection.open(port)
    request = post("/api/predict", BODY, x_forwarded_for=GREEDY)
    for _ in range(2 * RATE_PER_MINUTE):  # where the other has left places
        refused = await connection.ask(request)
        if refused.status == 429:
            break
    await asyncio.sleep(float(refused.headers.get("retry-after", "0")))
    obeyed = await connection.ask(request)
    connection.close()
    return refused, obeyed


def judge(
    run: Run,
    alone: list[tuple[float, int]],
    beside: list[tuple[float, int]],
    greedy: Counter[str],
    obeying: tuple[int, int],
) -> Finding:
    """Say what held."""
    before, after = (percentile((each for each, _ in found), 0.99) for found in (alone, beside))
    most = max(MOST_TIMES * before, run.choose(MOST_SECONDS, MOST_SECONDS_QUICK))
    lost = sum(status != 200 for _, status in beside)
    asked = greedy.total() - greedy["untold"]
    held = {
        f"modest clients: expected 200 for each of {len(beside)}, found {lost} others": not lost,
        f"modest clients: expected p99 of {most * 1e3:.0f} ms at most, found "
        f"{after * 1e3:.1f}": after <= most,
        f"greedy client: expected 200 and 429 alone, found {dict(greedy)}": set(greedy)
        <= {"200", "429", "untold"},
        f"greedy client: expected some refused, found {greedy['429']}": greedy["429"] > 0,
        f"greedy client: expected a Retry-After of {RETRY_AFTER} s each time, found "
        f"{greedy['untold']} others": not greedy["untold"],
        f"greedy client: expected 429, then 200 as it obeys, found {obeying}": obeying
        == (429, 200),
    }
    return Finding(
        tried=f"{NUM_MODEST} clients that send {MODEST_PER_SECOND:.0f} requests/s each, limit "
        f"{RATE_PER_MINUTE // 60}/s; one sends {asked:,} over {NUM_CONNECTIONS} connections",
        found=f"modest: {lost} of {len(beside):,} not answered with 200, p99 {before * 1e3:.1f} ms "
        f"alone, {after * 1e3:.1f} beside it; greedy: {greedy['200']:,} answers, "
        f"{greedy['429']:,} refusals with `Retry-After: {RETRY_AFTER}`, let in when it obeys",
        broken=[promise for promise, kept in held.items() if not kept],
    )
