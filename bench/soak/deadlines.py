"""Deadlines that are kept, from the first byte of a request to the last of its answer.

A model that takes as long as its rows say, one session and one row a run, so that every row that
was run is counted by `/metrics`, and none needs to be that nobody waits for.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from typing import NamedTuple

import msgspec
import uvloop

from bench.harness import SERVE_COMMAND, Server, started
from bench.request import get
from bench.slow_model import write_model
from bench.soak.client import Connection, post
from bench.soak.gateway import gateway
from bench.soak.scenario import Finding, Run

NUM_CLIENTS = 24
STEPS = 3_000
LONG_STEPS = 200_000
"""About 20 ms, and a second and more."""
DEADLINES_MS = (5, 400)
LATENESS_SECONDS = 0.05
LATENESS_SECONDS_QUICK = 1.0
"""After a deadline, that its answer may come: what was begun before it is brought to its end."""
NUM_LEAVING = 20
"""Clients that hang up while they wait, of each kind."""
NUM_STAYING = 5
PAUSE_SECONDS = 0.1
"""After which what was sent is there."""
ENDED = re.compile(r'^ml_api_requests_total\{.*status="499".*\} (\S+)', re.MULTILINE)
ONE_BY_ONE = {"SESSIONS": "1", "MAX_BATCH_SIZE": "1", "INLINE_BUDGET_US": "0"}


class Kept(NamedTuple):
    """One request with a deadline.

    Attributes:
        status: Of its answer.
        late_seconds: From its deadline to its answer; below 0 before it.
    """

    status: int
    late_seconds: float


def run(run: Run) -> Finding:
    """Ask with deadlines, then hang up while waiting."""
    model = run.folder / "slow.onnx"
    write_model(model)
    command = (*SERVE_COMMAND, str(model))
    with (
        started("server", command, environment=ONE_BY_ONE) as server,
        gateway(run.folder / "nginx", server.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run.progress("deadlines")
        rows = rows_run(server)
        kept = runner.run(ask_for(server.port, run.choose(60.0, 3.0)))
        rows = rows_run(server) - rows
        run.progress("clients that hang up while they wait")
        left = runner.run(leave(server, port))
    return judge(run, kept, rows, left)


async def ask_for(port: int, seconds: float) -> list[Kept]:
    """Ask with random deadlines for so long, more than can be done."""
    source, kept = random.Random(8), list[Kept]()
    until = time.perf_counter() + seconds

    async def be_a_client() -> None:
        connection = await Connection.open(port)
        while time.perf_counter() < until:
            deadline_ms = source.randint(*DEADLINES_MS)
            request = draw(source, deadline_ms)
            began = time.perf_counter()
            if source.random() < 0.2:  # the head now, the body when half of the time has passed
                split = request.index(b"\r\n\r\n") + 4
                connection.send(request[:split])
                await asyncio.sleep(deadline_ms / 2e3)
                request = request[split:]
            answer = await connection.ask(request)
            late = time.perf_counter() - began - deadline_ms / 1e3
            kept.append(Kept(answer.status, late))
            if answer.status == 503:  # at once again would be nothing but refusals
                await asyncio.sleep(source.uniform(0.0, 0.1))
        connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(NUM_CLIENTS):
            clients.create_task(be_a_client())
    return kept


def draw(source: random.Random, deadline_ms: int, steps: int = STEPS) -> bytes:
    """Make a request with a deadline, by the header or as the Open Inference Protocol has it."""
    if source.random() < 0.5:
        body = msgspec.json.encode({"data": [[steps]], "use_cache": False})
        return post("/predict", body, x_request_timeout_ms=str(deadline_ms))
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [steps]}
    parameters = {"timeout": deadline_ms * 1000, "use_cache": False}
    body = msgspec.json.encode({"inputs": [tensor], "parameters": parameters})
    return post("/v2/models/slow/infer", body)


class Left(NamedTuple):
    """What became of those that hung up.

    Attributes:
        num_left: Of them.
        rows: Run, of all who asked meanwhile.
        num_ended: Requests that the server counts as ended by their client.
        statuses: Of those who stayed.
    """

    num_left: int
    rows: int
    num_ended: int
    statuses: list[int]


async def leave(server: Server, gateway_port: int) -> Left:
    """Let one request keep the session, others wait behind it, and most of these hang up."""
    before, ended = rows_run(server), ended_by_clients(server)
    long, short = (
        post("/predict", msgspec.json.encode({"data": [[steps]], "use_cache": False}))
        for steps in (LONG_STEPS, 1)
    )
    proxied = short.replace(b"/predict", b"/api/predict", 1)
    keeper = await Connection.open(server.port)
    staying = [keeper]
    asking = [asyncio.create_task(keeper.ask(long))]
    await asyncio.sleep(PAUSE_SECONDS)
    leaving = [
        await send(port, request)
        for port, request in ((gateway_port, proxied), (server.port, short), (server.port, short))
        for _ in range(NUM_LEAVING)
    ]
    for _ in range(NUM_STAYING):
        staying.append(await Connection.open(server.port))
        asking.append(asyncio.create_task(staying[-1].ask(short)))
    await asyncio.sleep(PAUSE_SECONDS)
    for number, connection in enumerate(leaving):
        if number >= 2 * NUM_LEAVING:
            connection.reset()
        else:
            connection.close()
    statuses = [(await each).status for each in asking]
    for connection in staying:
        connection.close()
    await asyncio.sleep(PAUSE_SECONDS)
    return Left(
        len(leaving),
        rows_run(server) - before,
        ended_by_clients(server) - ended,
        statuses,
    )


async def send(port: int, request: bytes) -> Connection:
    """Send a request without waiting for its answer."""
    connection = await Connection.open(port)
    connection.send(request)
    return connection


def rows_run(server: Server) -> int:
    """Rows of all runs so far."""
    return int(server.metrics()["ml_api_batch_rows_sum"])


def ended_by_clients(server: Server) -> int:
    """Requests so far whose client hung up before the answer."""
    return sum(map(int, map(float, ENDED.findall(get(server.port, "/metrics").body.decode()))))


def judge(run: Run, kept: list[Kept], rows: int, left: Left) -> Finding:
    """Say what held."""
    most = run.choose(LATENESS_SECONDS, LATENESS_SECONDS_QUICK)
    counts = Counter(each.status for each in kept)
    answered = [each.late_seconds for each in kept if each.status == 200]
    latest = max(each.late_seconds for each in kept)
    in_time = sum(late <= 0.0 for late in answered) / max(len(answered), 1)
    staying = len(left.statuses)
    held = {
        f"deadlines: expected each answer {most * 1e3:.0f} ms later at most, found "
        f"{latest * 1e3:.0f}": latest <= most,
        f"statuses: expected 200, 503 and 504, found {dict(counts)}": set(counts)
        == {200, 503, 504},
        f"rows run: expected those of the {counts[200]} that were answered, found {rows}": rows
        == counts[200],
        f"who stays: expected 200 each, found {left.statuses}": set(left.statuses) == {200},
        f"rows run: expected those of the {staying} who stayed, found {left.rows}": left.rows
        == staying,
        f"hung up: expected {left.num_left} counted with 499, found "
        f"{left.num_ended}": left.num_ended == left.num_left,
    }
    return Finding(
        tried=f"{len(kept):,} requests with deadlines of {DEADLINES_MS[0]} to {DEADLINES_MS[1]} "
        f"ms, some with slow bodies; {left.num_left} that wait and hang up, behind Nginx, in "
        "order, and by a reset",
        found=f"{counts[200]:,} answered, {in_time:.1%} of them in time, {counts[503]:,} refused, "
        f"{counts[504]:,} told that it has passed, the latest {latest * 1e3:.0f} ms after it; "
        f"{rows:,} rows run; {left.rows - staying} rows of who had hung up",
        broken=[promise for promise, true in held.items() if not true],
    )
