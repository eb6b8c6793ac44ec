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
from typing import Any, NamedTuple

import numpy as np
import uvloop

from bench import load
from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Server, started
from bench.machine import disturbance, processor_time
from bench.request import Request, send_ok
from bench.scenarios import Ask
from bench.soak.client import Answer, Connection, post
from bench.soak.open_loop import REFUSED, OpenLoop, Outcome, percentile
from bench.soak.scenario import Finding, Run, at_least, at_most, equal
from bench.suite.messages import Message, Oracle, draw_rows, encode, expect, headers

FLOOD_SECONDS, FLOOD_SECONDS_QUICK = 60.0, 2.0
QUICK_REQUESTS = 40
"""Least length of the short form, in the times that capacity takes for a request."""
QUICK_DEADLINE = 20
"""Least deadline of the short form, likewise: on a machine that others use too, a single run may
take longer than the long form's deadline."""
BURST_SECONDS, BURST_SECONDS_QUICK = 1.0, 0.7
"""The short one is divided by the times of capacity: all who are refused wait as long as told."""
STATUSES = {200, REFUSED, 504}
"""Those that are right; a request without an answer has 0."""
NUM_CLIENTS = 16
NUM_SINGLE = 40
ASK = Ask(rows=128, encoding="msgpack", bodies=16)
SINGLE = Ask(encoding="msgpack", bodies=1)


class Bounds(NamedTuple):
    """What is promised, and how long the overload lasts.

    Attributes:
        deadline_ms: Of each request.
        in_time: Part of what is taken whose answer keeps it, since it was due.
        refusal_ms: Of a refusal at the median, since it was due.
        let_in: Part of those who come again when told, after the burst has ended.
        growth: Of resident memory, from the first quarter of the overload to its end.
        normal_seconds: After the overload, until a lone request takes at most ...
        normal_factor: ... so many times what it took before.
        seconds: Of the overload.
    """

    deadline_ms: float = 250.0
    in_time: float = 0.99
    refusal_ms: float = 5.0
    let_in: float = 0.9
    growth: float = 0.1
    normal_seconds: float = 2.0
    normal_factor: float = 1.5
    seconds: float = FLOOD_SECONDS


def quick_bounds(capacity: float) -> Bounds:
    """Give those of the short form, which must hold on a machine that others use too."""
    return Bounds(
        deadline_ms=max(Bounds().deadline_ms, 1e3 * QUICK_DEADLINE / capacity),
        in_time=0.5,
        refusal_ms=50.0,
        let_in=0.6,
        normal_seconds=10.0,
        normal_factor=10.0,
        seconds=max(FLOOD_SECONDS_QUICK, QUICK_REQUESTS / capacity),
    )


def run(run: Run, times: float) -> Finding:
    """Do all of it, at so many times of capacity."""
    model = run.folder / "heavy.onnx"
    write_model(model)
    with started("server", (*SERVE_COMMAND, str(model))) as server:
        messages = prepare(server.port, model, ASK)
        (single,) = prepare(server.port, model, SINGLE)
        run.progress("capacity")
        asked = Request("/predict", messages[0].body, messages[0].headers["Content-Type"])
        closed = load.Load(asked, NUM_CLIENTS, run.choose(8, 2))
        capacity = load.run_load(server.port, closed).rps
        bounds = quick_bounds(capacity) if run.quick else Bounds()
        overload = Overload(server, messages, request(single), bounds)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run.progress("a burst, whose clients come again when told")
            burst = run.choose(BURST_SECONDS, BURST_SECONDS_QUICK / times)
            runner.run(overload.come_again(times * capacity, burst))
            run.progress(f"{times * capacity:,.0f} requests/s for {bounds.seconds:.0f} s")
            runner.run(overload.flood(times * capacity))
    tried = f"{times:g} × the {capacity:,.0f} a second that it can do"
    return overload.finding(tried)


