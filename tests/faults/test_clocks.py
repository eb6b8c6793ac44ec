"""Replicas of which one has a wrong clock."""

from pathlib import Path

from bench.soak.clock import Clock
from tests.faults.conftest import Serve
from tests.faults.load import NEW, OLD
from tests.faults.replica import ONLY_REDIS, digest, health, write_model
from tests.redis_server import RedisServer
from tests.server import Server, wait_until

AGREE_SECONDS = 20.0
HOURS = 2


def reload(server: Server) -> None:
    answer = server.client.post("/models/reload")

    assert answer.status_code == 200, answer.text


def test_replicas_whose_clocks_differ_agree_after_reloads(serve: Serve, tmp_path: Path) -> None:
    """One is two hours ahead: whichever of them reloads last, the other follows."""
    folder = write_model(tmp_path / "shared")
    clock = Clock(tmp_path / "clock")
    clock.set(HOURS)
    command = ("-m", "bench.soak.clock_probe")
    with RedisServer() as redis:
        right = serve(redis.url, folder)
        settings = {**ONLY_REDIS, **clock.environment, "REDIS_URL": redis.url}
        with Server(folder, command=command, settings=settings) as ahead:
            wait_until(lambda: all(health(each)["redis_connected"] for each in (right, ahead)))
            digests = []
            for content, leader, follower in (
                (NEW, ahead, right),
                (OLD, right, ahead),
                (NEW, ahead, right),
                (OLD, right, ahead),
            ):
                write_model(folder, content)
                reload(leader)
                digests.append(digest(leader))
                wait_until(lambda: digest(follower) == digests[-1], AGREE_SECONDS)  # noqa: B023
            wait_until(lambda: health(right)["status"] == health(ahead)["status"] == "healthy")
            dates = [each.client.get("/health").headers["date"] for each in (right, ahead)]

    assert digests[0] == digests[2] != digests[1] == digests[3]
    assert dates[0][:19] != dates[1][:19]  # to the hour
