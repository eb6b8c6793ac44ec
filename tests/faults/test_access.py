"""Who may speak to Redis: passwords, users of few rights, TLS. No secret is told to anybody."""

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from tests.faults.conftest import Serve
from tests.faults.load import NEW, ReplicaLoad
from tests.faults.replica import (
    events,
    health,
    state_of,
    told_by,
    write_model,
)
from tests.faults.stranger import Stranger
from tests.redis_server import RedisServer
from tests.server import ROOT, free_port, run_to_end, settled, wait_until

SECRET = "geh@eim/ß:%"
RIGHTS = ["+mget", "+set", "+publish", "+subscribe", "+watch", "+multi", "+exec", "+pttl", "+ping"]
"""What the README tells to allow; each is needed."""


def no_secret_in(text: str) -> bool:
    return not any(form in text for form in (SECRET, quote(SECRET, safe=""), SECRET[:7], "geh"))


def wrong_password(client: Redis) -> str:
    client.config_set("requirepass", "another")
    return f":{quote(SECRET, safe='')}@"


def wrong_password_of_a_user(client: Redis) -> str:
    client.acl_setuser("somebody", enabled=True, passwords=["+another"], categories=["+@all"])
    return f"somebody:{quote(SECRET, safe='')}@"


def no_password(client: Redis) -> str:
    client.config_set("requirepass", "another")
    return ""


def let_in(client: Redis) -> None:
    """Let everybody in with any password."""
    for name in ("default", "somebody"):
        client.acl_setuser(
            name, enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"]
        )


@pytest.mark.parametrize("lock_out", [wrong_password, wrong_password_of_a_user, no_password])
def test_locked_out(serve: Serve, lock_out: Callable[[Redis], str]) -> None:
    """A server that Redis does not let in answers alone and says why; let in, it uses it."""
    with RedisServer() as redis, closing(redis.client()) as client:
        server = serve(f"redis://{lock_out(client)}127.0.0.1:{redis.port}")
        with ReplicaLoad(server) as load:
            load.wait_for("coalesced")  # the first load of a process has to work out its answers
            load.go_on(0.5)
            before, (status, reason) = health(server), state_of(server, "redis")
            states = load.states

            assert no_secret_in(told_by(server))
            let_in(client)
            load.wait_for("redis")
            after = health(server)

            assert no_secret_in(told_by(server))
    assert load.faults == []
    assert states == {"miss", "coalesced"}
    assert (before["status"], before["redis_connected"]) == ("degraded", False)
    assert status == "degraded"
    assert reason
    assert "redis_lost" in events(server)
    assert (after["status"], after["redis_connected"]) == ("healthy", True)


@pytest.mark.parametrize("secret", [SECRET, 20 * SECRET], ids=["short", "long"])
def test_an_old_redis_repeats_the_password(serve: Serve, secret: str) -> None:
    """Redis 5 repeats the first 128 bytes of a log-in that it does not know: we do not."""

    def repeat(heard: bytes) -> bytes:
        words = b" ".join(b"`%b`," % word for word in heard.split(b"\r\n")[4::2])[:128]
        return b"-ERR unknown command `HELLO`, with args beginning with: %b\r\n" % words

    with Stranger(lambda: repeat) as stranger:
        server = serve(f"redis://:{quote(secret, safe='')}@127.0.0.1:{stranger.port}")

        assert state_of(server, "redis")[0] == "degraded"
        assert no_secret_in(told_by(server))


def test_a_user_of_few_rights(serve: Serve, tmp_path: Path) -> None:
    """A user that may do what is needed, with our keys alone, shares answers and reloads."""
    folder = write_model(tmp_path / "shared")
    with RedisServer() as redis, closing(redis.client()) as client:
        allow(client, RIGHTS)
        url = f"redis://replica:{quote(SECRET, safe='')}@127.0.0.1:{redis.port}"
        leader, follower = serve(url, folder), serve(url, folder)
        with ReplicaLoad(leader, follower) as load:
            load.wait_for("redis")
            write_model(folder, NEW)
            leader.client.post("/models/reload")
            load.wait_for_model(1, server=1)
            load.wait_for("redis", server=1)
            wait_until(lambda: "replica_reloaded" in events(leader))
            statuses = health(leader)["status"], health(follower)["status"]
            denied = [entry for entry in client.acl_log() if entry["reason"] != "auth"]

            assert no_secret_in(told_by(leader) + told_by(follower))
    assert load.faults == []
    assert statuses == ("healthy", "healthy")
    assert denied == []


