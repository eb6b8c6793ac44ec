"""Replicas at one Redis: what one finds out about a model's rows, all of them go by.

No trial and no graph would find the model out; that the graph tells nothing is said by the test.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.replica import ONLY_REDIS, events, health, metric, state_of, write_model
from tests.models import HUGE, minding_model
from tests.redis_server import RedisServer
from tests.server import Server, wait_until
from tests.verdicts import NODE, START
from tests.verdicts import REASON as NODE_REASON

ROW = [1.0, 2.0, 3.0]
DOUBLED, TRIPLED = [[2.0, 4.0, 6.0]], [[3.0, 6.0, 9.0]]
NUM_FIRST = 64
METRIC = 'ml_api_batching_disproved_total{model="model",version="1"}'
REASON = "output y: rows run together differ from rows run apart"


class Replicas:
    """Starts servers at a Redis of their own, with nothing near."""

    def __init__(self, redis: RedisServer, folder: Path, running: ExitStack) -> None:
        self.redis = redis
        self.folder = folder
        self._running = running

    def start(self) -> Server:
        server = Server(
            self.folder,
            command=("-c", START, "unknown"),
            REDIS_URL=self.redis.url,
            REDIS_TIMEOUT_MS="1000",
            settings=ONLY_REDIS,
        )
        self._running.enter_context(server)
        wait_until(lambda: bool(health(server)["redis_connected"]))  # not at once on a busy machine
        return server

    def num_stored_at_last(self) -> int:
        """The same once nothing is on its way any more."""
        before = -1
        while before != (now := self.num_stored()):
            before = now
            time.sleep(0.5)
        return now

    def num_stored(self) -> int:
        """Answers that stand in Redis."""
        with self.redis.client() as client:
            return len(list(client.scan_iter("ml_pipeline:answer:*", count=10_000)))


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with RedisServer() as redis, ExitStack() as running:
        yield Replicas(redis, write_model(tmp_path / "models", minding_model()), running)


def share(server: Server, *rows: list[float]) -> list[Any]:
    """Ask for rows in one run; give the predictions of each."""
    body = {"requests": [{"data": [row]} for row in rows]}
    answer = server.client.post("/predict/batch", json=body)
    assert answer.status_code == 200, answer.text
    return [result["predictions"] for result in answer.json()["results"]]


def ask(server: Server, row: list[float]) -> tuple[Any, str]:
    """Ask for one; give the predictions, and where they came from."""
    answer = server.client.post("/predict", json={"data": [row]})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"], answer.headers["x-cache"]


def batching(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/models/info").json()["batching"]
    return found


def gain_trust(server: Server) -> None:
    """Share runs until the first rows have passed."""
    value = 0.0

    def trusted() -> bool:
        nonlocal value
        value += 1.0
        share(server, [value, 0.1, 0.2], [value, 0.3, 0.4])
        return bool(batching(server)["shared_answers"] == "everywhere")

    wait_until(trusted, 60.0)


def find_out(server: Server) -> None:
    """Share runs with a huge row until a check has met one."""
    value = 0.0

    def found() -> bool:
        nonlocal value
        value += 1.0
        rows = [[value, number / 8, 0.5] for number in range(100)]
        share(server, [(2.0 + value) * HUGE] * 3, *rows)
        return bool(batching(server)["disproved"])

    wait_until(found, 60.0)


def is_known(server: Server) -> bool:
    return state_of(server, "batching")[0] == "degraded"


def test_what_one_finds_out_all_go_by(replicas: Replicas) -> None:
    """Poisoned answers in Redis are no hits any more, here or elsewhere, now or later."""
    one, two = replicas.start(), replicas.start()
    gain_trust(one)
    before = replicas.num_stored_at_last()
    assert share(one, [2 * HUGE] * 3, ROW)[1] == TRIPLED
    wait_until(lambda: replicas.num_stored() == before + 2)
    assert ask(two, ROW) == (TRIPLED, "redis")

    find_out(one)
    wait_until(lambda: is_known(two))
    later = replicas.start()

    wait_until(lambda: is_known(later))  # at once, but where the look-up took half a second
    for server in (one, two, later):
        assert ask(server, ROW)[0] == DOUBLED
        assert share(server, [2 * HUGE] * 3, ROW)[1] == DOUBLED
        assert health(server)["status"] == "degraded"
        assert state_of(server, "batching")[1] == f"model/1: {REASON} ({NODE} {NODE_REASON})"
        assert metric(server, METRIC) == 1
        assert {"batching_disproved", "batching_off"} & set(events(server))
        told = batching(server)
        assert (told["enabled"], told["disproved"], told["verdict"], told["node"]) == (
            False, True, "unknown", NODE
        )  # fmt: skip
        assert told["reason"] == f"found in service: {REASON}"


def test_before_the_first_rows_have_passed_nothing_is_shared(replicas: Replicas) -> None:
    """A model that is found out at once has put nothing into Redis."""
    one = replicas.start()

    share(one, [2 * HUGE] * 3, ROW, [4.0, 5.0, 6.0])
    wait_until(lambda: batching(one)["disproved"] is True)

    assert replicas.num_stored() == 0


def test_a_replica_that_was_cut_off_learns_of_it(replicas: Replicas) -> None:
    """From what is kept, when it is connected again."""
    one, two = replicas.start(), replicas.start()
    with replicas.redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        find_out(one)

        wait_until(lambda: is_known(two))
        (name,) = client.scan_iter("ml_pipeline:disproof:last:*")
        assert client.ttl(name) > 86_400


def test_a_redis_that_was_empty_is_told_again(replicas: Replicas) -> None:
    """After an outage those that know put it back, for those that start later."""
    one = replicas.start()
    find_out(one)
    replicas.redis.kill()
    replicas.redis.start()
    with replicas.redis.client() as client:
        wait_until(lambda: any(client.scan_iter("ml_pipeline:disproof:last:*")))

    assert is_known(replicas.start())


def test_a_reload_of_the_same_file_remembers(replicas: Replicas) -> None:
    """Without Redis, too; a changed file is another model."""
    one = replicas.start()
    find_out(one)
    replicas.redis.kill()

    assert one.client.post("/models/reload").status_code == 200
    remembered = is_known(one)
    write_model(replicas.folder, minding_model(2 * HUGE))
    assert one.client.post("/models/reload").status_code == 200

    assert remembered
    assert not is_known(one)
    assert batching(one)["enabled"] is True
    assert metric(one, METRIC) == 0
