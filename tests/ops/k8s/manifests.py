"""The manifests of `ops/k8s/` as they are built, and what tests ask of them."""

import re
import shutil
from typing import Any

import pytest
import yaml

from ml_pipeline.web.operations import OPERATIONS
from tests.ops.k8s.kustomize import Resource, build, find
from tests.server import ROOT

K8S = ROOT / "ops" / "k8s"
BUILT = {name: build(K8S / name) for name in ("base", "production", "monitoring", "kserve")}
RUNTIME = find(BUILT["kserve"], "ServingRuntime", "ml-pipeline")["spec"]
COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "ops" / "Dockerfile").read_text()
TEMPLATE = (ROOT / "nginx" / "nginx.conf.template").read_text()
VARIABLES = (ROOT / "nginx" / "variables.envsh").read_text()
ROUTES = {operation.path for operation in OPERATIONS}
EXPRESSION = re.compile(r"\$\((\w+)\)")
KUBECTL = shutil.which("kubectl")

overlays = pytest.mark.parametrize("overlay", ["base", "production"])


def resources(overlay: str, kind: str) -> list[Resource]:
    """List the resources of a kind."""
    return [resource for resource in BUILT[overlay] if resource["kind"] == kind]


def pods(overlay: str) -> dict[str, Any]:
    """Map the names of Deployments to their pods' templates."""
    return {d["metadata"]["name"]: d["spec"]["template"] for d in resources(overlay, "Deployment")}


def containers(overlay: str) -> dict[str, Any]:
    """Map names to containers; no two have the same."""
    return {c["name"]: c for pod in pods(overlay).values() for c in pod["spec"]["containers"]}


def selected(overlay: str, labels: dict[str, str]) -> dict[str, Any]:
    """Map names to the pods that have all of the labels."""
    return {
        name: pod
        for name, pod in pods(overlay).items()
        if labels.items() <= pod["metadata"]["labels"].items()
    }


def ports(pod: dict[str, Any], what: str = "containerPort") -> set[Any]:
    """Collect the ports of a pod, by number or by `name`."""
    return {port[what] for c in pod["spec"]["containers"] for port in c["ports"]}


def environment(overlay: str, name: str) -> dict[str, str]:
    """Tell what a container finds in its environment; what no file holds is `given`."""
    container = containers(overlay)[name]
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= find(BUILT[overlay], "ConfigMap", source["configMapRef"]["name"])["data"]
    own: dict[str, str] = {}
    for variable in container.get("env", []):
        own[variable["name"]] = EXPRESSION.sub(
            lambda match: own[match[1]], variable.get("value", "given")
        )
    return found | own


def quantity(text: str) -> float:
    """Read an amount of CPU (cores) or memory (bytes)."""
    amount = re.fullmatch(r"(\d+)(m|Mi|Gi|mb)?", text)
    assert amount is not None, text
    number, unit = amount.groups()
    factor = {None: 1, "m": 0.001, "Mi": 2**20, "mb": 2**20, "Gi": 2**30}[unit]
    return int(number) * factor
