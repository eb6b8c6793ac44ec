"""Announcements that Redis loses, and those that nobody made."""

import time
from pathlib import Path

import msgspec
import pytest

from ml_pipeline.replicas.announcements import Reloaded
from tests.faults.conftest import Serve
from tests.faults.load import NEW
from tests.faults.replica import (
    digest,
    events,
    health,
    metric,
    state_of,
    write_model,
)
from tests.redis_server import RedisServer, cluster_options
from tests.server import Server, run_to_end, wait_until

AGREE_SECONDS = 15.0
STANDING_SECONDS = 1.6
NOTICED_SECONDS = 6.0
TOKEN = "the-token-of-an-admin"
REFUSED = "ml_api_announcements_refused_total"


def change(server: Server, path: str = "/models/reload", token: str = "") -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = server.client.post(path, headers=headers)

    assert answer.status_code == 200, answer.text


def connected(*servers: Server) -> bool:
    return all(health(server)["redis_connected"] for server in servers)


def test_a_reload_while_redis_stands_still_reaches_the_others(serve: Serve, tmp_path: Path) -> None:
    """Stopped for 1.6 s in which the reload is made, it loses nothing that is not told later."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis:
        leader, follower = serve(redis.url, folder), serve(redis.url, folder)
        wait_until(lambda: connected(leader, follower))
        write_model(folder, NEW)
        redis.freeze()
        frozen = time.monotonic()
        change(leader)
        time.sleep(max(0.0, STANDING_SECONDS - (time.monotonic() - frozen)))
        redis.thaw()
        wait_until(lambda: digest(leader) == digest(follower), AGREE_SECONDS)
        wait_until(lambda: health(leader)["status"] == health(follower)["status"] == "healthy")

        assert metric(follower, "ml_api_reload_behind") == 0


def test_a_message_that_is_lost_is_not_needed(serve: Serve, tmp_path: Path) -> None:
    """A replica that hears nothing, because the channel is closed to it, compares."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis, redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "resetchannels"
        )
        leader = serve(redis.url, folder)
        deaf = serve(f"redis://deaf:pw@127.0.0.1:{redis.port}", folder)
        wait_until(lambda: connected(leader, deaf))
        write_model(folder, NEW)
        change(leader)

        wait_until(lambda: digest(leader) == digest(deaf), AGREE_SECONDS)
        assert metric(deaf, "ml_api_reload_behind") == 0


def test_a_change_that_nobody_was_told_of_is_in_health(serve: Serve, tmp_path: Path) -> None:
    """As long as Redis takes nothing; and when it does, the others follow."""
    folder = write_model(tmp_path / "shared")
    with (
        RedisServer("--maxmemory-policy", "noeviction") as redis,
        redis.client() as client,
    ):
        leader, follower = serve(redis.url, folder), serve(redis.url, folder)
        wait_until(lambda: connected(leader, follower))
        client.config_set("maxmemory", "1")
        write_model(folder, NEW)
        change(leader)
        status, reason = state_of(leader, "reload")
        client.config_set("maxmemory", "0")
        wait_until(lambda: digest(leader) == digest(follower), AGREE_SECONDS)
        wait_until(lambda: state_of(leader, "reload")[0] == "healthy")

    assert status == "degraded"
    assert "OOM" in reason


def test_a_forged_announcement_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    """Published or put where what is wanted stands: it is counted, and logged once a place."""
    folder = write_model(tmp_path / "shared")
    news = msgspec.json.encode(Reloaded("somebody", 99, {}, ["model"]))
    with RedisServer() as redis, redis.client() as client:
        server = serve(redis.url, folder, ADMIN_TOKEN=TOKEN)
        wait_until(lambda: connected(server))
        wait_until(lambda: client.pubsub_numsub("ml_pipeline:reload:0")[0][1] == 1)
        for _ in range(3):
            client.publish("ml_pipeline:reload:0", news)
            client.publish("ml_pipeline:reload:0", b"0" * 64 + b" " + news)
        client.set("ml_pipeline:reload:state:99", news)
        client.set("ml_pipeline:reload:wanted:model", b"99")
        wait_until(lambda: metric(server, REFUSED) >= 7)
        time.sleep(0.5)
        models = server.client.get("/models").json()["models"]
        status = health(server)["status"]
        told = events(server).count("announcement_not_signed")

    assert len(models) == 1
    assert status == "healthy"
    assert told == 2


def num_models(server: Server) -> int:
    return len(server.client.get("/models").json()["models"])


def test_a_repeated_announcement_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    """What was signed once, and is said or put there again later, is older than what came after."""
    folder = write_model(tmp_path / "shared")
    (folder / "other.onnx").write_bytes(NEW)
    with RedisServer() as redis, redis.client() as client, client.pubsub() as listener:
        leader, follower = (serve(redis.url, folder, ADMIN_TOKEN=TOKEN) for _ in range(2))
        wait_until(lambda: connected(leader, follower))
        listener.subscribe("ml_pipeline:reload:0")
        change(leader, "/v2/repository/models/other/unload", TOKEN)
        old = next(each["data"] for each in listener.listen() if each["type"] == "message")
        place = "ml_pipeline:reload:wanted:other"
        before = client.get(place)
        wait_until(lambda: num_models(follower) == 1)
        change(leader, "/v2/repository/models/other/load", TOKEN)
        wait_until(lambda: num_models(follower) == 2)
        after = client.get(place)
        client.publish("ml_pipeline:reload:0", old)
        client.set(place, before)
        client.set("ml_pipeline:reload:wanted:model", before)
        wait_until(lambda: client.get(place) == after, AGREE_SECONDS)
        numbers = num_models(leader), num_models(follower)

    assert b'"unloaded":["other"]' in old
    assert before != after
    assert numbers == (2, 2)


def test_a_redis_that_dies_is_told_though_memory_answers(serve: Serve, tmp_path: Path) -> None:
    """Stopped, going on, killed, while no request asks Redis."""
    with RedisServer() as redis:
        server = serve(redis.url, CACHE_MAX_MB="16", CACHE_POLICY="auto")
        wait_until(lambda: connected(server))
        redis.freeze()
        redis.thaw()
        redis.kill()
        wait_until(lambda: not connected(server), NOTICED_SECONDS)
        status, reason = state_of(server, "redis")

    assert status == "degraded"
    assert reason


def test_a_cluster_is_refused_at_the_start() -> None:
    """Look-ups of many keys cannot be made there, so it is said before anything is served."""
    with RedisServer(*cluster_options()) as redis:
        done = run_to_end("serve", REDIS_URL=redis.url)

    assert done.returncode == 1
    assert "REDIS_URL: it is a node of a Redis Cluster" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("hosts", ["one:26379/mymaster", "one:26379,two:26379/mymaster"])
@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel", "sentinel"])
def test_sentinels_are_refused_at_the_start(scheme: str, hosts: str) -> None:
    """In words that say what to name instead, and without the password."""
    done = run_to_end("serve", REDIS_URL=f"{scheme}://:a-password@{hosts}")

    told = done.stderr + done.stdout
    assert done.returncode == 1
    assert "found Sentinels: name an address that follows the master" in done.stderr
    assert "a-password" not in told
    assert "Traceback" not in told
