"""What Prometheus scrapes there, and KServe's example.

Of ServiceMonitor, PodMonitor, PrometheusRule, ServingRuntime and InferenceService only what ties
them to this project is checked.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ml_pipeline.settings import Settings, load_settings
from tests.ops.k8s.kustomize import find
from tests.ops.k8s.manifests import (
    BUILT,
    K8S,
    ROUTES,
    RUNTIME,
    TEMPLATE,
    VARIABLES,
    containers,
    pods,
    ports,
    resources,
    selected,
)
from tests.server import ROOT


def test_the_operator_scrapes_every_replica_once() -> None:
    """The ServiceMonitor selects one Service, whose label makes it the job of the alerts."""
    monitor = find(BUILT["monitoring"], "ServiceMonitor", "api")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    [service] = [
        s for s in resources("base", "Service") if wanted <= s["metadata"]["labels"].items()
    ]
    [endpoint] = monitor["endpoints"]

    assert service["metadata"]["labels"][monitor["jobLabel"]] == "api"
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] in ROUTES


def test_the_operator_scrapes_nginx() -> None:
    """The PodMonitor selects Nginx' pods and the exporter's port."""
    monitor = find(BUILT["monitoring"], "PodMonitor", "nginx")["spec"]
    [pod] = selected("base", monitor["selector"]["matchLabels"]).values()

    assert pod["metadata"]["labels"][monitor["jobLabel"]] == "nginx"
    assert [e["port"] for e in monitor["podMetricsEndpoints"]] == [
        port["name"] for port in containers("base")["exporter"]["ports"]
    ]


def test_the_exporter_asks_where_nginx_tells() -> None:
    """The exporter reads the page that Nginx' status server has."""
    [argument] = containers("base")["exporter"]["args"]
    [status] = re.findall(r"\$\{STATUS_LISTEN:=(\d+)\}", VARIABLES)

    assert argument == f"--nginx.scrape-uri=http://127.0.0.1:{status}/stub_status"
    assert "location = /stub_status {" in TEMPLATE


def test_the_operator_gets_the_rules() -> None:
    """The printed PrometheusRules hold each group of the files, and no others."""
    printed = subprocess.run([K8S / "prometheus-rules"], capture_output=True, check=True).stdout
    rules = {r["metadata"]["name"]: r["spec"] for r in yaml.safe_load_all(printed)}

    assert rules == {
        name: yaml.safe_load((ROOT / f"ops/prometheus/{name}.yml").read_text())
        for name in ("recording", "alerts")
    }


SCRAPE = yaml.safe_load((ROOT / "ops/prometheus/kubernetes.yml").read_text())
JOBS = {job["job_name"]: job for job in SCRAPE["scrape_configs"]}


def test_the_scrape_is_valid(tmp_path: Path) -> None:
    """Prometheus accepts the configuration (Debian's is built without the discovery of pods)."""
    rules = [str(ROOT / "ops/prometheus" / name) for name in SCRAPE["rule_files"]]
    jobs = [
        {key: value for key, value in job.items() if key != "kubernetes_sd_configs"}
        for job in JOBS.values()
    ]
    file = tmp_path / "kubernetes.yml"
    file.write_text(yaml.safe_dump(SCRAPE | {"rule_files": rules, "scrape_configs": jobs}))

    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


@pytest.mark.parametrize(("job", "port"), [("api", "http"), ("nginx", "metrics")])
def test_the_scrape_keeps_one_port_a_pod(job: str, port: str) -> None:
    """Of all ports of all pods, a job keeps the one with metrics of its own pods."""
    rule = JOBS[job]["relabel_configs"][0]
    pairs = [
        (pod["metadata"]["labels"]["app.kubernetes.io/name"], name)
        for pod in pods("production").values()
        for name in ports(pod, "name")
    ]

    kept = [pair for pair in pairs if re.fullmatch(rule["regex"], ";".join([job, *pair]))]

    assert rule["action"] == "keep"
    assert kept == [(job, port)]


@pytest.mark.parametrize("job", ["api", "nginx"])
def test_the_scrape_stays_in_the_namespace(job: str) -> None:
    """Only pods of the production namespace are looked for."""
    namespace = resources("production", "Namespace")[0]["metadata"]["name"]

    assert JOBS[job]["kubernetes_sd_configs"] == [
        {"role": "pod", "namespaces": {"names": [namespace]}}
    ]


def test_kserve_runs_the_same_container() -> None:
    """KServe's container is the api's image at its port, with the model where KServe puts it."""
    [container] = RUNTIME["containers"]
    settings = load_settings({v["name"]: v["value"] for v in container["env"]})

    assert container["name"] == "kserve-container"
    assert container["image"] == containers("base")["api"]["image"]
    assert [port["containerPort"] for port in container["ports"]] == [settings.port]
    assert settings.model_path == "/mnt/models"
    assert container["resources"] == containers("base")["api"]["resources"]


def test_kserve_tells_where_metrics_are() -> None:
    """The annotations that KServe puts on pods name a route and the port."""
    annotations = RUNTIME["annotations"]

    assert annotations["prometheus.kserve.io/path"] in ROUTES
    assert annotations["prometheus.kserve.io/port"] == str(Settings().port)


def test_the_inference_service_uses_the_runtime() -> None:
    """The example asks for this runtime, in a format and protocol that the runtime has."""
    model = find(BUILT["kserve"], "InferenceService", "wine")["spec"]["predictor"]["model"]

    assert model["runtime"] == "ml-pipeline"
    assert model["modelFormat"]["name"] in {f["name"] for f in RUNTIME["supportedModelFormats"]}
    assert model["protocolVersion"] in RUNTIME["protocolVersions"]