class Overload:
    """One run's requests, and what was seen.

    Args:
        server: Under load.
        messages: What is asked, and what is right.
        single: A request of one row.
        bounds: That are promised.
    """

    def __init__(
        self, server: Server, messages: list[Message], single: bytes, bounds: Bounds
    ) -> None:
        self._server = server
        self._messages = messages
        self._single = single
        self._bounds = bounds
        told = str(round(bounds.deadline_ms))
        self._requests = [request(each, x_request_timeout_ms=told) for each in messages]
        self._burst: list[Outcome] = []
        self._burst_ended = 0.0
        self._flood: list[Outcome] = []
        self._slower = self._recovered = self._growth = 0.0
        self._disturbance = ""

    async def come_again(self, rate: float, seconds: float) -> None:
        """Send so many requests/s, whose clients come again when told."""
        loop = OpenLoop(self._server.port, self._requests, self._is_right)
        self._burst_ended = await loop.send(rate, seconds, tries=2)
        self._burst = loop.outcomes
        loop.close()

    async def flood(self, rate: float) -> None:
        """Send so many requests/s, and lone ones before and afterwards."""
        loop = OpenLoop(self._server.port, self._requests, self._is_right)
        normal = await self._median_of_singles()
        watching = asyncio.create_task(self._memory_after(self._bounds.seconds / 4))
        before, used = processor_time(), self._server.cpu_seconds()
        await loop.send(rate, self._bounds.seconds)
        ended = time.perf_counter()
        self._disturbance = disturbance(before, servers=self._server.cpu_seconds() - used)
        self._flood = loop.outcomes
        loop.close()
        limit = ended + 5 * self._bounds.normal_seconds
        while True:
            self._slower = await self._median_of_singles() / normal
            if self._slower <= self._bounds.normal_factor or time.perf_counter() > limit:
                break
        self._recovered = time.perf_counter() - ended
        self._growth = self._server.rss_bytes() / await watching - 1.0

    async def _median_of_singles(self) -> float:
        connection = await Connection.open(self._server.port)
        seconds = [(await connection.ask(self._single)).seconds for _ in range(NUM_SINGLE)]
        connection.close()
        return statistics.median(seconds)

    async def _memory_after(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return self._server.rss_bytes()

    def _is_right(self, index: int, answer: Answer) -> bool:
        return self._messages[index].is_answered_by(answer.body)

    def finding(self, times: str) -> Finding:
        """Say what held."""
        bounds, everything = self._bounds, self._burst + self._flood
        taken = [each.seconds * 1e3 for each in self._flood if each.status == 200]
        refused = [each.seconds * 1e3 for each in self._flood if each.status == REFUSED]
        again = [each for each in self._burst if each.tries and each.due > self._burst_ended]
        let_in = sum(each.status == 200 for each in again) / len(again) if again else 1.0
        in_time = sum(ms <= bounds.deadline_ms for ms in taken) / max(len(taken), 1)
        refusal_ms, lag = percentile(refused, 0.5), (e.sent - e.due for e in self._flood)
        longest = max((each.retry_after or 0 for each in self._burst), default=0)
        wrong = sum(each.status == 200 and not each.right for each in everything)
        unanswered = sum(each.status not in STATUSES for each in everything)
        untold = sum(e.retry_after is None for e in everything if e.status == REFUSED)
        return Finding(
            tried=f"{len(self._flood):,} requests of {ASK.rows} rows in {bounds.seconds:.0f} s, "
            f"{times}",
            found=f"p99 of the {len(taken):,} taken {percentile(taken, 0.99):.0f} ms; p50 of a "
            f"refusal {refusal_ms:.1f} ms; {let_in:.1%} of {len(again):,} who came again as told, "
            f"after up to {longest} s, let in; memory {self._growth:+.1%}; lone requests as before "
            f"after {self._recovered:.1f} s; {wrong} wrong, {unanswered} unanswered (the generator "
            f"was late by {percentile(lag, 0.99) * 1e3:.0f} ms at p99; {self._disturbance})",
            broken=[
                *at_least("part of what is taken that is in time", in_time, bounds.in_time),
                *at_most("p50 of a refusal", refusal_ms, bounds.refusal_ms, " ms"),
                *at_least("part let in of who comes again when told", let_in, bounds.let_in),
                *at_most("memory, growth", self._growth, bounds.growth),
                *at_most("as before after", self._recovered, bounds.normal_seconds, " s"),
                *equal("wrong answers", wrong, 0),
                *equal("requests without 200, 503 or 504", unanswered, 0),
                *equal("refusals without Retry-After", untold, 0),
                *at_least("requests taken", len(taken), 1),
                *at_least("requests refused", len(refused), 1),
            ],
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
