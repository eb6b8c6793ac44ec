"""What containers request, and the time they have to end well."""

import re

import pytest

from ml_pipeline.settings import Settings, load_settings
from tests.ops.k8s.kustomize import find
from tests.ops.k8s.manifests import (
    BUILT,
    TEMPLATE,
    containers,
    environment,
    overlays,
    pods,
    quantity,
)
from tests.server import ROOT


@overlays
def test_redis_stays_below_its_limit(overlay: str) -> None:
    """Redis evicts before it has what it requested."""
    redis = containers(overlay)["redis"]
    options = dict(zip(redis["command"][1::2], redis["command"][2::2], strict=True))

    assert options["--maxmemory-policy"] == "allkeys-lru"
    assert quantity(options["--maxmemory"]) < quantity(redis["resources"]["requests"]["memory"])


def test_redis_is_told_what_its_file_says() -> None:
    """The options of Redis are the lines of ops/redis.conf, which cannot be mounted here."""
    command = containers("base")["redis"]["command"]
    lines = re.findall(r"^(\w+) (\S+)$", (ROOT / "ops" / "redis.conf").read_text(), re.MULTILINE)

    told = dict(zip(command[1::2], command[2::2], strict=True))

    assert lines
    assert {f"--{name}": value.strip('"') for name, value in lines}.items() <= told.items()


@overlays
@pytest.mark.parametrize("name", ["api", "nginx", "exporter", "redis"])
@pytest.mark.parametrize("what", ["cpu", "memory"])
def test_requests_are_within_limits(overlay: str, name: str, what: str) -> None:
    """Each container says what it needs and what it may take, and that is not less."""
    amounts = containers(overlay)[name]["resources"]

    assert 0 < quantity(amounts["requests"][what]) <= quantity(amounts["limits"][what])


@pytest.mark.parametrize("what", ["cpu", "memory"])
def test_production_has_more(what: str) -> None:
    """A replica in production may take more than one on trial."""
    trial = containers("base")["api"]["resources"]["limits"]
    production = containers("production")["api"]["resources"]["limits"]

    assert quantity(trial[what]) < quantity(production[what])


def test_the_memory_requested_is_the_one_measured() -> None:
    """The resident memory that is published and a full cache fit into the request."""
    published = (ROOT / "docs" / "benchmarks.md").read_text()
    [measured] = re.findall(r"resident memory .* \| (\d+) MB \|", published)

    requested = quantity(containers("base")["api"]["resources"]["requests"]["memory"])

    assert int(measured) * 10**6 + Settings().cache_max_mb * 10**6 < requested


@overlays
def test_the_api_has_time_to_drain(overlay: str) -> None:
    """A pod is not killed before it has answered what it took."""
    pod = pods(overlay)["api"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = load_settings(environment(overlay, "api")).drain_timeout_seconds

    assert pod["terminationGracePeriodSeconds"] > pause + drain


@overlays
def test_the_api_serves_until_nginx_knows(overlay: str) -> None:
    """A pod that goes takes requests for longer than Nginx keeps an answer of the DNS."""
    pause = containers(overlay)["api"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    upstreams = (ROOT / "nginx" / "upstreams.conf.template").read_text()

    assert all(pause > int(seconds) for seconds in re.findall(r"valid=(\d+)s", upstreams))


@overlays
def test_nginx_has_time_to_drain(overlay: str) -> None:
    """An Nginx that goes closes connections after their answers, and then waits for the last."""
    pod = pods(overlay)["nginx"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    [pause] = re.findall(r"sleep (\d+)", command)
    [longest] = re.findall(r"worker_shutdown_timeout (\d+)s", TEMPLATE)

    assert "touch /run/nginx/closing" in command
    assert "${RUN_FOLDER}/closing" in TEMPLATE
    assert pod["terminationGracePeriodSeconds"] > int(pause) + int(longest)


@overlays
def test_no_replica_is_missed_in_a_rollout(overlay: str) -> None:
    """A new pod is ready before an old one goes."""
    for name in ("api", "nginx"):
        strategy = find(BUILT[overlay], "Deployment", name)["spec"]["strategy"]
        assert strategy == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
