"""Every resource is one that Kubernetes takes, and they find each other.

kubernetes-validate knows the resources of Kubernetes itself, not those that the Prometheus Operator
and KServe add. No cluster is asked.
"""

import re
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ml_pipeline.settings import Settings
from tests.ops.k8s.kustomize import Resource, find
from tests.ops.k8s.manifests import (
    BUILT,
    K8S,
    KUBECTL,
    containers,
    environment,
    overlays,
    pods,
    ports,
    resources,
    selected,
)


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(r, id=f"{overlay}-{r['kind']}-{r['metadata']['name']}")
        for overlay in ("base", "production")
        for r in BUILT[overlay]
    ],
)
def test_resources_are_valid(resource: Resource) -> None:
    """Every field of every resource is one that a recent Kubernetes knows, of the right type."""
    found = None
    try:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        found = str(error)

    assert found is None


@pytest.mark.skipif(KUBECTL is None, reason="Debian 12 has no kubectl that reads kustomize 5")
@pytest.mark.parametrize("folder", BUILT)
def test_kubectl_builds_the_same(folder: str) -> None:
    """What the other tests read is what `kubectl apply -k` would send."""
    done = subprocess.run(
        [str(KUBECTL), "kustomize", K8S / folder], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr

    # kubectl adds a digest to these names, so that pods are replaced when a file changes.
    names = "|".join(r["metadata"]["name"] for r in resources("base", "ConfigMap"))
    built = yaml.safe_load_all(
        re.sub(rf"(name: (?:{names}))-[a-z0-9]{{10}}\n", r"\1\n", done.stdout)
    )

    def key(resource: Resource) -> tuple[str, str]:
        return resource["kind"], resource["metadata"]["name"]

    assert sorted(built, key=key) == sorted(BUILT[folder], key=key)


@overlays
def test_deployments_select_their_own_pods(overlay: str) -> None:
    """A Deployment's selector, and that of its spread, finds its pods and no others."""
    for deployment in resources(overlay, "Deployment"):
        spread = deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        for selector in [deployment["spec"]["selector"], *(s["labelSelector"] for s in spread)]:
            found = selected(overlay, selector["matchLabels"])
            assert list(found) == [deployment["metadata"]["name"]]


@overlays
def test_services_lead_to_ports_of_pods(overlay: str) -> None:
    """Each Service finds the pods of one Deployment, and each of its ports is one of theirs."""
    for service in resources(overlay, "Service"):
        [pod] = selected(overlay, service["spec"]["selector"]).values()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(pod, "name")


@overlays
def test_nginx_balances_over_pods(overlay: str) -> None:
    """Nginx' upstream is the whole name of a Service without an address of its own."""
    address = environment(overlay, "nginx")["API_ADDRESS"]
    service, rest = address.split(".", 1)

    assert rest == f"given.svc.cluster.local:{Settings().port}"  # given: the namespace
    assert find(BUILT[overlay], "Service", service)["spec"]["clusterIP"] == "None"


@overlays
def test_models_can_be_loaded_where_no_pod_is_ready(overlay: str) -> None:
    """Admin routes lead to pods by a name that has those without a model; predictions do not."""
    env = environment(overlay, "nginx")
    [api, admin] = [
        find(BUILT[overlay], "Service", env[name].split(".")[0])["spec"]
        for name in ("API_ADDRESS", "ADMIN_ADDRESS")
    ]

    assert env["ADMIN_ADDRESS"].split(".", 1)[1] == env["API_ADDRESS"].split(".", 1)[1]
    assert admin == {**api, "publishNotReadyAddresses": True}
    assert "publishNotReadyAddresses" not in api


@overlays
def test_metrics_are_read_once_a_pod(overlay: str) -> None:
    """Of all Services that lead to the api's pods, the ServiceMonitor selects one."""
    monitor = find(BUILT["monitoring"], "ServiceMonitor", "api")["spec"]["selector"]["matchLabels"]
    found = [
        service["metadata"]["name"]
        for service in resources(overlay, "Service")
        if monitor.items() <= service["metadata"]["labels"].items()
    ]

    assert found == ["api"]


@overlays
def test_the_autoscaler_alone_sets_replicas(overlay: str) -> None:
    """The target exists, asks for CPU to compare with, and does not set a number itself."""
    scaler = find(BUILT[overlay], "HorizontalPodAutoscaler", "api")["spec"]
    target = scaler["scaleTargetRef"]
    deployment = find(BUILT[overlay], target["kind"], target["name"])

    assert "replicas" not in deployment["spec"]
    assert "cpu" in containers(overlay)["api"]["resources"]["requests"]
    assert scaler["minReplicas"] < scaler["maxReplicas"]


@overlays
def test_nodes_can_be_drained(overlay: str) -> None:
    """Each budget is of one Deployment, lets a pod go, and there is another one meanwhile."""
    for budget in resources(overlay, "PodDisruptionBudget"):
        [name] = selected(overlay, budget["spec"]["selector"]["matchLabels"])
        deployment = find(BUILT[overlay], "Deployment", name)["spec"]
        scaler = find(BUILT[overlay], "HorizontalPodAutoscaler", "api")["spec"]
        assert budget["spec"]["maxUnavailable"] >= 1
        assert budget["spec"]["maxUnavailable"] < deployment.get("replicas", scaler["minReplicas"])


@overlays
def test_policies_are_about_pods_that_exist(overlay: str) -> None:
    """Each policy selects pods; each port it opens is one of theirs, or of those it leads to."""
    for policy in resources(overlay, "NetworkPolicy"):
        own = selected(overlay, policy["spec"]["podSelector"]["matchLabels"])
        assert own, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            opened = {port["port"] for port in rule["ports"]}
            assert all(opened <= ports(pod) for pod in own.values())
        for peer, rule in peers(policy, "egress", "to"):
            led = selected(overlay, peer).values()
            assert led
            assert all({port["port"] for port in rule["ports"]} <= ports(pod) for pod in led)


def peers(policy: Resource, way: str, side: str) -> list[tuple[dict[str, str], Any]]:
    """List the pods named on the other side, each with its rule."""
    rules = policy["spec"].get(way, [])
    return [
        (peer["podSelector"]["matchLabels"], rule)
        for rule in rules
        for peer in rule.get(side, [])
        if "podSelector" in peer
    ]


@overlays
def test_what_is_not_opened_is_closed(overlay: str) -> None:
    """One policy without rules covers every pod, in both directions."""
    deny = find(BUILT[overlay], "NetworkPolicy", "deny")["spec"]

    assert selected(overlay, deny["podSelector"]["matchLabels"]) == pods(overlay)
    assert sorted(deny["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & deny.keys()


@overlays
@pytest.mark.parametrize(("client", "server"), [("nginx", "api"), ("api", "redis")])
def test_paths_are_open_at_both_ends(overlay: str, client: str, server: str) -> None:
    """A client's policy lets it out to the server whose policy lets it in."""
    out = peers(find(BUILT[overlay], "NetworkPolicy", client), "egress", "to")
    into = peers(find(BUILT[overlay], "NetworkPolicy", server), "ingress", "from")

    assert [list(selected(overlay, labels)) for labels, _ in out] == [[server]]
    assert [list(selected(overlay, labels)) for labels, _ in into] == [[client]]
