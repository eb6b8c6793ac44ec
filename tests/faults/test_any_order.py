"""Predictions, new model files, unloading and outages of Redis in any order, against a plain model.

Two replicas share a Redis and a folder; one is told of every change, the other follows it. After
each step the plain model knows what must hold: which factor each answer has been made with, and
what `X-Cache` may say. Hypothesis draws the steps.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import models
from tests.faults.replica import health, metric
from tests.redis_server import RedisServer
from tests.server import Server, wait_until
from tests.web.samples import to_array

MAX_RUNS = int(os.environ.get("ANY_ORDER_RUNS", "12"))
NUM_STEPS = 40
FACTORS = (2.0, 3.0, 5.0, 7.0)
NUM_ROWS = 4
LONG_SECONDS, SHORT_SECONDS = 3600, 1

Key = tuple[str, float, int]
"""Form of the answer, factor of the model, number of the row: what an answer is cached under."""

_runs = itertools.count(1)


class World(NamedTuple):
    """What runs all the while."""

    folder: Path
    redis: RedisServer
    leader: Server
    follower: Server


def put(folder: Path, content: bytes) -> None:
    """Replace the model's file in one step."""
    (folder / "scaled.new").write_bytes(content)
    (folder / "scaled.new").replace(folder / "scaled.onnx")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two replicas that ask Redis for whatever they have not in memory."""
    folder = tmp_path_factory.mktemp("any-order")
    put(folder, models.scale_model(FACTORS[0]))
    (folder / "spare.onnx").write_bytes(models.scale_model(1.0))
    with RedisServer() as redis:
        environ = {"REDIS_URL": redis.url, "CACHE_POLICY": "always", "REDIS_TIMEOUT_MS": "500"}
        with (
            Server(folder, settings=environ) as leader,
            Server(folder, settings=environ) as follower,
        ):
            yield World(folder, redis, leader, follower)
            told = "".join(each.stdout + each.stderr for each in (leader, follower))
            assert "Traceback" not in told


class AnyOrder(RuleBasedStateMachine):
    """The plain model.

    Its state: the factor on disk (None: a broken file), the factor that is served (None: taken
    out), whether Redis runs, and of each replica which answers it holds for long, and which it may
    hold, because they end soon or stand in Redis.
    """

    world: World
    steps = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.on_disk: float | None = FACTORS[0]
        self.served: float | None = FACTORS[0]
        self.redis_runs = True
        self.held: dict[int, set[Key]] = {0: set(), 1: set()}
        self.maybe_held: set[Key] = set()
        self.replicas = (self.world.leader, self.world.follower)
        run = next(_runs)  # rows of its own: what runs before have left is never found
        self.rows = [[float(run), float(number), 1.0] for number in range(NUM_ROWS)]

    @initialize()
    def begin(self) -> None:
        """Begin with the first file, served by both."""
        put(self.world.folder, models.scale_model(FACTORS[0]))
        for replica in self.replicas:
            assert replica.client.post("/models/reload").status_code == 200
        self.settle()

    @invariant()
    def count(self) -> None:
        """Count the step."""
        next(self.steps)

    def teardown(self) -> None:
        """Leave Redis running for the next."""
        if not self.redis_runs:
            self.start_redis()

    # Predictions.

    @rule(
        which=st.integers(0, 1),
        row=st.integers(0, NUM_ROWS - 1),
        packed=st.booleans(),
        use_cache=st.sampled_from([True, True, True, False]),
        ttl=st.sampled_from([LONG_SECONDS, LONG_SECONDS, SHORT_SECONDS]),
    )
    def predict(self, which: int, row: int, packed: bool, use_cache: bool, ttl: int) -> None:
        """Ask for one row, in JSON or MessagePack."""
        content = {"data": [self.rows[row]], "use_cache": use_cache, "cache_ttl": ttl}
        answer = self.ask(which, "/predict?model=scaled", content, packed=packed)

        if self.served is None:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        found = msgspec.msgpack.decode(answer.content) if packed else answer.json()
        values = found["predictions"]
        if packed:
            values = to_array(values).tolist()
        assert values == [[self.served * value for value in self.rows[row]]]
        state = answer.headers["x-cache"]
        assert found["model_info"]["cached"] == (state in ("l1", "redis"))
        self.check(which, "packed" if packed else "json", row, state, use_cache=use_cache, ttl=ttl)

    @rule(which=st.integers(0, 1), first=st.integers(0, NUM_ROWS - 2))
    def predict_batch(self, which: int, first: int) -> None:
        """Ask for two rows, each a request of its own."""
        numbers = (first, first + 1)
        content = {"requests": [{"data": [self.rows[number]]} for number in numbers]}
        answer = self.ask(which, "/predict/batch?model=scaled", content)

        if self.served is None:
            assert answer.status_code == 404
            return
        told = dict(each.split(";n=") for each in answer.headers["x-cache"].split(", "))
        counts = {state: int(count) for state, count in told.items()}
        num_held = num_misses = 0
        for number, result in zip(numbers, answer.json()["results"], strict=True):
            assert result["predictions"] == [[self.served * v for v in self.rows[number]]]
            held = ("json", self.served, number) in self.held[which]
            hit = "l1" if held else "redis"  # or l1 too, if it was found there before
            cached = result["model_info"]["cached"]
            self.check(which, "json", number, hit if cached else "miss")
            num_held += held
            num_misses += not cached
        assert counts.get("miss", 0) == num_misses
        assert counts.get("l1", 0) >= num_held
        assert sum(counts.values()) == len(numbers)

    @rule(
        which=st.integers(0, 1),
        row=st.integers(0, NUM_ROWS - 1),
        use_cache=st.sampled_from([True, False, None]),
    )
    def infer(self, which: int, row: int, use_cache: bool | None) -> None:
        """Ask by the Open Inference Protocol, which caches only what asks for it."""
        tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": self.rows[row]}
        content: dict[str, Any] = {"inputs": [tensor]}
        if use_cache is not None:
            content["parameters"] = {"use_cache": use_cache}
        answer = self.ask(which, "/v2/models/scaled/infer", content)

        if self.served is None:
            assert answer.status_code == 404
            return
        (output,) = answer.json()["outputs"]
        assert output["data"] == [self.served * value for value in self.rows[row]]
        state = answer.headers["x-cache"]
        self.check(which, "tensor", row, state, use_cache=bool(use_cache))

    def ask(self, which: int, path: str, content: Any, *, packed: bool = False) -> httpx.Response:
        """Send a request to one of the replicas."""
        body = msgspec.msgpack.encode(content) if packed else msgspec.json.encode(content)
        headers = {"Content-Type": "application/msgpack" if packed else "application/json"}
        return self.replicas[which].client.post(path, content=body, headers=headers)

    def check(
        self,
        which: int,
        form: str,
        row: int,
        state: str,
        *,
        use_cache: bool = True,
        ttl: int = LONG_SECONDS,
    ) -> None:
        """Hold what the cache said against what it must know, and note what it knows now."""
        assert self.served is not None
        key = (form, self.served, row)
        if not use_cache:
            assert state == "bypass"
            return
        if key in self.held[which]:
            assert state == "l1"
        elif key not in self.maybe_held:
            assert state == "miss"  # nobody has asked the model that is served now
        else:
            assert state in ("l1", "redis", "miss")
        self.maybe_held.add(key)
        if state == "miss" and ttl == LONG_SECONDS:
            self.held[which].add(key)

    # What is served.

    @rule(factor=st.sampled_from(FACTORS))
    def replace_and_reload(self, factor: float) -> None:
        """Put another file there, and have it read."""
        put(self.world.folder, models.scale_model(factor))
        self.on_disk = factor
        self.change("/models/reload")
        self.served = factor
        self.settle()

    @rule(whole=st.booleans())
    def break_file_and_reload(self, whole: bool) -> None:
        """Put a file there that is none, and have it read: what was served goes on."""
        put(self.world.folder, b"" if whole else models.scale_model(FACTORS[0])[:50])
        self.on_disk = None
        for replica in self.replicas:
            assert replica.client.post("/models/reload").status_code == 422
        self.settle()

    @rule()
    def load(self) -> None:
        """Load what is on disk, by name."""
        expected = 200 if self.on_disk is not None else 400
        self.change("/v2/repository/models/scaled/load", expected)
        if self.on_disk is not None:
            self.served = self.on_disk
        self.settle()

    @precondition(lambda self: self.served is not None)
    @rule()
    def unload(self) -> None:
        """Take the model out."""
        self.change("/v2/repository/models/scaled/unload")
        self.served = None
        self.settle()

    def change(self, path: str, expected: int = 200) -> None:
        """Tell the leader; the follower too, where nobody else can."""
        for replica in self.replicas[: 1 if self.redis_runs and expected == 200 else 2]:
            assert replica.client.post(path).status_code == expected

    def settle(self) -> None:
        """Wait until both serve the same."""
        expected = 404 if self.served is None else [1.5 * self.served]
        for replica in self.replicas:
            wait_until(lambda replica=replica: self._served_by(replica) == expected)  # type: ignore[misc]

    @staticmethod
    def _served_by(replica: Server) -> Any:
        body = {"data": [[1.5, 0.0, 0.0]], "use_cache": False}
        answer = replica.client.post("/predict?model=scaled", json=body)
        return [answer.json()["predictions"][0][0]] if answer.status_code == 200 else 404

    # Redis.

    @precondition(lambda self: self.redis_runs)
    @rule()
    def flush(self) -> None:
        """Have Redis forget everything."""
        with self.world.redis.client() as client:
            client.flushall()

    @precondition(lambda self: self.redis_runs)
    @rule()
    def kill_redis(self) -> None:
        """End Redis at once."""
        self.world.redis.kill()
        self.redis_runs = False

    @precondition(lambda self: not self.redis_runs)
    @rule()
    def start_redis(self) -> None:
        """Start it again, empty, and wait until both have found it and told what they had to."""
        self.world.redis.start()
        self.redis_runs = True
        for replica in self.replicas:
            wait_until(lambda replica=replica: health(replica)["redis_connected"])  # type: ignore[misc]
        self.settle()


def test_any_order_of_requests_changes_and_outages(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    """Each answer is the served model's, and a hit only where its answer has been stored."""
    AnyOrder.world = world

    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=MAX_RUNS,
            stateful_step_count=NUM_STEPS,
            deadline=None,
            phases=[Phase.generate],  # shortening a failure would take minutes
            derandomize=MAX_RUNS <= 30,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    record_property("steps", next(AnyOrder.steps))
    assert metric(world.leader, "process_open_fds") < 200
