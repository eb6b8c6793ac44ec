"""The Compose files, really built and run."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.faults.load import OLD
from tests.faults.replica import write_model
from tests.server import ROOT, settled, wait_until
from tests.stack.compose import ComposeStack, published, service_of
from tests.stack.load import StackLoad

SERVICES = ("nginx", "api", "redis", "prometheus", "nginx-exporter")

KNOWN_SECONDS = 20.0
"""Until Nginx sends work to a new replica: it asks for names every 2 s, and leaves out for 5 s
one that refused connections because it was asked while it started."""

SCRAPED_SECONDS = 20.0

INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))
"""

ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8000)
connection.request("POST", "/predict", sys.argv[1], {"Content-Type": "application/json"})
print(connection.getresponse().getheader("X-Cache"))
"""

COUNT = """
import urllib.request
lines = urllib.request.urlopen("http://127.0.0.1:8000/metrics").read().decode().splitlines()
print(sum(float(line.split()[-1]) for line in lines if line.startswith("ml_api_predictions_total")))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """The stack with a model of its user's and generous limits; tests change the replicas."""
    models = write_model(tmp_path_factory.mktemp("compose") / "models", OLD)
    models.chmod(0o755)
    limits = {"RATE_LIMIT_API": "1000000", "RATE_LIMIT_PREDICT": "1000000"}
    with ComposeStack(MODELS_DIR=str(models), CACHE_POLICY="always", **limits) as stack:
        yield stack


def asked(stack: ComposeStack, replica: str) -> float:
    """Predictions that a replica has answered."""
    return float(stack.execute(replica, "python", "-c", COUNT))


def have_work(stack: ComposeStack) -> None:
    """Wait, under load, until Nginx sends requests to every replica."""
    before = {replica: asked(stack, replica) for replica in stack.replicas()}
    wait_until(
        lambda: all(asked(stack, replica) > count for replica, count in before.items()),
        KNOWN_SECONDS,
    )


def test_every_service_is_healthy(stack: ComposeStack) -> None:
    """Docker's own checks pass for each service, and each has one."""
    states = {service_of(each): each["State"]["Health"]["Status"] for each in stack.containers()}

    assert states == dict.fromkeys(SERVICES, "healthy")


def test_predictions_are_right(stack: ComposeStack) -> None:
    """Through Nginx each answer is what ONNX Runtime gives for the model in `MODELS_DIR`."""
    with StackLoad(stack.http_port) as load:
        load.go_on(0.5)

    assert load.faults == []
    assert load.num_answers > 100


@pytest.mark.parametrize("name", ["index.html", "style.css", "js/main.js", "vendor/uPlot.min.css"])
def test_the_dashboard_is_in_both_images(stack: ComposeStack, name: str) -> None:
    """Nginx and the server give the page of this checkout, third-party files included."""
    path = name.removesuffix("index.html")
    answers = [stack.client.get(f"/{path}"), stack.client.get(f"/api/ui/{path}")]

    expected = (ROOT / "ui" / name).read_bytes()
    assert [(each.status_code, each.content == expected) for each in answers] == [(200, True)] * 2


def test_prometheus_scrapes_everything(stack: ComposeStack) -> None:
    """Replicas, Nginx and Prometheus itself are up."""
    jobs = ("nginx", "prometheus", "api")
    up = {job: ["up"] for job in jobs}

    assert settled(lambda: {job: stack.targets(job) for job in jobs}, up, SCRAPED_SECONDS) == up


def test_only_nginx_and_prometheus_are_published(stack: ComposeStack) -> None:
    """Nobody outside reaches a replica, Redis or the exporter, nor Nginx's own status."""
    ports = {service_of(each): sorted(published(each)) for each in stack.containers()}

    assert ports == {
        "nginx": ["8080/tcp"],
        "api": [],
        "redis": [],
        "prometheus": ["9090/tcp"],
        "nginx-exporter": [],
    }


def test_redis_is_bounded(stack: ComposeStack) -> None:
    """Redis holds 256 MB at most and lets go of what was not used for longest."""
    redis = stack.container("redis")["Id"]

    found = stack.execute(redis, "redis-cli", "CONFIG", "GET", "maxmemory*").split()

    settings = dict(zip(found[::2], found[1::2], strict=True))
    assert settings["maxmemory"] == str(256 * 1024 * 1024)
    assert settings["maxmemory-policy"] == "allkeys-lru"


