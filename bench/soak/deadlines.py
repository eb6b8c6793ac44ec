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
from bench.soak.client import Connection, post
from bench.soak.gateway import gateway
from bench.soak.scenario import Finding, Run, at_most, equal
from tests.bad_models import write_models

NUM_CLIENTS = 24
TURNS = 12_000.0
LONG_TURNS = 800_000.0
"""Of the model's loop: about 20 ms, and a second and more."""
DEADLINES_MS = (5, 400)
LATENESS_MS = 50.0
LATENESS_MS_QUICK = 1000.0
"""After a deadline, that its answer may come: what was begun before it is brought to its end."""
NUM_LEAVING = 20
"""Clients that hang up while they wait, of each kind."""
NUM_STAYING = 5
PAUSE_SECONDS = 0.1
"""After which what was sent is there."""
ENDED = re.compile(r'^ml_api_requests_total\{.*status="499".*\} (\S+)', re.MULTILINE)
ONE_BY_ONE = {"SESSIONS": "1", "MAX_BATCH_SIZE": "1", "INLINE_BUDGET_US": "0"}


class Kept(NamedTuple):
    """One request with a deadline: its status, and ms from then to its answer, below 0 before."""

    status: int
    late_ms: float


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


def run(run: Run) -> Finding:
    """Ask with deadlines, then hang up while waiting."""
    command = (*SERVE_COMMAND, str(write_models(run.folder)["turns"]))
    with (
        started("server", command, environment=ONE_BY_ONE) as server,
        gateway(run.folder / "nginx", server.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        run.progress("deadlines")
        before = rows_run(server)
        kept = runner.run(ask_for(server.port, run.choose(60.0, 3.0)))
        rows = rows_run(server) - before
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
            kept.append(Kept(answer.status, 1e3 * (time.perf_counter() - began) - deadline_ms))
            if answer.status == 503:  # at once again would be nothing but refusals
                await asyncio.sleep(source.uniform(0.0, 0.1))
        connection.close()

    await asyncio.gather(*(be_a_client() for _ in range(NUM_CLIENTS)))
    return kept


def draw(source: random.Random, deadline_ms: int) -> bytes:
    """Make a request with a deadline, by the header or as the Open Inference Protocol has it."""
    if source.random() < 0.5:
        return predict(TURNS, x_request_timeout_ms=str(deadline_ms))
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [TURNS]}
    parameters = {"timeout": deadline_ms * 1000, "use_cache": False}
    body = msgspec.json.encode({"inputs": [tensor], "parameters": parameters})
    return post("/v2/models/turns/infer", body)


def predict(turns: float, path: str = "/predict", **headers: str) -> bytes:
    """Make a request that takes so many turns."""
    return post(path, msgspec.json.encode({"data": [[turns]], "use_cache": False}), **headers)


async def leave(server: Server, gateway_port: int) -> Left:
    """Let one request keep the session, others wait behind it, and most of these hang up."""
    before, ended = rows_run(server), ended_by_clients(server)
    staying = [await Connection.open(server.port) for _ in range(1 + NUM_STAYING)]
    asking = [asyncio.create_task(staying[0].ask(predict(LONG_TURNS)))]
    await asyncio.sleep(PAUSE_SECONDS)
    proxied = await send(gateway_port, predict(1.0, "/api/predict"))
    closing, resetting = [await send(server.port, predict(1.0)) for _ in range(2)]
    asking += [asyncio.create_task(each.ask(predict(1.0))) for each in staying[1:]]
    await asyncio.sleep(PAUSE_SECONDS)
    for connection in (*proxied, *closing):
        connection.close()
    for connection in resetting:
        connection.reset()
    statuses = [(await each).status for each in asking]
    for connection in staying:
        connection.close()
    await asyncio.sleep(PAUSE_SECONDS)
    rows, num_ended = rows_run(server) - before, ended_by_clients(server) - ended
    return Left(3 * NUM_LEAVING, rows, num_ended, statuses)


async def send(port: int, request: bytes) -> list[Connection]:
    """Send a request over each of so many connections as will hang up."""
    connections = [await Connection.open(port) for _ in range(NUM_LEAVING)]
    for connection in connections:
        connection.send(request)
    return connections


def rows_run(server: Server) -> int:
    """Rows of all runs so far."""
    return int(server.metrics()["ml_api_batch_rows_sum"])


def ended_by_clients(server: Server) -> int:
    """Requests so far whose client hung up before the answer."""
    return sum(map(int, map(float, ENDED.findall(get(server.port, "/metrics").body.decode()))))


def judge(run: Run, kept: list[Kept], rows: int, left: Left) -> Finding:
    """Say what held."""
    counts = Counter(each.status for each in kept)
    answered = [each.late_ms for each in kept if each.status == 200]
    latest = max(each.late_ms for each in kept)
    in_time = sum(late <= 0.0 for late in answered) / max(len(answered), 1)
    staying = len(left.statuses)
    return Finding(
        tried=f"{len(kept):,} requests with deadlines of {DEADLINES_MS[0]} to {DEADLINES_MS[1]} "
        f"ms, some with slow bodies; {left.num_left} that wait and hang up, behind Nginx, in "
        "order, and by a reset",
        found=f"{counts[200]:,} answered, {in_time:.1%} of them in time, {counts[503]:,} refused, "
        f"{counts[504]:,} told that it has passed, the latest {latest:.0f} ms after it; "
        f"{rows:,} rows run; {left.rows - staying} rows of who had hung up",
        broken=[
            *at_most(
                "answers after a deadline",
                latest,
                run.choose(LATENESS_MS, LATENESS_MS_QUICK),
                " ms",
            ),
            *equal("statuses", set(counts), {200, 503, 504}),
            *equal("rows run", rows, counts[200]),
            *equal("statuses of who stays", set(left.statuses), {200}),
            *equal("rows run of who stays", left.rows, staying),
            *equal("hung up, counted with 499", left.num_ended, left.num_left),
        ],
    )
