"""A client that asks as fast as it can, over many connections at once, and obeys nobody.

Run as `python -m bench.soak.greedy PORT ADDRESS RETRY_AFTER`, in a process of its own, until its
standard input ends; then it prints what it got, as JSON: answers by status, and how many refusals
told no Retry-After, or another.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter

import uvloop

from bench.soak.client import Connection, post

NUM_CONNECTIONS = 128
NICENESS = 10
"""Its own work is to be done on another machine: here it takes the cores that nobody else wants."""
BODY = b'{"data":[[13.32,3.24,21.5,1.93,0.76,0.45,8.42,0.55,1.62,650.0]],"use_cache":false}'


async def be_greedy(port: int, address: str, expected: str) -> dict[str, int]:
    """Ask until there is nobody who wants it any more."""
    request = post("/api/predict", BODY, x_forwarded_for=address)
    counts: Counter[str] = Counter()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), over.set)

    async def ask_on() -> None:
        connection = await Connection.open(port)
        while not over.is_set():
            answer = await connection.ask(request)
            counts[str(answer.status)] += 1
            if answer.status == 429 and answer.headers.get("retry-after") != expected:
                counts["untold"] += 1
        connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(NUM_CONNECTIONS):
            clients.create_task(ask_on())
    return dict(counts)


if __name__ == "__main__":
    os.nice(NICENESS)
    port, address, expected = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(be_greedy(int(port), address, expected))))