def test_the_readme_tells_the_same_rights() -> None:
    """The rule in the README allows what these tests allow, and no more."""
    (rule,) = re.findall(r"^ACL SETUSER .+$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert rule.split()[5:] == ["~ml_pipeline:*", "&ml_pipeline:*", *RIGHTS]


def allow(client: Redis, rights: list[str]) -> None:
    client.acl_setuser(
        "replica",
        enabled=True,
        passwords=[f"+{SECRET}"],
        keys=["ml_pipeline:*"],
        channels=["ml_pipeline:*"],
        commands=rights,
    )


def test_a_user_of_too_few_rights(serve: Serve) -> None:
    """A user that may not look up costs nothing, and `/health` tells of it."""
    with RedisServer() as redis, closing(redis.client()) as client:
        allow(client, [right for right in RIGHTS if right != "+mget"])
        server = serve(f"redis://replica:{quote(SECRET, safe='')}@127.0.0.1:{redis.port}")
        with ReplicaLoad(server) as load:
            load.go_on(0.5)
            status, reason = state_of(server, "redis")

            assert no_secret_in(told_by(server))
    assert load.faults == []
    assert load.states == {"miss", "coalesced"}
    assert status == "degraded"
    assert "permissions" in reason


@pytest.mark.parametrize("right", ["+subscribe", "channel"])
def test_a_user_that_may_not_listen(serve: Serve, right: str) -> None:
    """A server that cannot hear of reloads says so, in its log or in `/health`."""
    with RedisServer() as redis, closing(redis.client()) as client:
        allow(client, [each for each in RIGHTS if each != right])
        if right == "channel":
            client.execute_command("ACL", "SETUSER", "replica", "resetchannels")
        server = serve(f"redis://replica:{quote(SECRET, safe='')}@127.0.0.1:{redis.port}")

        def told() -> bool:
            return "permissions" in server.stdout + str(health(server))

        assert settled(told, True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority, `ca.crt`, and what it gave a Redis, `redis.crt`."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key")
    openssl(*new, *authority, "-out", "ca.crt")
    openssl(*new, "-subj", "/CN=redis", "-keyout", "redis.key", "-out", "redis.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ("x509", "-req", "-days", "2", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    openssl(*sign, "-in", "redis.csr", "-extfile", "names", "-out", "redis.crt")
    return folder


@pytest.fixture(scope="module")
def tls_port(certificates: Path) -> Iterator[int]:
    """A Redis that takes nothing but TLS, with a password."""
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", SECRET]
    for option, name in (("cert", "redis.crt"), ("key", "redis.key"), ("ca-cert", "ca.crt")):
        options += [f"--tls-{option}-file", str(certificates / name)]
    with RedisServer(*options, port=0):
        yield port


@pytest.mark.parametrize(
    "options",
    [
        "ssl_ca_certs={0}/ca.crt",
        "ssl_cert_reqs=none",
        "ssl_ca_certs={0}/ca.crt&ssl_min_version=TLSv1.3&ssl_check_hostname=False"
        "&ssl_certfile={0}/redis.crt&ssl_keyfile={0}/redis.key",
    ],
    ids=["authority", "nobody-s", "client-s-too"],
)
def test_tls(serve: Serve, tls_port: int, certificates: Path, options: str) -> None:
    """With `rediss://` and its authority's certificate, or as is asked, Redis is used over TLS."""
    url = f"rediss://:{quote(SECRET, safe='')}@127.0.0.1:{tls_port}"
    server = serve(f"{url}?{options.format(certificates)}")
    with ReplicaLoad(server) as load:
        load.wait_for("redis")
        wait_until(lambda: health(server)["status"] == "healthy")

        assert no_secret_in(told_by(server))
    assert load.faults == []
    assert load.states == {"redis", "miss", "coalesced"}


@pytest.mark.parametrize(
    ("scheme", "options"),
    [("rediss", ""), ("rediss", "?ssl_ca_certs=/nowhere/ca.crt"), ("redis", "")],
)
def test_tls_that_cannot_be(serve: Serve, tls_port: int, scheme: str, options: str) -> None:
    """Without the authority's certificate, or without TLS, a server answers alone and says why."""
    url = f"{scheme}://:{quote(SECRET, safe='')}@127.0.0.1:{tls_port}{options}"
    with ReplicaLoad(server := serve(url)) as load:
        load.go_on(0.3)
        status, reason = state_of(server, "redis")

        assert no_secret_in(told_by(server))
    assert load.faults == []
    assert load.states == {"miss", "coalesced"}
    assert status == "degraded"
    assert reason


MALFORMED = {
    "no scheme": ":{}@127.0.0.1:6379",
    "no host": "redis://:{}@:6379",
    "port too large": "redis://:{}@127.0.0.1:99999",
    "hash in the password": "redis://:{}#@127.0.0.1:6379",
    "database no number": "redis://:{}@127.0.0.1/zero",
    "option of something else": "redis://:{}@127.0.0.1?socket_timeout=1",
    "unknown option of TLS": "rediss://:{}@127.0.0.1?ssl_frobnicate=1",
    "option of TLS without a value": "rediss://:{}@127.0.0.1?ssl_ca_certs",
    "requirement of TLS": "rediss://:{}@127.0.0.1?ssl_cert_reqs=perhaps",
    "neither yes nor no": "rediss://:{}@127.0.0.1?ssl_check_hostname=perhaps",
    "version of TLS": "rediss://:{}@127.0.0.1?ssl_min_version=TLSv9",
    "socket without a path": "unix://:{}@",
    "several": "redis://:{}@127.0.0.1:6379,127.0.0.1:6380",
}


@pytest.fixture(scope="module")
def ended() -> dict[str, subprocess.CompletedProcess[str]]:
    """What became of the starts with each malformed URL."""

    def run(url: str) -> subprocess.CompletedProcess[str]:
        # No model, so that a start ends by itself if the URL is taken.
        return run_to_end(
            "serve", "/nowhere", REDIS_URL=url.format("geheim"), PORT=str(free_port())
        )

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(MALFORMED, threads.map(run, MALFORMED.values()), strict=True))


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_url(ended: dict[str, subprocess.CompletedProcess[str]], name: str) -> None:
    """A REDIS_URL that cannot be used ends the start with one line, which does not repeat it."""
    done = ended[name]

    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ml-pipeline: REDIS_URL")
    assert "geheim" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout
