"""Small real stand-ins: a clock moved by hand, a session pool that runs a Python function."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ml_pipeline.cache.base import CacheStatistics, LookupBudget, RedisStatistics
from ml_pipeline.engine.sessions.session_pool import PoolStatistics
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.errors import RunFailed
from ml_pipeline.observe.collector import Metrics
from ml_pipeline.observe.exposition import expose

RowFunction = Callable[[Tensors], list[Array]]

BUDGET = LookupBudget(b"application/json", "model", 0.001, 60.0)
"""For look-ups that are made for nobody in particular."""


class ManualClock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def doubled(inputs: Tensors) -> list[Array]:
    """A row-wise model of one input: twice the row."""
    return [inputs["x"] * 2]


def refusing(*bad_values: float) -> RowFunction:
    """`doubled`, which fails as a whole if any row holds one of these values."""

    def run(inputs: Tensors) -> list[Array]:
        for value in bad_values:
            if (inputs["x"] == value).any():
                raise RunFailed(f"row of {value:g}")
        return doubled(inputs)

    return run


def losing_a_row(inputs: Tensors) -> list[Array]:
    """`doubled`, without the first row."""
    return [inputs["x"][1:] * 2]


class FakeSession:
    """Runs a Python function; `runs` keeps what it was given, run by run."""

    def __init__(self, function: RowFunction) -> None:
        self.function = function
        self.runs: list[Tensors] = []
        self.outputs: list[TensorSpec] = []  # of the last run

    def run(self, inputs: Tensors, options: object = None) -> list[Array]:
        self.runs.append(inputs)
        outputs = self.function(inputs)
        self.outputs = [
            TensorSpec(f"y{index}", str(output.dtype), output.shape)
            for index, output in enumerate(outputs)
        ]
        return outputs


class FakePool:
    """Lanes without threads: work is done on the loop's next turn, or when a test lets it.

    All lanes share one session, so that its `runs` count everything. As in `SessionPool`, work
    that raises takes its lane with it.
    """

    def __init__(self, function: RowFunction = doubled, *, num_sessions: int = 1) -> None:
        self.session = FakeSession(function)
        self.sessions = [self.session] * num_sessions
        self._num_idle = num_sessions
        self._held = False
        self._jobs: deque[tuple[Callable[[Any], Any], Callable[[Any], None]]] = deque()

    @property
    def idle(self) -> bool:
        return self._num_idle > 0

    @property
    def runs(self) -> list[list[float]]:
        """First column of each run's rows."""
        tables = [inputs["x"] for inputs in self.session.runs]
        return [[row.ravel()[0].item() for row in table] for table in tables]

    def run(self, inputs: Tensors, options: object = None) -> list[Array]:
        return self.session.run(inputs)

    def start(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        assert self.idle, "work was started while every lane is busy"
        self._num_idle -= 1
        self._jobs.append((work, done))
        if not self._held:
            asyncio.get_running_loop().call_soon(self.finish_one)

    def hold(self) -> None:
        """Keep what is started from now on in its lane."""
        self._held = True

    def finish_one(self) -> None:
        """Do the oldest work that is in a lane."""
        if self._jobs:
            work, done = self._jobs.popleft()
            result = work(self.session)
            self._num_idle += 1
            done(result)

    def finish_in_reverse(self) -> None:
        """Do all that is in the lanes, the newest first, and hold nothing from now on."""
        self._jobs.reverse()
        self.release()

    def release(self) -> None:
        """Do all that is in the lanes, and hold nothing from now on."""
        self._held = False
        for _ in range(len(self._jobs)):
            self.finish_one()

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(len(self.sessions), len(self.sessions) - self._num_idle)


class FakeFuture:
    """As much of a future as `BatchQueue` looks at."""

    def __init__(self) -> None:
        self.left = False

    def done(self) -> bool:
        return self.left


class FakeComputation:
    """Counts its runs; each waits until it may finish, then ends as the list of outcomes says."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        self.outcomes = outcomes
        self.num_runs = 0
        self._may_finish = asyncio.Event()

    async def __call__(self) -> bytes:
        outcome = self.outcomes[min(self.num_runs, len(self.outcomes) - 1)]
        self.num_runs += 1
        await asyncio.sleep(0)
        await self._may_finish.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def finish(self) -> None:
        """Let this run and all later ones end."""
        self._may_finish.set()


async def turns(count: int = 6) -> None:
    """Let the event loop go round a few times; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(*tasks: "asyncio.Task[Any]") -> list[Any]:
    """Result or exception of each task; fails, and does not hang, if one never ends."""
    _, pending = await asyncio.wait(tasks, timeout=10.0)
    for task in pending:
        task.cancel()
    assert not pending, f"{len(pending)} of {len(tasks)} never got an answer"
    return await asyncio.gather(*tasks, return_exceptions=True)


def shown(metrics: Metrics) -> list[Metric]:
    """Scrape as Prometheus does."""
    text = asyncio.run(expose(metrics)).decode()
    return list(text_string_to_metric_families(text))


def idle_metrics() -> Metrics:
    """Metrics of a server with a Redis that has loaded and answered nothing."""
    return Metrics(
        "replica-1",
        ("/predict",),
        scrape_models=list,
        scrape_cache=lambda: CacheStatistics(0, 0, 0),
        scrape_redis=lambda: RedisStatistics("closed", {}, {}, 0),
        scrape_behind=lambda: False,
    )
