"""Two replicas at one Redis: a reload of one is a reload of both, under load."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from tests.faults.conftest import Serve
from tests.faults.load import NEW, OLD, ReplicaLoad
from tests.faults.replica import digest, events, health, metric, state_of, write_model
from tests.redis_server import RedisServer
from tests.server import Server, wait_until

LEADER, FOLLOWER = 0, 1
BEHIND = "ml_api_reload_behind"
AGREE_SECONDS = 15.0


def reload(server: Server) -> None:
    answer = server.client.post("/models/reload")

    assert answer.status_code == 200, answer.text


def reverted(load: ReplicaLoad, server: int) -> list[str]:
    """Tell the answers of the old model to what was sent after one of the new had come."""
    answers = [each for each in load.answers if each.server == server]
    first = min(each.received for each in answers if each.model == 1)
    return [repr(each) for each in answers if each.model == 0 and each.sent > first]


def test_a_reload_reaches_the_other_replica(serve: Serve, tmp_path: Path) -> None:
    """After a reload of one replica both answer by the new model, and never by the old again."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis:
        leader, follower = serve(redis.url, folder), serve(redis.url, folder)
        with ReplicaLoad(leader, follower) as load:
            for replica in (LEADER, FOLLOWER):
                load.wait_for("redis", server=replica)
            write_model(folder, NEW)
            reload(leader)
            load.wait_for_model(1, server=FOLLOWER)
            for replica in (LEADER, FOLLOWER):
                load.wait_for("redis", server=replica)
            digests = digest(leader), digest(follower)
            wait_until(lambda: "replica_reloaded" in events(leader))
            told = health(leader)["status"], health(follower)["status"]

    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}
    assert reverted(load, LEADER) == []
    assert reverted(load, FOLLOWER) == []
    assert digests[0] == digests[1]
    assert told == ("healthy", "healthy")


def test_a_finished_reload_leaves_nothing_of_the_old_model(serve: Serve, tmp_path: Path) -> None:
    """What is sent after `POST /models/reload` has answered is answered by the new model."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis, ReplicaLoad(server := serve(redis.url, folder)) as load:
        load.wait_for("redis")
        for content in (NEW, OLD, NEW):
            write_model(folder, content)
            reload(server)
            model = 1 if content is NEW else 0
            start = load.now
            load.wait_for("redis")
            since = {each.model for each in load.answers if each.sent > start}

            assert since == {model}

    assert load.faults == []


def leave_old(folder: Path) -> None:
    pass


def corrupt(folder: Path) -> None:
    write_model(folder, OLD[:300])


def remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


@pytest.mark.parametrize(
    ("spoil", "mended_by"),
    [(leave_old, LEADER), (leave_old, FOLLOWER), (corrupt, LEADER), (remove, FOLLOWER)],
)
def test_a_replica_that_cannot_follow(
    serve: Serve, tmp_path: Path, spoil: Callable[[Path], None], mended_by: int
) -> None:
    """A replica without the new file goes on with the old one, and says so until it is mended."""
    folders = [write_model(tmp_path / name) for name in ("leader", "follower")]
    with RedisServer() as redis:
        replicas = [serve(redis.url, folder) for folder in folders]
        leader, follower = replicas
        with ReplicaLoad(*replicas) as load:
            load.wait_for("redis", server=FOLLOWER)
            old = digest(follower)
            write_model(folders[LEADER], NEW)
            spoil(folders[FOLLOWER])
            reload(leader)
            wait_until(lambda: metric(follower, BEHIND) == 1)
            behind = health(follower)["status"], *state_of(follower, "reload"), digest(follower)
            wait_until(lambda: "replica_behind" in events(leader))
            load.wait_for("redis", server=FOLLOWER)
            num_before = len(load.answers)
            models = {each.model for each in load.answers if each.server == FOLLOWER}
            write_model(folders[FOLLOWER], NEW)
            reload(replicas[mended_by])
            load.wait_for_model(1, server=FOLLOWER)
            wait_until(lambda: metric(follower, BEHIND) == 0)
            mended = health(follower)["status"], state_of(follower, "reload"), digest(follower)
            wait_until(lambda: health(leader)["status"] == "healthy")
            leading = metric(leader, BEHIND), digest(leader)

    assert load.faults == []
    assert num_before > 0
    assert models == {0}
    assert behind[:2] == ("degraded", "degraded")
    assert "expected digest" in behind[2]
    assert behind[3] == old
    assert mended == ("healthy", ("healthy", ""), leading[1])
    assert leading[0] == 0
    assert mended[2] != old


def block(client: "Redis") -> None:
    """Let the follower neither keep its connections nor make new ones."""
    client.acl_setuser("follower", enabled=False)
    client.execute_command("CLIENT", "KILL", "USER", "follower")


def allow(client: "Redis") -> None:
    client.acl_setuser(
        "follower",
        enabled=True,
        passwords=["+secret"],
        keys=["*"],
        channels=["*"],
        categories=["+@all"],
    )


def cut_subscription(client: "Redis") -> None:
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@pytest.mark.parametrize(("cut", "for_good"), [(block, True), (cut_subscription, False)])
def test_a_replica_that_was_cut_off_learns_of_it_later(
    serve: Serve, tmp_path: Path, cut: Callable[[Redis], None], for_good: bool
) -> None:
    """A replica that is not connected while a reload is announced follows when it is."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis, closing(redis.client()) as client:
        allow(client)
        leader = serve(redis.url, folder)
        follower = serve(f"redis://follower:secret@127.0.0.1:{redis.port}", folder)
        with ReplicaLoad(leader, follower) as load:
            load.wait_for("redis", server=FOLLOWER)
            write_model(folder, NEW)
            cut(client)
            reload(leader)
            load.wait_for("redis", server=LEADER)
            models = {each.model for each in load.answers if each.server == FOLLOWER}
            allow(client)
            load.wait_for_model(1, server=FOLLOWER)
            load.wait_for("redis", server=FOLLOWER)
            told = health(follower)["status"], metric(follower, BEHIND)

    assert load.faults == []
    assert models == {0} or not for_good
    assert told == ("healthy", 0.0)
    assert reverted(load, FOLLOWER) == []


def test_a_reload_without_redis(serve: Serve, tmp_path: Path) -> None:
    """A reload succeeds here when nobody else can be told; the log says so."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis, ReplicaLoad(server := serve(redis.url, folder)) as load:
        load.wait_for("redis")
        redis.freeze()
        write_model(folder, NEW)
        reload(server)
        redis.thaw()
        load.wait_for("redis")

    assert load.faults == []
    assert {each.model for each in load.answers} == {0, 1}
    assert "reload_not_published" in events(server)


def test_a_reload_without_redis_is_announced_later(serve: Serve, tmp_path: Path) -> None:
    """A reload that could not be announced is, when Redis is back: the other replica follows."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis:
        leader, follower = serve(redis.url, folder), serve(redis.url, folder)
        with ReplicaLoad(leader, follower) as load:
            load.wait_for("redis", server=FOLLOWER)
            redis.kill()
            write_model(folder, NEW)
            reload(leader)
            redis.start()
            for replica in (LEADER, FOLLOWER):
                load.wait_for("redis", server=replica)
            wait_until(lambda: digest(leader) == digest(follower), AGREE_SECONDS)

    assert load.faults == []
