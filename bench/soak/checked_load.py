"""Clients that ask all the time, and hold each answer against ONNX Runtime's own.

The load runs in a thread with an event loop of its own, so that a scenario reads from top to
bottom: what is done to the server stands inside `with Load(…)`. Letters for shapes: R rows, F
features.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType

import msgspec
import numpy as np
import onnxruntime
import uvloop

from bench.scenarios import Ask
from bench.soak.client import Answer, Connection, post
from bench.suite.messages import Array, Expected, Message

NUM_CLIENTS = 16
PAUSE_SECONDS = 0.005
"""Of each client, on average, between an answer and its next request: the cores are shared."""
NUM_KNOWN = 300
FRESH_RATIO = 0.3
"""Of requests whose rows are seldom the same, so that models run; the cache has the others."""
MOST_FAULTS = 5
"""That are told: one is enough to fail."""


class Questions:
    """Rows as requests, and what is right for each.

    Args:
        models: Files, each with one input; what any of them answers is right.
        rows: float32 [R, F], one a request; the first `NUM_KNOWN` are asked most often.
        path: Where they are asked.
        timeout_ms: `X-Request-Timeout-Ms`, or 0 for none.
        use_cache: Whether the server may read and write its cache.

    Attributes:
        path: Likewise.
    """

    def __init__(
        self,
        models: Sequence[Path],
        rows: Array,
        *,
        path: str = "/predict",
        timeout_ms: int = 0,
        use_cache: bool = True,
    ) -> None:
        self.path = path
        headers = {"x_request_timeout_ms": str(timeout_ms)} if timeout_ms else {}
        values = rows.astype(np.float64).round(4)
        self._requests = [
            post(path, msgspec.json.encode({"data": [row], "use_cache": use_cache}), **headers)
            for row in values.tolist()
        ]
        outputs = [answers_of(model, values.astype(np.float32)) for model in models]
        self._expected = [
            [_message(output, row) for output in outputs] for row in range(len(values))
        ]
        self._heads: dict[tuple[int, bytes], int] = {}

    def draw(self, source: random.Random) -> int:
        """Choose one."""
        if len(self._requests) > NUM_KNOWN and source.random() < FRESH_RATIO:
            return source.randrange(NUM_KNOWN, len(self._requests))
        return source.randrange(min(NUM_KNOWN, len(self._requests)))

    def request(self, number: int) -> bytes:
        """Give the bytes of one."""
        return self._requests[number]

    def model_of(self, number: int, body: bytes) -> int | None:
        """Find the model whose answer this is; None if it is nobody's."""
        head = number, body.partition(b'"model_info"')[0]
        if (known := self._heads.get(head)) is not None:
            return known
        for model, message in enumerate(self._expected[number]):
            if message.is_answered_by(body):
                self._heads[head] = model
                return model
        return None


class Load:
    """Asks from the start of a `with` block to its end.

    Args:
        port: Of the server, or of Nginx before it.
        questions: What is asked.
        num_clients: Each on a connection of its own, which it opens anew when it is told to.
        may_be_told: Whether a 503 that says when to come again is no loss.

    Attributes:
        num_asked: Requests.
        num_lost: Those without an answer, or with another status than 200.
        num_told: Those that got such a 503, where that is no loss.
        num_wrong: Those with a wrong one.
        faults: The first few lost or wrong, in words.
        num_clients: Likewise.
        answered: Seconds from request to answer, and `time.monotonic()` at its end.
        models: The models that have answered so far, by their numbers.
    """

    def __init__(
        self,
        port: int,
        questions: Questions,
        *,
        num_clients: int = NUM_CLIENTS,
        may_be_told: bool = False,
    ) -> None:
        self.num_asked = self.num_lost = self.num_told = self.num_wrong = 0
        self.faults: list[str] = []
        self.answered: list[tuple[float, float]] = []
        self.models: set[int] = set()
        self._port = port
        self._questions = questions
        self.num_clients = num_clients
        self._may_be_told = may_be_told
        self._random = random.Random(8)
        self._stopping = False
        self._thread = Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
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
    def counts(self) -> str:
        """Lost and wrong, as a table has them."""
        return f"{self.num_asked:,} requests, {self.num_lost} lost, {self.num_wrong} wrong"

    def p99_seconds(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Seconds that 99 % of the answers took at most, of those that ended in a time."""
        taken = [seconds for seconds, ended in self.answered if since <= ended < until]
        return float(np.quantile(taken, 0.99)) if taken else 0.0

    def wait_for_answers(self, number: int, seconds: float = 20.0) -> None:
        """Wait until so many more have come."""
        wanted, limit = len(self.answered) + number, time.monotonic() + seconds
        while len(self.answered) < wanted and time.monotonic() < limit:
            time.sleep(0.02)
        if len(self.answered) < wanted:
            self._blame(f"answers: expected {number} more in {seconds:.0f} s, found fewer")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._ask_all())

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._be_a_client() for _ in range(self.num_clients)))

    async def _be_a_client(self) -> None:
        connection: Connection | None = None
        while not self._stopping:
            number = self._questions.draw(self._random)
            self.num_asked += 1
            try:
                connection = connection or await Connection.open(self._port)
                answer = await connection.ask(self._questions.request(number))
            except (OSError, TimeoutError) as error:
                self.num_lost += 1
                self._blame(f"lost: {error!r}")
                connection = None
                await asyncio.sleep(0.05)
                continue
            self._judge(number, answer)
            if answer.headers.get("connection") == "close":
                connection.close()
                connection = None
            await asyncio.sleep(2 * PAUSE_SECONDS * self._random.random())
        if connection is not None:
            connection.close()

    def _judge(self, number: int, answer: Answer) -> None:
        if self._may_be_told and answer.status == 503 and "retry-after" in answer.headers:
            self.num_told += 1
            return
        if answer.status != 200:
            self.num_lost += 1
            self._blame(f"lost: {answer.status} {answer.body[:200]!r}")
            return
        model = self._questions.model_of(number, answer.body)
        if model is None:
            self.num_wrong += 1
            self._blame(f"wrong: {answer.body[:200]!r}")
            return
        self.models.add(model)
        self.answered.append((answer.seconds, time.monotonic()))

    def _blame(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"{self._questions.path}: {text}")


def answers_of(model: Path, rows: Array) -> list[Array]:
    """Ask ONNX Runtime: predictions [R, …] and, of a classifier, probabilities [R, classes]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    found: list[Array] = session.run(None, {session.get_inputs()[0].name: rows})
    first = found[0]
    if first.ndim == 2 and first.shape[1] == 1:
        found[0] = first[:, 0]
    return found[:2]


def drawn_rows(num_rows: int, sample: Sequence[float]) -> Array:
    """Draw rows round a sample: float32 [R, F]."""
    generator = np.random.default_rng(8)
    factors = generator.normal(1.0, 0.3, (num_rows, len(sample)))
    return (np.array(sample) * factors).round(4).astype(np.float32)


def _message(outputs: list[Array], row: int) -> Message:
    parts = [output[row : row + 1] for output in outputs]
    expected = Expected(b"\0", parts[0], parts[1] if len(parts) > 1 else None)
    return Message(Ask(), b"", {}, expected)