@pytest.mark.parametrize("service", SERVICES)
def test_processes_may_do_nothing_special(stack: ComposeStack, service: str) -> None:
    """No process is root, has or can gain a capability, or may write to its image."""
    container = stack.container(service)["Id"]

    status = stack.execute(container, "cat", "/proc/1/status").splitlines()
    root = stack.execute(container, "cat", "/proc/1/mounts").splitlines()[0]

    facts = {name: value.split() for name, _, value in (line.partition(":") for line in status)}
    assert "0" not in facts["Uid"] + facts["Gid"]
    assert {int(facts[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert facts["NoNewPrivs"] == ["1"]
    assert root.split()[1] == "/"
    assert "ro" in root.split()[3].split(",")


def test_the_image_says_what_is_in_it(stack: ComposeStack) -> None:
    """The bill of materials in the image lists each package that is installed there."""
    api = stack.container("api")["Id"]

    bill = json.loads(stack.execute(api, "cat", "/sbom.cdx.json"))
    installed = json.loads(stack.execute(api, "python", "-c", INSTALLED))

    listed = {(normal(each["name"]), each["version"]) for each in bill["components"]}
    found = {(normal(name), version) for name, version in installed.items()}
    assert bill["bomFormat"] == "CycloneDX"
    assert {each for each in found - listed if each[0] not in {"ml-pipeline", "pip"}} == set()
    assert ("opentelemetry-sdk", dict(found)["opentelemetry-sdk"]) in listed


def normal(name: str) -> str:
    """Write a package's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("service", SERVICES)
def test_resources_are_bounded(stack: ComposeStack, service: str) -> None:
    """Each container has a limit on memory and CPU."""
    host = stack.container(service)["HostConfig"]

    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0


@pytest.mark.parametrize("service", ["api", "redis", "nginx-exporter"])
def test_there_is_no_way_out(stack: ComposeStack, service: str) -> None:
    """What answers nobody outside can call nobody outside: it has no default route."""
    container = stack.container(service)["Id"]

    routes = stack.execute(container, "cat", "/proc/net/route").splitlines()[1:]

    assert [route for route in routes if route.split()[1] == "00000000"] == []


# The next six in this order: each leaves the replicas that the next one starts from.


def test_scaling_up(stack: ComposeStack) -> None:
    """From one replica to three no request is lost, and all three get work."""
    with StackLoad(stack.http_port) as load:
        stack.scale(3)
        have_work(stack)

    assert load.faults == []
    assert len(stack.replicas()) == 3


def test_prometheus_finds_replicas(stack: ComposeStack) -> None:
    """Each replica is a target of its own."""
    up = ["up"] * 3

    assert settled(lambda: stack.targets("api"), up, SCRAPED_SECONDS) == up


def test_replicas_share_answers(stack: ComposeStack) -> None:
    """What one replica has computed another finds in Redis."""
    one, other, _ = stack.replicas()
    body = '{"data":[[0.123,4.56,7.89,1.2]]}'

    first, second = (
        stack.execute(each, "python", "-c", ASK, body).strip() for each in (one, other)
    )

    assert (first, second) == ("miss", "redis")


def test_a_killed_replica(stack: ComposeStack) -> None:
    """A replica that ends without a word costs no request."""
    victim = stack.replicas()[0]

    with StackLoad(stack.http_port) as load:
        stack.kill(victim)
        load.go_on(3.0)
    stack.remove(victim)

    assert load.faults == []
    assert load.num_answers > 100


def test_scaling_down(stack: ComposeStack) -> None:
    """From three replicas to one no request is lost."""
    with StackLoad(stack.http_port) as load:
        stack.scale(3)
        have_work(stack)
        stack.scale(1)
        load.go_on(1.0)

    assert load.faults == []
    assert len(stack.replicas()) == 1


def test_a_rolling_update(stack: ComposeStack) -> None:
    """A new replica takes the place of the old one, and no request is lost."""
    old = stack.replicas()
    stack.environ["LOG_LEVEL"] = "warning"  # or a new image

    with StackLoad(stack.http_port) as load:
        stack.scale(2)
        have_work(stack)
        stack.compose("up", "--detach", "--wait", "--scale", "api=1")
        load.go_on(1.0)

    new = stack.replicas()
    assert load.faults == []
    assert len(new) == 1
    assert new != old


def test_limits_that_nobody_set() -> None:
    """By default a client may send 15 predictions at once, and the next is refused."""
    body = {"data": [[1.0]]}
    with ComposeStack(only="nginx") as stack:
        states = [stack.client.post("/api/predict", json=body).status_code for _ in range(16)]

    assert states == [503] * 15 + [429]  # nobody is behind Nginx


def test_the_image_on_the_oldest_python() -> None:
    """The lock installs, and the server starts, on the oldest Python that is supported too."""
    build = ["docker", "build", "--quiet", "--file", "ops/Dockerfile", "."]
    build += ["--build-arg", "PYTHON_IMAGE=python:3.11-slim-bookworm"]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    image = built.stdout.strip()
    script = "import sys, ml_pipeline.build; print(*sys.version_info[:2])"

    run = ["docker", "run", "--rm", "--read-only", "--entrypoint", "python", image, "-c", script]
    ran = subprocess.run(run, capture_output=True, text=True, timeout=60)
    subprocess.run(["docker", "image", "rm", image], capture_output=True, check=True, timeout=60)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3 11\n", "")
