"""The overlay for production, really built and run."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack.compose import BASE, PRODUCTION, ComposeStack, published

TOKEN = "a-token-like-no-other-word"
PASSWORD = "apasswordlikenootherword"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """The stack as ops/compose.prod.yml has it, with the bundled model."""
    folder = tmp_path_factory.mktemp("production")
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "token").chmod(0o644)
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "password").chmod(0o644)
    tls = make_certificate(folder / "tls")
    files = {"TLS_DIR": str(tls), "ADMIN_TOKEN_FILE": str(folder / "token")}
    files["REDIS_PASSWORD_FILE"] = str(folder / "password")
    with ComposeStack(BASE, PRODUCTION, API_REPLICAS="2", **files) as stack:
        yield stack


@pytest.fixture(scope="module")
def tls(production: ComposeStack) -> Iterator[httpx.Client]:
    """A client that comes with TLS."""
    with production.new_tls_client() as client:
        yield client


def make_certificate(folder: Path) -> Path:
    """Make a key and a certificate that it signs itself; give their folder."""
    folder.mkdir(mode=0o755)
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)
    (folder / "tls.key").chmod(0o644)  # its reader is user 101
    return folder


def test_production_has_tls(tls: httpx.Client) -> None:
    """Under TLS answers say that this is to stay so."""
    answer = tls.get("/api/health")

    assert answer.status_code == 200
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_production_sends_to_tls(production: ComposeStack) -> None:
    """Who comes without TLS is sent to it, with method and body kept."""
    answer = production.client.get("/api/health?x=1")

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/api/health?x=1"


@pytest.mark.parametrize(
    ("sent", "status"), [("", 401), ("Bearer other", 401), (f"Bearer {TOKEN}", 200)]
)
def test_production_admin_token(tls: httpx.Client, sent: str, status: int) -> None:
    """The admin route opens to the token of the file, without the line's end, and to no other."""
    answer = tls.post("/api/models/reload", headers={"Authorization": sent} if sent else {})

    assert answer.status_code == status, answer.text


def test_production_keeps_the_token_inside(production: ComposeStack) -> None:
    """`docker inspect` does not show the token, nor Redis' password."""
    told = str([production.containers("api"), production.containers("redis")])

    assert TOKEN not in told
    assert PASSWORD not in told


def test_production_uses_redis_by_its_password(production: ComposeStack, tls: httpx.Client) -> None:
    """Replicas share it; who comes without the password may not even look."""
    redis = production.container("redis")["Id"]

    assert tls.get("/api/health").json()["redis_connected"] is True
    assert "NOPERM" in production.execute(redis, "redis-cli", "mget", "ml_pipeline:answer:1")


def test_production_serves_the_bundled_model(tls: httpx.Client) -> None:
    """Without `MODELS_DIR` the bundled model is served."""
    models = tls.get("/api/models").json()["models"]

    assert [model["model_name"] for model in models] == ["wine"]


def test_production_has_replicas(production: ComposeStack) -> None:
    """There are as many replicas as `API_REPLICAS` says."""
    assert len(production.replicas()) == 2


def test_production_goes_on(production: ComposeStack) -> None:
    """Every container is started again when it ends, and its log does not grow without end."""
    hosts = [each["HostConfig"] for each in production.containers()]

    assert {host["RestartPolicy"]["Name"] for host in hosts} == {"unless-stopped"}
    assert {host["LogConfig"]["Config"].get("max-size") for host in hosts} == {"20m"}


def test_production_keeps_prometheus_to_this_machine(production: ComposeStack) -> None:
    """From outside Prometheus is reached through Nginx alone, which lets queries through."""
    assert published(production.container("prometheus")) == {"9090/tcp": ["127.0.0.1"]}


@pytest.mark.parametrize("service", ["nginx", "api", "prometheus"])
def test_a_start_warns_of_nothing(production: ComposeStack, service: str) -> None:
    """Read-only, without a home and without rights, nobody has anything to complain about."""
    lines = production.compose("logs", "--no-log-prefix", service).splitlines()

    signs = ("[warn]", "[error]", "[alert]", "[W:", '"level":"warn', '"level":"err', "level=WARN")
    assert [line for line in lines if any(sign in line for sign in signs)] == []
