"""The manifests of `ops/k8s/`, held against the code, and the scrape of Prometheus there.

kubernetes-validate knows the resources of Kubernetes itself. Of those that the Prometheus Operator
and KServe add (ServiceMonitor, PodMonitor, PrometheusRule, ServingRuntime, InferenceService) only
what ties them to this project is checked. No cluster is asked.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app import __version__
from app.settings import Settings, load_settings
from app.web.openapi import OPERATIONS
from tests.ops.kustomize import Resource, build, find
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
    number, unit = re.fullmatch(r"(\d+)(m|Mi|Gi|mb)?", text).groups()
    factor = {None: 1, "m": 0.001, "Mi": 2**20, "mb": 2**20, "Gi": 2**30}[unit]
    return int(number) * factor


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
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


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


def test_production_runs_this_version() -> None:
    """Production names the image of this version, not the latest."""
    assert containers("production")["api"]["image"] == f"ml-pipeline:{__version__}"


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


def test_nginx_serves_the_whole_dashboard() -> None:
    """Every file of ui/ is in the ConfigMap."""
    files = {str(path.relative_to(ROOT / "ui")) for path in (ROOT / "ui").rglob("*.*")}

    served = find(BUILT["base"], "ConfigMap", "dashboard")["data"].keys()

    assert served == files - {"kustomization.yaml"}


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


def test_redis_asks_for_the_password_that_the_api_has() -> None:
    """In production Redis is closed to who does not have the password of REDIS_URL."""
    assert containers("production")["redis"]["args"] == ["--requirepass", "$(REDIS_PASSWORD)"]
    assert "redis://:given@" in environment("production", "api")["REDIS_URL"]


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
    """The README's resident memory and a full cache fit into the request."""
    [measured] = re.findall(r"resident memory .* \| (\d+) MB \|", (ROOT / "README.md").read_text())

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
    pause = int(re.search(r"sleep (\d+)", command)[1])
    [longest] = re.findall(r"worker_shutdown_timeout (\d+)s", TEMPLATE)

    assert "touch /run/nginx/closing" in command
    assert "${RUN_FOLDER}/closing" in TEMPLATE
    assert pod["terminationGracePeriodSeconds"] > pause + int(longest)


@overlays
def test_no_replica_is_missed_in_a_rollout(overlay: str) -> None:
    """A new pod is ready before an old one goes."""
    for name in ("api", "nginx"):
        strategy = find(BUILT[overlay], "Deployment", name)["spec"]["strategy"]
        assert strategy == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


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
