"""Clients that ask all the time and check every answer, while something happens to the servers.

They do what HTTP asks of a client and no more: one that is told `Connection: close` opens another
connection; nothing is sent a second time, so that each request that a server loses is told.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np
import onnxruntime
import uvloop

from bench.soak.client import Answer, Connection, post

NUM_CLIENTS = 16
PAUSE_SECONDS = 0.01
"""Longest pause of a client between an answer and its next request."""
NUM_QUESTIONS = 2000
FEATURES_OF_SAMPLE = 10
MOST_TOLD = 10
TOLERANCE = 1e-5


class _Content(msgspec.Struct):
    predictions: list[int]
    probabilities: list[list[float]]


class Questions:
    """Requests of one row, and what ONNX Runtime answers to them.

    Args:
        model: A file as the sample: float32 [B, F] → int64 [B], float32 [B, classes].
        path: Where they are sent, such as `/api/predict` behind Nginx.
        use_cache: Whether the servers may answer from their caches.
    """

    def __init__(self, model: Path, path: str = "/predict", *, use_cache: bool = True) -> None:
        rows = np.random.default_rng(8).uniform(0.0, 100.0, (NUM_QUESTIONS, FEATURES_OF_SAMPLE))
        rows = rows.round(3).astype(np.float32)
        session = onnxruntime.InferenceSession(model)
        self._labels, self._probabilities = session.run(None, {session.get_inputs()[0].name: rows})
        table = rows.astype(np.float64).round(3).tolist()
        self.requests = [
            post(path, msgspec.json.encode({"data": [row], "use_cache": use_cache}))
            for row in table
        ]
        self._decoder = msgspec.json.Decoder(_Content)

    def fault(self, number: int, answer: Answer) -> str | None:
        """Tell what is wrong with an answer; None if nothing is."""
        if answer.status != 200:
            return f"expected 200, found {answer.status}: {answer.body[:200]!r}"
        found = self._decoder.decode(answer.body)
        if found.predictions != [self._labels[number]] or not np.allclose(
            found.probabilities, self._probabilities[number : number + 1], atol=TOLERANCE
        ):
            return f"expected what ONNX Runtime answers, found {answer.body[:200]!r}"
        return None


class Crowd:
    """Asks from the start of a `with` block to its end, in a thread of its own.

    Args:
        port: That it asks.
        questions: What it asks, in any order.

    Attributes:
        seconds: What each right answer took.
        faults: What went wrong, in words; the first few.
        num_faults: All of them.
    """

    def __init__(self, port: int, questions: Questions) -> None:
        self.seconds: list[float] = []
        self.faults: list[str] = []
        self.num_faults = 0
        self._port = port
        self._questions = questions
        self._random = random.Random(8)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="crowd")

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._thread.join()

    @property
    def p99_ms(self) -> float:
        """Of all right answers so far."""
        return float(np.quantile(self.seconds, 0.99)) * 1e3

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._ask_all())

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask_on() for _ in range(NUM_CLIENTS)))

    async def _ask_on(self) -> None:
        connection: Connection | None = None
        while not self._stopping:
            try:
                if connection is None:
                    connection = await Connection.open(self._port)
                if not await self._ask(connection):
                    connection.close()
                    connection = None
            except (OSError, TimeoutError) as error:
                self._blame(f"no answer: {error!r}")
                connection = None
            await asyncio.sleep(PAUSE_SECONDS * self._random.random())
        if connection is not None:
            connection.close()

    async def _ask(self, connection: Connection) -> bool:
        """Ask once; False if the connection is to be closed."""
        if connection.ended:  # closed while nothing was under way: nothing is lost
            return False
        number = self._random.randrange(NUM_QUESTIONS)
        answer = await connection.ask(self._questions.requests[number])
        fault = self._questions.fault(number, answer)
        if fault is None:
            self.seconds.append(answer.seconds)
        else:
            self._blame(fault)
        return answer.headers.get("connection") != "close"

    def _blame(self, fault: str) -> None:
        self.num_faults += 1
        if len(self.faults) < MOST_TOLD:
            self.faults.append(f"{time.strftime('%H:%M:%S')} {fault}")
