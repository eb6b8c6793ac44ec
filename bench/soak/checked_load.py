"""Clients that ask all the time, and hold each answer against ONNX Runtime's own.

The load runs in a thread with an event loop of its own, so that a scenario reads from top to
bottom: what is done to the server stands inside `with Load(…)`. Letters for shapes: R rows, F
features.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import msgspec
import numpy as np
import onnxruntime
import uvloop

from bench.harness import QUIET_SERVER
from bench.sample import SAMPLE_MODEL
from bench.scenarios import Ask, Servers
from bench.soak.client import Answer, Connection, post
from bench.soak.scenario import Run
from bench.suite.messages import Array, Expected, Message
from bench.suite.native import Stack, stack
from bench.waiting import wait_until

NUM_CLIENTS = 16
PAUSE_SECONDS = 0.005
"""Of each client, on average, between an answer and its next request: the cores are shared."""
NUM_KNOWN = 300
FRESH_RATIO = 0.3
"""Of requests whose rows are seldom the same, so that models run; the cache has the others."""
MOST_FAULTS = 5
"""That are told."""
SAMPLE_ROW = (13.0, 2.5, 20.0, 2.0, 1.8, 0.4, 4.7, 0.9, 2.6, 560.0)


class Questions:
    """Rows as requests, and what is right for each.

    Args:
        models: Files, each with one input; what any of them answers is right.
        rows: float32 [R, F], one a request; the first `NUM_KNOWN` are asked most often.
        path: Where they are asked.
        timeout_ms: `X-Request-Timeout-Ms`, or 0 for none.
        use_cache: Whether the server may read and write its cache.
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
        self._expected = [[_message(each, row) for each in outputs] for row in range(len(rows))]
        self._heads: dict[tuple[int, bytes], int] = {}

    def draw(self, source: random.Random) -> int:
        """Choose one."""
        number = len(self._requests)
        if number > NUM_KNOWN and source.random() < FRESH_RATIO:
            return source.randrange(NUM_KNOWN, number)
        return source.randrange(min(NUM_KNOWN, number))

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


def sample_questions(num_rows: int, *, path: str = "/predict", timeout_ms: int = 0) -> Questions:
    """Ask the bundled model."""
    rows = drawn_rows(num_rows, SAMPLE_ROW)
    return Questions([SAMPLE_MODEL], rows, path=path, timeout_ms=timeout_ms)


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
        self.num_clients = num_clients
        self._port = port
        self._questions = questions
        self._may_be_told = may_be_told
        self._random = random.Random(8)
        self._stopping = False
        self._thread = Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
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
        wanted = len(self.answered) + number
        if not wait_until(lambda: len(self.answered) >= wanted, seconds):
            self._blame(f"answers: expected {number} more in {seconds:.0f} s, found fewer")

    def _run(self) -> None:
        uvloop.run(self._ask_all())

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
        elif answer.status != 200:
            self.num_lost += 1
            self._blame(f"lost: {answer.status} {answer.body[:200]!r}")
        elif (model := self._questions.model_of(number, answer.body)) is None:
            self.num_wrong += 1
            self._blame(f"wrong: {answer.body[:200]!r}")
        else:
            self.models.add(model)
            self.answered.append((answer.seconds, time.monotonic()))

    def _blame(self, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"{self._questions.path}: {text}")


@contextmanager
def behind_nginx(
    run: Run,
    num_replicas: int,
    environment: Mapping[str, str] = QUIET_SERVER,
    *,
    may_be_told: bool = False,
) -> Iterator[tuple[Stack, Load]]:
    """Start a native stack and ask its bundled model through Nginx, for a `with` block."""
    servers = Servers("soak", num_replicas, environment=dict(environment))
    questions = sample_questions(run.choose(20_000, 3000), path="/api/predict")
    with (
        stack(servers) as running,
        Load(running.state.http_port, questions, may_be_told=may_be_told) as load,
    ):
        yield running, load


def answers_of(model: Path, rows: Array) -> list[Array]:
    """Ask ONNX Runtime: predictions [R, …] and, of a classifier, probabilities [R, classes]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    found: list[Array] = session.run(None, {session.get_inputs()[0].name: rows})
    if found[0].ndim == 2 and found[0].shape[1] == 1:
        found[0] = found[0][:, 0]
    return found[:2]


def drawn_rows(num_rows: int, sample: Sequence[float]) -> Array:
    """Draw rows round a sample: float32 [R, F]."""
    factors = np.random.default_rng(8).normal(1.0, 0.3, (num_rows, len(sample)))
    return (np.array(sample) * factors).round(4).astype(np.float32)


def _message(outputs: list[Array], row: int) -> Message:
    parts = [output[row : row + 1] for output in outputs]
    expected = Expected(b"\0", parts[0], parts[1] if len(parts) > 1 else None)
    return Message(Ask(), b"", {}, expected)
