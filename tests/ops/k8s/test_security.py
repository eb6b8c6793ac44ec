"""No container may more than it needs, and no secret stands in a file."""

import re

import pytest
import redis

from tests.ops.k8s.kustomize import find
from tests.ops.k8s.manifests import (
    BUILT,
    EXPRESSION,
    K8S,
    containers,
    environment,
    overlays,
    pods,
    resources,
)
from tests.redis_server import RedisServer
from tests.server import ROOT


@overlays
@pytest.mark.parametrize("name", ["api", "nginx", "exporter", "redis"])
def test_containers_are_hardened(overlay: str, name: str) -> None:
    """A container can change neither its files nor its rights."""
    assert containers(overlay)[name]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@overlays
def test_pods_are_hardened(overlay: str) -> None:
    """No pod runs as root, calls what it need not, or holds a key to the cluster."""
    for pod in (pod["spec"] for pod in pods(overlay).values()):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]


@overlays
def test_no_secret_is_in_a_file(overlay: str) -> None:
    """Neither a Secret nor a token or password with a value can come to production unnoticed."""
    for name, container in containers(overlay).items():
        for variable in container.get("env", []):
            if re.search("TOKEN|PASSWORD|AUTH", variable["name"]):
                assert re.fullmatch(EXPRESSION, variable.get("value", "$(X)")), name

    assert resources(overlay, "Secret") == []


@pytest.mark.parametrize(
    ("name", "variable"),
    [("api", "ADMIN_TOKEN"), ("api", "REDIS_PASSWORD"), ("redis", "REDIS_PASSWORD")],
)
def test_production_does_not_start_without_secrets(name: str, variable: str) -> None:
    """A key of the Secret that is missing keeps the pod from starting."""
    env = {v["name"]: v for v in containers("production")[name]["env"]}

    assert env[variable]["valueFrom"] == {"secretKeyRef": {"name": "ml-pipeline", "key": variable}}


def test_api_keys_are_where_the_setting_would_look() -> None:
    """The line to uncomment names a file in the mounted Secret, which need not be there."""
    text = (K8S / "production" / "kustomization.yaml").read_text()
    [path] = re.findall(r"^ *# - API_KEYS_FILE=(.+)/api_keys$", text, re.MULTILINE)
    [mount] = containers("production")["api"]["volumeMounts"]
    [volume] = pods("production")["api"]["spec"]["volumes"]

    assert mount == {"name": volume["name"], "mountPath": path, "readOnly": True}
    assert volume["secret"] == {"secretName": "ml-pipeline-api-keys", "optional": True}
    assert "API_KEYS_FILE" not in environment("production", "api")


def test_redis_asks_for_the_password_that_the_api_has() -> None:
    """In production Redis is closed to who does not have the password of REDIS_URL."""
    arguments = " ".join(containers("production")["redis"]["args"])

    assert "--user default on nopass resetkeys resetchannels -@all +ping --" in arguments
    assert "--user mlpipeline on >$(REDIS_PASSWORD) " in arguments
    assert "redis://mlpipeline:given@" in environment("production", "api")["REDIS_URL"]


def test_redis_takes_the_users_that_it_is_given() -> None:
    """Its arguments, and the rules of Compose's users, are the same, and Redis reads them."""
    arguments = containers("production")["redis"]["args"]
    script = (ROOT / "ops" / "compose.prod.yml").read_text()
    own = " ".join(arguments).replace(">$(REDIS_PASSWORD)", "#$$digest")

    assert own.split("--user ")[1:] == [
        *(f"{rule} " for rule in re.findall(r'echo "user (.+)"', script)[:-1]),
        re.findall(r'echo "user (.+)"', script)[-1],
    ]
    with RedisServer(*[each.replace("$(REDIS_PASSWORD)", "pw") for each in arguments]) as server:
        url = server.url.replace("redis://", "redis://mlpipeline:pw@")
        with redis.Redis.from_url(url) as replica:
            assert replica.mget("ml_pipeline:answer:1") == [None]


def test_production_keeps_to_its_namespace() -> None:
    """Everything is in the one namespace, which admits hardened pods only."""
    namespace = find(BUILT["production"], "Namespace", "ml-pipeline")["metadata"]
    others = [r["metadata"] for r in BUILT["production"] if r["kind"] != "Namespace"]

    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {metadata["namespace"] for metadata in others} == {namespace["name"]}


def test_production_speaks_tls() -> None:
    """The certificate of the Secret is where Nginx reads it, and clients come to it at 443."""
    env = environment("production", "nginx")
    mounts = {m["name"]: m["mountPath"] for m in containers("production")["nginx"]["volumeMounts"]}
    volumes = {v["name"]: v for v in pods("production")["nginx"]["spec"]["volumes"]}
    service = find(BUILT["production"], "Service", "nginx")["spec"]

    assert volumes["tls"]["secret"]["secretName"] == "ml-pipeline-tls"
    assert [env["TLS_CERTIFICATE"], env["TLS_KEY"]] == [
        f"{mounts['tls']}/tls.crt",
        f"{mounts['tls']}/tls.key",
    ]
    assert {p["port"]: p["targetPort"] for p in service["ports"]} == {80: "http", 443: "https"}
