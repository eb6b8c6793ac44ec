"""A million mixed requests to one server: what it keeps of them is bounded."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import uvloop

from bench.harness import started
from bench.sample import SAMPLE_FEATURES
from bench.soak.client import Connection, get, post
from bench.soak.held import PROBE, compare, read_held
from bench.soak.scenario import Finding, Run

NUM_CONNECTIONS = 16
TENSOR = {"name": "float_input", "shape": [1, SAMPLE_FEATURES], "datatype": "FP32"}

Draw = Callable[[random.Random], bytes]


def run(run: Run) -> Finding:
    """Send them, and look at the server after a tenth and at the end."""
    wanted = run.choose(1_000_000, 20_000)
    alive = run.folder / "alive.json"
    environment = {"ALIVE": str(alive), "MAX_BODY_BYTES": "65536"}
    with started("server", PROBE, environment=environment) as server:
        sender = Sender(server.port, run, wanted)
        states = []
        for until in (wanted // 10, wanted):
            uvloop.run(sender.send(until))
            states.append(read_held(server, alive))
    held, broken = compare(run, *states)
    return Finding(
        tried=f"{sender.sent.total():,} requests: hits, new rows, batches, blocks, `/v2`, bad "
        "ones, ones that are taken back",
        found=f"{len(sender.wrong)} wrong answers; {held}",
        broken=[*sender.wrong[:5], *broken],
    )


class Sender:
    """Sends requests of all kinds.

    Args:
        port: Of the server.
        run: To tell the progress to.
        wanted: Requests in all.

    Attributes:
        sent: How many so far, by kind.
        wrong: Answers of another status than is right for their kind.
    """

    def __init__(self, port: int, run: Run, wanted: int) -> None:
        self.sent: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port = port
        self._run = run
        self._wanted = wanted
        self._random = random.Random(8)
        self._until = 0

    async def send(self, until: int) -> None:
        """Send until so many have been sent in all."""
        self._until = until
        async with asyncio.TaskGroup() as clients:
            for _ in range(NUM_CONNECTIONS):
                clients.create_task(self._be_a_client())
            clients.create_task(self._tell())

    async def _be_a_client(self) -> None:
        connection = await Connection.open(self._port)
        names = list(KINDS)
        weights = [share for share, _, _ in KINDS.values()]
        while self.sent.total() < self._until:
            (name,) = self._random.choices(names, weights)
            _, draw, statuses = KINDS[name]
            self.sent[name] += 1
            request = draw(self._random)
            if not statuses:  # taken back: the client hangs up while it is answered, or before
                connection.send(request[: self._random.randrange(1, 2 * len(request))])
                connection.close()
            else:
                answer = await connection.ask(request)
                if answer.status not in statuses:
                    self.wrong.append(f"{name}: {answer.status} {answer.body[:200]!r}")
                if answer.headers.get("connection") != "close":
                    continue
                connection.close()
            connection = await Connection.open(self._port)
        connection.close()

    async def _tell(self) -> None:
        started, before = time.monotonic(), self.sent.total()
        while (total := self.sent.total()) < self._until:
            rate = (total - before) / max(time.monotonic() - started, 1e-9)
            left = f" · {(self._wanted - total) / rate:,.0f} s left" if rate else ""
            self._run.progress(f"{total:,} sent · {rate:,.0f}/s{left} · {len(self.wrong)} wrong")
            await asyncio.sleep(0.5)


def _row(source: random.Random) -> list[float]:
    return [round(source.uniform(0.0, 100.0), 4) for _ in range(SAMPLE_FEATURES)]


def _predict(rows: list[list[float]], **more: bool) -> bytes:
    return post("/predict", msgspec.json.encode({"data": rows, **more}))


def _batch(source: random.Random) -> bytes:
    members = [{"data": [_row(source)]} for _ in range(8)]
    return post("/predict/batch", msgspec.json.encode({"requests": members}))


def _infer(source: random.Random) -> bytes:
    body = {"inputs": [{**TENSOR, "data": _row(source)}]}
    return post("/v2/models/wine/infer", msgspec.json.encode(body))


def _bad(source: random.Random) -> bytes:
    bad = (
        post("/predict", b'{"data":[[1,2]]}'),
        post("/predict", b'{"data":[[1,2'),
        post("/predict", b"\x00\xff" * source.randrange(1, 500)),
        post("/predict", b"x=1", content_type="application/x-www-form-urlencoded"),
        post("/predict?model=none", b'{"data":[[1]]}'),
        post("/predict", b"x" * 65537),
        post("/v2/models/wine/infer", b'{"inputs":[{"name":"other","shape":[1]}]}'),
        get("/predict"),
        get(f"/none/{source.random()}"),
    )
    return source.choice(bad)


READ = ("/health", "/metrics", "/models", "/sample", "/v2/models/wine")
RIGHT, REFUSED = frozenset({200}), frozenset({400, 404, 405, 413, 415, 422})
KINDS: dict[str, tuple[int, Draw, frozenset[int]]] = {
    "known": (30, lambda source: _predict([_row(random.Random(source.randrange(500)))]), RIGHT),
    "fresh": (25, lambda source: _predict([_row(source)]), RIGHT),
    "uncached": (10, lambda source: _predict([_row(source)], use_cache=False), RIGHT),
    "block": (4, lambda source: _predict([_row(source)] * 100), RIGHT),
    "batch": (6, _batch, RIGHT),
    "infer": (10, _infer, RIGHT),
    "read": (4, lambda source: get(source.choice(READ)), RIGHT),
    "bad": (8, _bad, REFUSED),
    "taken back": (3, lambda source: _predict([_row(source)]), frozenset()),
}
"""Kinds of requests: how many in a hundred, one of them, and the statuses that are right for it."""
