"""One greedy client and twenty modest ones, behind Nginx: those do not notice the one.

Nginx is told that this machine is a proxy, so that `X-Forwarded-For` says who is who. The greedy
one is wrk, which asks as fast as it can over many connections and obeys nobody.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import uvloop

from bench.harness import started
from bench.request import HOST
from bench.soak.client import Connection, post
from bench.soak.gateway import gateway
from bench.soak.open_loop import OpenLoop, Outcome, percentile
from bench.soak.scenario import Finding, Run, at_least, at_most, equal

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
END_SECONDS = 120.0
NUM_CONNECTIONS = 128
NICENESS = 10
"""Its own work is to be done on another machine: here it takes the cores that nobody else wants."""
BODY = b'{"data":[[13.32,3.24,21.5,1.93,0.76,0.45,8.42,0.55,1.62,650.0]],"use_cache":false}'
GREEDY_LUA = f"""
wrk.method, wrk.body = "POST", '{BODY.decode()}'
wrk.headers["Content-Type"], wrk.headers["X-Forwarded-For"] = "application/json", "{GREEDY}"
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
answered, refused, untold, other = 0, 0, 0, 0
function response(status, headers)
  if status == 200 then answered = answered + 1
  elseif status ~= 429 then other = other + 1
  elseif headers["Retry-After"] == "{RETRY_AFTER}" then refused = refused + 1
  else untold = untold + 1 end
end
function done()
  local one = threads[1]
  io.write(string.format('\\n{{"answered": %d, "refused": %d, "untold": %d, "other": %d}}\\n',
    one:get("answered"), one:get("refused"), one:get("untold"), one:get("other")))
end
"""


def run(run: Run) -> Finding:
    """Ask without the greedy one, then beside it."""
    limits = {
        "TRUSTED_PROXIES": HOST,
        "RATE_LIMIT_PREDICT": str(RATE_PER_MINUTE),
        "RATE_LIMIT_PREDICT_BURST": "0",
    }
    seconds = run.choose(60, 4)
    with (
        started("server") as server,
        gateway(run.folder / "nginx", server.port, **limits) as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run.progress("twenty modest clients alone")
        alone = runner.run(be_modest(port, run.choose(20.0, 2.0)))
        run.progress("and beside a greedy one")
        with be_greedy(run.folder / "greedy.lua", port, seconds + 1) as greedy:
            try:
                beside = runner.run(be_modest(port, float(seconds)))
                output, _ = greedy.communicate(timeout=END_SECONDS)
            finally:
                greedy.kill()
        obeying = runner.run(obey(port))
    return judge(run, alone, beside, json.loads(output.splitlines()[-1]), obeying)


def be_greedy(script: Path, port: int, seconds: int) -> subprocess.Popen[str]:
    """Start the greedy one; at its end it prints what it got, by kind of answer."""
    script.write_text(GREEDY_LUA)
    return subprocess.Popen(
        [
            *("nice", f"-n{NICENESS}", "wrk", "--threads=1", f"--connections={NUM_CONNECTIONS}"),
            *(f"--duration={seconds}s", f"--script={script}", f"http://{HOST}:{port}/api/predict"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


async def be_modest(port: int, seconds: float) -> list[Outcome]:
    """Be all of them for a while, one after the other."""
    requests = [
        post("/api/predict", BODY, x_forwarded_for=f"10.0.0.{number}")
        for number in range(NUM_MODEST)
    ]
    loop = OpenLoop(port, requests, lambda index, answer: True)
    await loop.send(NUM_MODEST * MODEST_PER_SECOND, seconds)
    loop.close()
    return loop.outcomes


async def obey(port: int) -> tuple[int, int]:
    """Ask as the greedy one until refused, wait as told, and ask again; gives both statuses."""
    connection = await Connection.open(port)
    request = post("/api/predict", BODY, x_forwarded_for=GREEDY)
    for _ in range(2 * RATE_PER_MINUTE):  # where the other has left places
        refused = await connection.ask(request)
        if refused.status == 429:
            break
    await asyncio.sleep(float(refused.headers.get("retry-after", "0")))
    obeyed = await connection.ask(request)
    connection.close()
    return refused.status, obeyed.status


def judge(
    run: Run,
    alone: Iterable[Outcome],
    beside: list[Outcome],
    greedy: dict[str, int],
    obeying: tuple[int, int],
) -> Finding:
    """Say what held."""
    before, after = (
        percentile((each.seconds for each in found), 0.99) for found in (alone, beside)
    )
    most = max(MOST_TIMES * before, run.choose(MOST_SECONDS, MOST_SECONDS_QUICK))
    lost = Counter(each.status for each in beside if each.status != 200)
    return Finding(
        tried=f"{NUM_MODEST} clients that send {MODEST_PER_SECOND:.0f} requests/s each, limit "
        f"{RATE_PER_MINUTE // 60}/s; one sends {sum(greedy.values()):,} over {NUM_CONNECTIONS} "
        "connections",
        found=f"modest: {lost.total()} of {len(beside):,} not answered with 200, p99 "
        f"{before * 1e3:.1f} ms alone, {after * 1e3:.1f} beside it; greedy: "
        f"{greedy['answered']:,} answers, {greedy['refused']:,} refusals with `Retry-After: "
        f"{RETRY_AFTER}`, let in when it obeys",
        broken=[
            *equal("modest clients, other statuses than 200", dict(lost), {}),
            *at_most("modest clients, p99", after * 1e3, most * 1e3, " ms"),
            *equal("greedy client, other answers than 200 and 429", greedy["other"], 0),
            *equal("greedy client, refusals without Retry-After", greedy["untold"], 0),
            *at_least("greedy client, refusals", greedy["refused"], 1),
            *equal("greedy client, refused and then obeying", obeying, (429, 200)),
        ],
    )
