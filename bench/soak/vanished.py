"""Clients that begin something and vanish, by hundreds at once: nothing of them is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import uvloop

from bench.harness import started
from bench.sample import SAMPLE_FEATURES
from bench.soak.client import Connection, get, post
from bench.soak.held import PROBE, compare, read_held
from bench.soak.scenario import Finding, Run, at_most, equal

WAVE = 250
"""Clients at once; generator and server each need so many descriptors."""
PAUSE_SECONDS = 0.02
"""From what a client sends to its leaving: the server has read it by then, mostly."""
ROW = b"[" + b"1.5," * (SAMPLE_FEATURES - 1) + b"1.5]"
BLOCK = post("/predict", b'{"data":[' + b",".join([ROW] * 200) + b'],"use_cache":false}')
KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda source: b"",
    "half a head": lambda source: BLOCK[: source.randrange(1, 40)],
    "half a body": lambda source: BLOCK[: source.randrange(200, len(BLOCK))],
    "a request": lambda source: BLOCK,
    "a large answer": lambda source: get("/openapi.json") * 8,
}
"""What each sends before it vanishes; of the last two it reads no answer."""


def run(run: Run) -> Finding:
    """Let them come and go, and look at the server after a tenth and at the end."""
    wanted = run.choose(10_000, 1_000)
    alive = run.folder / "alive.json"
    source = random.Random(8)
    with started("server", PROBE, environment={"ALIVE": str(alive)}) as server:
        states: list[dict[str, float]] = []
        for until in (wanted // 10, wanted):
            done = 0 if not states else wanted // 10
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                while done < until:
                    size = min(WAVE, until - done)
                    run.progress(f"{done:,} have vanished")
                    runner.run(send_wave(server.port, size, source))
                    done += size
                answer = runner.run(ask(server.port))
            states.append(read_held(server, alive))
        waiting = server.metrics()["ml_api_queue_depth_rows"]
    held, broken = compare(run, *states)
    broken += at_most("rows that wait", waiting, 0)
    broken += equal("the next request", answer, 200)
    return Finding(
        tried=f"{wanted:,} clients, {WAVE} at once: nothing sent, half a head, half a body, a "
        "whole request, a large answer not read; ended in order or reset, by turns",
        found=f"{held}; {waiting:.0f} rows wait, the next request is answered",
        broken=broken,
    )


async def send_wave(port: int, size: int, source: random.Random) -> None:
    """Let so many come, all of them before the first goes."""
    draws = list(KINDS.values())
    connections = []
    for number in range(size):
        connection = await Connection.open(port)
        connection.read_no_more()
        connection.send(draws[number % len(draws)](source))
        connections.append(connection)
    await asyncio.sleep(PAUSE_SECONDS)
    for number, connection in enumerate(connections):
        if number // len(draws) % 2:
            connection.reset()
        else:
            connection.close()


async def ask(port: int) -> int:
    """Ask for a prediction; gives its status."""
    connection = await Connection.open(port)
    answer = await connection.ask(BLOCK)
    connection.close()
    return answer.status
