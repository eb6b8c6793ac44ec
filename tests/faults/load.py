"""The load under which faults happen: clients that ask all the time and check each answer at once.

A `ReplicaLoad` runs in a thread with its own event loop, so that a test reads from top to bottom.
Its client is a bare socket: httpx would take more of the machine than the server does. Rows are
drawn from a few hundred, which the cache finds, and fresh ones, which two clients send at the same
time: hits, misses and coalesced answers all occur.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from threading import Thread
from typing import NamedTuple

import msgspec
import numpy as np
import uvloop
from redis import Redis

from tests import models
from tests.redis_server import RedisServer
from tests.server import Server, wait_until

OLD = models.sklearn_classifier((0, 1, 2), zipmap=False)
NEW = models.sklearn_classifier((5, 6, 7), zipmap=False)
"""Two models for the same rows, which agree on no label."""

NUM_CLIENTS = 16
PAUSE_SECONDS = 0.005
"""Of each client between an answer and its next request: the machine is shared with the server."""

NUM_KNOWN, NUM_FRESH = 300, 20_000
FRESH_RATIO = 0.2
TOLERANCE = 1e-5
ANSWER_SECONDS = 10.0
LONGEST_SECONDS = 60.0
"""After it the load ends by itself, and that is a fault."""

WINDOW_SECONDS = 0.25
"""That latencies are taken over."""

MAX_FAULTS = 20
"""That are kept: one is enough to fail."""


class Answer(NamedTuple):
    """One answer, which was right.

    Attributes:
        server: Position among the servers.
        model: 0 for `OLD`, 1 for `NEW`.
        state: Its `X-Cache`.
        sent: `time.monotonic()` seconds.
        received: The same.
    """

    server: int
    model: int
    state: str
    sent: float
    received: float


class ReplicaLoad:
    """Asks from the start of a `with` block to its end.

    Args:
        servers: Each client stays with one of them.

    Attributes:
        answers: Every right answer so far.
        faults: What went wrong, in words: no answer, one that is not 200, or a wrong one.
        leaving: Whether clients go when they are told `Connection: close`; else it is a fault.
    """

    def __init__(self, *servers: Server) -> None:
        self.answers: list[Answer] = []
        self.faults: list[str] = []
        self.leaving = False
        self._servers = servers
        self._stopping = False
        self._random = random.Random(1)
        self._num_fresh = [count() for _ in servers]
        self._thread = Thread(target=self._run, name="load")

    def __enter__(self) -> "ReplicaLoad":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    @property
    def now(self) -> float:
        """Seconds on the clock of the answers."""
        return time.monotonic()

    @property
    def states(self) -> set[str]:
        """Every `X-Cache` so far."""
        return {answer.state for answer in self.answers}

    def wait_for(
        self, state: str, *, server: int | None = None, timeout_seconds: float = 15.0
    ) -> None:
        """Wait for an answer of this `X-Cache` to a request that was sent after the call."""
        now, seen = time.monotonic(), len(self.answers)

        def happened() -> bool:
            return any(
                answer.state == state and answer.sent > now and server in (None, answer.server)
                for answer in self.answers[seen:]
            )

        wait_until(happened, timeout_seconds)

    def wait_for_model(self, model: int, *, server: int) -> None:
        """Wait for an answer of this model."""
        seen = len(self.answers)
        wait_until(
            lambda: any(
                (each.server, each.model) == (server, model) for each in self.answers[seen:]
            )
        )

    def go_on(self, seconds: float) -> None:
        """Let it run while something lasts."""
        time.sleep(seconds)

    def slowest_p99(self, start: float, end: float) -> float:
        """Give the seconds that 99 % took at most, in that quarter of a second that was slowest.

        Over all of an outage the few requests that noticed it would not be seen.
        """
        windows: dict[int, list[float]] = {}
        for each in self.answers:
            if start <= each.sent < end:
                number = int((each.sent - start) / WINDOW_SECONDS)
                windows.setdefault(number, []).append(each.received - each.sent)
        return max(float(np.quantile(taken, 0.99)) for taken in windows.values())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._ask_all())

    async def _ask_all(self) -> None:
        positions = [number % len(self._servers) for number in range(NUM_CLIENTS)]
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(*(self._ask(position) for position in positions))
        except TimeoutError:
            self._blame("the test did not end")

    async def _ask(self, position: int) -> None:
        """Be one client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._servers[position].port)
        try:
            while not self._stopping:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if await self._exchange(reader, writer, position):
                        return
                await asyncio.sleep(PAUSE_SECONDS * 2 * self._random.random())
        except TimeoutError:
            self._blame(f"no answer in {ANSWER_SECONDS} s")
        except (OSError, EOFError) as error:
            self._blame(f"hung up: {error!r}")
        finally:
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, position: int
    ) -> bool:
        """Ask once; whether the client was told to go."""
        asked, row = questions(), self._next_row(position)
        sent = time.monotonic()
        writer.write(asked.requests[row])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(headers[b"content-length"]))
        received = time.monotonic()
        told_to_go = headers.get(b"connection") == b"close"
        if not head.startswith(b"http/1.1 200 "):
            self._blame(f"not 200: {head!r} {body!r}")
        elif (model := asked.model_of(row, body)) is None:
            self._blame(f"wrong: {head!r} {body!r}")
        elif told_to_go and not self.leaving:
            self._blame("told to go")
        else:
            state = headers[b"x-cache"].decode()
            self.answers.append(Answer(position, model, state, sent, received))
        return told_to_go

    def _next_row(self, position: int) -> int:
        if self._random.random() < FRESH_RATIO:
            pair = next(self._num_fresh[position]) // 2  # two clients of one server, one row
            return NUM_KNOWN + (pair * len(self._servers) + position) % NUM_FRESH
        return self._random.randrange(NUM_KNOWN)

    def _blame(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)


class _Content(msgspec.Struct):
    predictions: list[int]
    probabilities: list[list[float]]


_decoder = msgspec.json.Decoder(_Content)


class Questions:
    """Rows as requests, and what each model answers according to ONNX Runtime itself."""

    def __init__(self) -> None:
        rows = np.random.default_rng(1).normal(0.0, 2.0, (NUM_KNOWN + NUM_FRESH, 4))
        rows = rows.astype(np.float32)
        self.requests = [_request(row) for row in rows.tolist()]
        self._expected = [
            [each.tolist() for each in models.reference(model, {"float_input": rows})]
            for model in (OLD, NEW)
        ]

    def model_of(self, row: int, body: bytes) -> int | None:
        """Find the model whose answer this is, to the last digit that float32 has."""
        content = _decoder.decode(body)
        for model, (labels, probabilities) in enumerate(self._expected):
            if content.predictions == [labels[row]] and len(content.probabilities) == 1:
                found = zip(content.probabilities[0], probabilities[row], strict=True)
                if all(abs(one - other) < TOLERANCE for one, other in found):
                    return model
        return None


@cache
def questions() -> Questions:
    return Questions()


def _request(row: list[float]) -> bytes:
    body = msgspec.json.encode({"data": [row]})
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


@contextmanager
def under_load(serve: Callable[[str], Server]) -> Iterator[tuple[Server, ReplicaLoad, Redis]]:
    """Start a Redis and a replica at it, and ask that all the time; give a client of the Redis."""
    with (
        RedisServer() as redis,
        ReplicaLoad(server := serve(redis.url)) as load,
        closing(redis.client()) as client,
    ):
        yield server, load, client
