"""More than a server can do: what it takes is in time, what it refuses is told so at once.

In each run: capacity by a closed loop, a short burst of clients that obey what they are told, then
the overload, whose clients do not come again, and single requests before and after it.

When is a Retry-After right? While more comes than can be done, nobody can be sure of a place: who
comes back cannot be told from who is new. But once that has stopped, whoever comes back when told
must be let in, and not meet all others there. So that is what is counted.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Server, started
from bench.machine import disturbance, processor_time
from bench.request import Request, send_ok
from bench.scenarios import Ask
from bench.soak.client import Answer, Connection, post
from bench.soak.open_loop import REFUSED, OpenLoop, Outcome, percentile
from bench.soak.overload_figures import Bounds, Seen, quick_bounds
from bench.soak.scenario import Finding, Run
from bench.suite.messages import Message, Oracle, draw_rows, encode, expect, headers

FLOOD_SECONDS, FLOOD_SECONDS_QUICK = 60.0, 2.0
QUICK_REQUESTS = 40
"""Least length of the short form, in the times that capacity takes for a request."""
BURST_SECONDS, BURST_SECONDS_QUICK = 1.0, 0.7
"""The short one is divided by the times of capacity: all who are refused wait as long as told."""
STATUSES = {200, REFUSED, 504}
"""Those that are right; a request without an answer has 0."""
ROWS = 128
NUM_CLIENTS = 16
NUM_SINGLE = 40
ASK = Ask(rows=ROWS, encoding="msgpack", bodies=16)
SINGLE = Ask(encoding="msgpack", bodies=1)


def run(run: Run, times: float) -> Finding:
    """Do all of it, at so many times of capacity."""
    model = run.folder / "heavy.onnx"
    write_model(model)
    with started("server", (*SERVE_COMMAND, str(model))) as server:
        load = Load(server, model, run)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(load.drive(times))
    return load.seen(times).finding(load.flood_seconds, load.bounds)


class Load:
    """One run's requests, and what was seen.

    Args:
        server: Under load.
        model: The file it serves.
        run: Its form, and whom to tell the progress.
    """

    def __init__(self, server: Server, model: Path, run: Run) -> None:
        self._server = server
        self._run = run
        self.bounds, self.flood_seconds = Bounds(), FLOOD_SECONDS
        self._messages = prepare(server.port, model, ASK)
        (single,) = prepare(server.port, model, SINGLE)
        self._single = request(single)
        self._requests: list[bytes] = []
        self._capacity = 0.0
        self._burst: list[Outcome] = []
        self._burst_ended = 0.0
        self._flood: list[Outcome] = []
        self._normal = self._after = self._recovered = 0.0
        self._disturbance = ""
        self._bytes: list[int] = []

    async def drive(self, times: float) -> None:
        """Send everything, in this order."""
        self._run.progress("capacity")
        self._capacity = await self._measure_capacity(self._run.choose(8.0, 1.5))
        if self._run.quick:
            self.bounds = quick_bounds(self._capacity)
            self.flood_seconds = max(FLOOD_SECONDS_QUICK, QUICK_REQUESTS / self._capacity)
        told = str(round(self.bounds.deadline_seconds * 1e3))
        self._requests = [request(each, x_request_timeout_ms=told) for each in self._messages]
        self._run.progress("a burst, whose clients come again when told")
        seconds = self._run.choose(BURST_SECONDS, BURST_SECONDS_QUICK / times)
        loop = OpenLoop(self._server.port, self._requests, self._is_right)
        self._burst_ended = await loop.send(times * self._capacity, seconds, tries=2)
        self._burst, loop.outcomes = loop.outcomes, []
        rate, seconds = times * self._capacity, self.flood_seconds
        self._run.progress(f"{rate:,.0f} requests/s for {seconds:.0f} s")
        watching = asyncio.create_task(self._watch_memory(seconds))
        self._normal = await self._median_of_singles()
        before, used = processor_time(), self._server.cpu_seconds()
        await loop.send(rate, seconds)
        ended = time.perf_counter()
        self._disturbance = disturbance(before, servers=self._server.cpu_seconds() - used)
        self._flood = loop.outcomes
        self._recovered = await self._wait_for_normal(ended) - ended
        await watching
        self._bytes.append(self._server.rss_bytes())
        loop.close()

    async def _measure_capacity(self, seconds: float) -> float:
        """Return the requests/s that clients get who each wait for their answer; no deadlines."""
        asks = [request(message) for message in self._messages]
        began, answered = time.perf_counter(), 0

        async def be_a_client(number: int) -> None:
            nonlocal answered
            connection = await Connection.open(self._server.port)
            while time.perf_counter() < began + seconds:
                answer = await connection.ask(asks[(number + answered) % len(asks)])
                answered += answer.status == 200
            connection.close()

        async with asyncio.TaskGroup() as clients:
            for number in range(NUM_CLIENTS):
                clients.create_task(be_a_client(number))
        return answered / (time.perf_counter() - began)

    async def _median_of_singles(self) -> float:
        connection = await Connection.open(self._server.port)
        seconds = [(await connection.ask(self._single)).seconds for _ in range(NUM_SINGLE)]
        connection.close()
        return statistics.median(seconds)

    async def _wait_for_normal(self, ended: float) -> float:
        """Ask single requests until they take as long as before; returns when that was."""
        while True:
            median = await self._median_of_singles()
            now = time.perf_counter()
            most = self.bounds.normal_factor * self._normal
            if median <= most or now > ended + 5 * self.bounds.normal_seconds:
                self._after = median
                return now

    async def _watch_memory(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 4)
        self._bytes.append(self._server.rss_bytes())

    def _is_right(self, index: int, answer: Answer) -> bool:
        return self._messages[index].is_answered_by(answer.body)

    def seen(self, times: float) -> Seen:
        """Give the figures."""
        taken = [each for each in self._flood if each.status == 200]
        refused = [each for each in self._flood if each.status == REFUSED]
        again = [each for each in self._burst if each.tries and each.due > self._burst_ended]
        everything = self._burst + self._flood
        return Seen(
            times=times,
            capacity=self._capacity,
            num_requests=len(self._flood),
            num_taken=len(taken),
            in_time=sum(each.seconds <= self.bounds.deadline_seconds for each in taken)
            / max(len(taken), 1),
            late_seconds=percentile((each.seconds for each in taken), 0.99),
            refusal_seconds=percentile((each.seconds for each in refused), 0.5),
            num_again=len(again),
            let_in=sum(each.status == 200 for each in again) / len(again) if again else 1.0,
            longest=max((each.retry_after or 0 for each in self._burst), default=0),
            growth=self._bytes[-1] / self._bytes[0] - 1.0,
            recovered_seconds=self._recovered,
            slower=self._after / self._normal,
            lag_seconds=percentile((each.sent - each.due for each in self._flood), 0.99),
            disturbance=self._disturbance,
            num_wrong=sum(each.status == 200 and not each.right for each in everything),
            num_unanswered=sum(each.status not in STATUSES for each in everything),
            num_untold=sum(e.retry_after is None for e in everything if e.status == REFUSED),
        )


def prepare(port: int, model: Path, ask: Ask) -> list[Message]:
    """Make the messages of `ask`, with the right answers, which ONNX Runtime confirms."""
    oracle = Oracle(model)
    sample: Any = np.random.default_rng(seed=8).normal(size=(32, FEATURES))
    messages = []
    for rows in draw_rows(ask, sample):
        body = encode(ask, rows, use_cache=False)
        asked = Request("/predict", body, headers(ask)["Content-Type"])
        expected = expect(send_ok(port, asked).body, ask)
        oracle.confirm(rows, expected)
        messages.append(Message(ask, body, headers(ask), expected))
    return messages


def request(message: Message, **more: str) -> bytes:
    """Return a message as bytes to be sent, with more headers."""
    given = {name.lower().replace("-", "_"): value for name, value in message.headers.items()}
    return post("/predict", message.body, **given, **more)


three = functools.partial(run, times=3.0)
ten = functools.partial(run, times=10.0)
