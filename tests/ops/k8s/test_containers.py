"""Ports, probes, users, variables, files and images, held against the code."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ml_pipeline import __version__
from ml_pipeline.settings import Settings, load_settings
from tests.ops.k8s.kustomize import find
from tests.ops.k8s.manifests import (
    BUILT,
    COMPOSE,
    DOCKERFILE,
    ROUTES,
    RUNTIME,
    TEMPLATE,
    VARIABLES,
    containers,
    environment,
    overlays,
    pods,
    ports,
)
from tests.server import ROOT


@overlays
def test_the_api_listens_where_the_settings_say(overlay: str) -> None:
    """The container's port is the default of PORT, which the image exposes."""
    [exposed] = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)

    assert ports(pods(overlay)["api"]) == {Settings().port} == {int(exposed)}


@overlays
def test_the_api_listens_to_other_pods(overlay: str) -> None:
    """The image listens on every address, and no manifest changes that."""
    assert re.search(r"^ENV .*\bHOST=0\.0\.0\.0\b", DOCKERFILE, re.MULTILINE)
    assert "HOST" not in environment(overlay, "api")


@overlays
def test_the_api_runs_as_the_user_of_the_image(overlay: str) -> None:
    """The numbers in the manifests are those in the Dockerfile."""
    [user] = re.findall(r"^USER (\d+:\d+)$", DOCKERFILE, re.MULTILINE)

    context = pods(overlay)["api"]["spec"]["securityContext"]

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


@pytest.mark.parametrize("service", ["nginx", "redis"])
def test_others_run_as_the_users_of_compose(service: str) -> None:
    """Nginx and Redis run as who they are in Compose."""
    context = pods("base")[service]["spec"]["securityContext"]

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == COMPOSE[service]["user"]


@overlays
def test_nginx_listens_where_its_variables_say(overlay: str) -> None:
    """The container's ports are the defaults of Nginx' variables; TLS only where it is mounted."""
    defaults = dict(re.findall(r"\$\{(HTTP|TLS|STATUS)_LISTEN:=(\d+)\}", VARIABLES))
    if overlay == "base":
        del defaults["TLS"]

    listening = {port["containerPort"] for port in containers(overlay)["nginx"]["ports"]}

    assert listening == {int(port) for port in defaults.values()}


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
@pytest.mark.parametrize(
    "container",
    [containers("base")["api"], containers("production")["api"], *RUNTIME["containers"]],
    ids=["base", "production", "kserve"],
)
def test_probes_ask_routes_that_exist(container: dict[str, Any], probe: str) -> None:
    """Each probe asks for the part of health it is about, at a route and port of the server."""
    request = container[probe]["httpGet"]

    assert request["path"] in ROUTES & {"/health/ready" if "readi" in probe else "/health/live"}
    assert request["port"] in {v for port in container["ports"] for v in port.values()}


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_nginx_answers_its_probes(probe: str) -> None:
    """Nginx' own health is a location of its status server, not one of the replicas'."""
    request = containers("base")["nginx"][probe]["httpGet"]

    assert f"location = {request['path']} {{" in TEMPLATE
    assert request["port"] == "status"


@overlays
def test_the_server_takes_its_settings(overlay: str) -> None:
    """The environment starts the server, with the address that leads to Redis."""
    settings = load_settings(environment(overlay, "api"))

    assert settings.redis_url.rpartition("@")[2].removeprefix("redis://") == "redis:6379/0"


@overlays
def test_the_api_gets_settings_only(overlay: str) -> None:
    """Every variable is a setting, but for the password that becomes part of one."""
    settings = {field.upper() for field in Settings.__struct_fields__}

    assert environment(overlay, "api").keys() - settings <= {"REDIS_PASSWORD"}


@overlays
def test_nginx_gets_its_variables_only(overlay: str) -> None:
    """Every variable is one of nginx/variables.envsh, of the image, or part of an address."""
    known = set(re.findall(r'"\$\{(\w+):?=', VARIABLES))

    assert environment(overlay, "nginx").keys() - known == {
        "NGINX_ENTRYPOINT_LOCAL_RESOLVERS",
        "NGINX_ENVSUBST_OUTPUT_DIR",
        "POD_NAMESPACE",
    }


@overlays
def test_nginx_takes_its_variables(overlay: str) -> None:
    """The script that reads Nginx' variables accepts their values."""
    script = ROOT / "nginx" / "variables.envsh"

    done = subprocess.run(
        ["sh", "-c", f". {script}"], env=environment(overlay, "nginx"), capture_output=True
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("service", ["api", "nginx", "redis"])
def test_images_are_those_of_compose(service: str) -> None:
    """What was tested in Compose is what runs here."""
    assert containers("base")[service]["image"] == COMPOSE[service]["image"]


def test_nginx_is_started_as_in_compose() -> None:
    """Nginx gets the same words, and renders its files into the same folder."""
    env = environment("base", "nginx")

    assert containers("base")["nginx"]["args"] == COMPOSE["nginx"]["command"]
    assert (
        env.items()
        >= {
            name: value
            for name, value in COMPOSE["nginx"]["environment"].items()
            if name.startswith("NGINX_")
        }.items()
    )


@pytest.mark.parametrize(("service", "name"), [("api", ""), ("nginx", "-nginx")])
def test_production_runs_this_version(service: str, name: str) -> None:
    """Production names the images of this version, not the latest."""
    image = containers("production")[service]["image"]

    assert image == f"ml-pipeline{name}:{__version__}"


@pytest.mark.parametrize("service", ["api", "nginx"])
def test_images_that_are_built_here_need_no_registry(service: str) -> None:
    """An image that was loaded into the nodes is not asked for elsewhere."""
    assert containers("base")[service]["imagePullPolicy"] == "IfNotPresent"


def test_nginx_gets_all_its_files() -> None:
    """Every file of nginx/ is in the ConfigMap, and under its name in the container."""
    shipped = {path.name for path in (ROOT / "nginx").rglob("*") if path.is_file()}
    mounts = {m.get("subPath"): m for m in containers("production")["nginx"]["volumeMounts"]}
    folders = {name: Path(mounts[name]["mountPath"]) for name in mounts if name}

    assert find(BUILT["base"], "ConfigMap", "nginx")["data"].keys() == folders.keys()
    assert folders.keys() == shipped - {"kustomization.yaml"}
    for name, path in folders.items():
        assert path.name.endswith(name)


def test_nginx_reads_its_variables_first() -> None:
    """The entry point sources only files that may be executed, before it renders in step 20."""
    [volume] = [v for v in pods("base")["nginx"]["spec"]["volumes"] if v["name"] == "nginx"]
    mounts = {m.get("subPath"): m for m in containers("base")["nginx"]["volumeMounts"]}

    assert volume["configMap"]["defaultMode"] & 0o111 == 0o111
    assert mounts["variables.envsh"]["mountPath"] == "/docker-entrypoint.d/15-variables.envsh"
