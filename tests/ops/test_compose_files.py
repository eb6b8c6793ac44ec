"""What the Compose files say, read without Docker; tests/stack/test_compose.py runs them."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest
import redis
import yaml

from ml_pipeline.settings import Settings
from ml_pipeline.web.dashboard import is_part_of_the_page
from tests.server import ROOT, free_port, wait_until

TEXTS = {name: (ROOT / name).read_text() for name in ("compose.yml", "ops/compose.prod.yml")}
EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILES = sorted((ROOT / "ops").glob("*Dockerfile"))

SETTINGS = {field.name.upper(): field.default for field in msgspec.structs.fields(Settings)}
NOT_HANDED_THROUGH = {
    "HOST",  # the image's, as are the next two
    "PORT",
    "ENV",
    "ORT_PROVIDERS",  # the image's ONNX Runtime has one
}


OF_OPENTELEMETRY = {"OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
"""What the replicas' SDK reads by itself."""


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    """Reads Compose's own tag too."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))

COMPOSE, PRODUCTION = (yaml.load(text, Loader) for text in TEXTS.values())
SERVICES = COMPOSE["services"]
every_service = pytest.mark.parametrize("service", SERVICES)


def variables(*names: str) -> dict[str, str]:
    """Variables that these files read, with the first default of each; empty = none, or needed."""
    found: dict[str, str] = {}
    for name in names:
        for variable, sign, default in re.findall(r"\$\{(\w+):([-?])([^}]*)\}", TEXTS[name]):
            found.setdefault(variable, default if sign == "-" else "")
    return found


def example() -> dict[str, str]:
    """Variables of .env.example."""
    return dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))


def nginx_defaults() -> dict[str, str]:
    """Defaults of nginx/variables.envsh."""
    text = (ROOT / "nginx" / "variables.envsh").read_text()
    return dict(re.findall(r'"\$\{(\w+):?=([^}]*)\}"', text))


def test_replicas_get_settings_that_exist() -> None:
    """What a replica finds in its environment are settings."""
    assert set(SERVICES["api"]["environment"]) - set(SETTINGS) == OF_OPENTELEMETRY


def test_every_setting_is_handed_through() -> None:
    """A setting reaches the replicas, or stands above with the reason why not."""
    assert set(SETTINGS) - set(SERVICES["api"]["environment"]) == NOT_HANDED_THROUGH


def test_replicas_find_the_keys_where_they_are_mounted() -> None:
    """Where a file of API keys is named, its place inside is the setting; else there is none."""
    (mount,) = [m for m in SERVICES["api"]["volumes"] if "API_KEYS_FILE" in m["source"]]

    setting = f"${{API_KEYS_FILE:+{mount['target']}}}"
    assert SERVICES["api"]["environment"]["API_KEYS_FILE"] == setting


def test_nginx_gets_variables_that_exist() -> None:
    """What Nginx finds in its environment is read there, or by its image."""
    given = set(SERVICES["nginx"]["environment"]) | set(
        PRODUCTION["services"]["nginx"]["environment"]
    )

    assert given - set(nginx_defaults()) == {"NGINX_ENVSUBST_OUTPUT_DIR"}


def test_variables_keep_their_names() -> None:
    """A variable of the shell is the variable of the container that it is handed to."""
    for service in ("api", "nginx"):
        for name, value in SERVICES[service]["environment"].items():
            read = re.findall(r"\$\{(\w+)", value)
            assert read in ([], [name])


def test_the_example_has_every_variable() -> None:
    """`.env.example` lists what the files read, and nothing else."""
    assert set(example()) == set(variables(*TEXTS))


def test_the_example_sets_nothing() -> None:
    """Copied as it is, it changes nothing; each of its lines is a comment."""
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("name", example())
def test_the_example_shows_the_default(name: str) -> None:
    """What it shows for a variable is what holds without it: here, in Nginx, or in the server."""
    default = variables(*TEXTS)[name].replace("/dev/null", "")  # to mount nothing
    default = default or nginx_defaults().get(name) or SETTINGS.get(name, "")

    assert example()[name] == ("" if default == () else str(default))


@every_service
def test_services_are_hardened(service: str) -> None:
    """Each is read-only, without capabilities, new privileges and root, and bounded."""
    found = SERVICES[service]

    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found["user"])
    assert set(found["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert "healthcheck" in found


@every_service
def test_production_services_go_on(service: str) -> None:
    """Each is started again when it ends, and its log is bounded."""
    found = PRODUCTION["services"][service]

    assert found["restart"] == "unless-stopped"
    assert {"max-size", "max-file"} <= set(found["logging"]["options"])


def test_a_replica_that_ends_by_itself_is_started_again() -> None:
    """As one that hangs does; not for ever, or `up --wait` would wait for a model that is bad."""
    policy, times = SERVICES["api"]["restart"].split(":")

    assert SERVICES["api"]["environment"]["HANG_SECONDS"].endswith(":-2}")
    assert policy == "on-failure"
    assert 1 <= int(times) <= 5


def test_two_services_are_published() -> None:
    """Nginx and Prometheus have ports on the machine; what has, is on the outer network."""
    published = {name for name, service in SERVICES.items() if "ports" in service}
    outside = {name for name, service in SERVICES.items() if "edge" in service["networks"]}

    assert published == outside == {"nginx", "prometheus"}
    assert COMPOSE["networks"]["inner"] == {"internal": True}


def test_replicas_can_be_many() -> None:
    """Nothing of a replica can be there only once."""
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["api"])


def test_a_replica_may_drain() -> None:
    """Docker waits longer than a replica for requests under way."""
    seconds = int(SERVICES["api"]["stop_grace_period"].removesuffix("s"))

    assert seconds > SETTINGS["DRAIN_TIMEOUT_SECONDS"] + 1


@every_service
def test_images_are_pinned(service: str) -> None:
    """What is not built here has a version."""
    image = SERVICES[service]["image"]

    built = "build" in SERVICES[service]
    assert image.startswith("ml-pipeline") if built else re.search(r":v?\d", image)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_bases_are_pinned(path: Path) -> None:
    """Each image starts from a version, and ends as a user with a number that is not root's."""
    text = path.read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages

    resolved = {re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base) for base in bases}
    known = {"python:3.13-slim-trixie", "debian:trixie-slim", "nginx:1.30-alpine", "scratch"}
    assert resolved <= known
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] != "0:0"


@pytest.mark.parametrize("service", ["api", "nginx-exporter"])
def test_compose_and_image_agree_on_the_user(service: str) -> None:
    """A service runs as the user of its image."""
    found = SERVICES[service]
    text = (ROOT / found["build"]["dockerfile"]).read_text()

    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == [found["user"]]


def test_the_image_keeps_to_itself() -> None:
    """ONNX Runtime's telemetry is off."""
    assert "\nENV ORT_DISABLE_TELEMETRY=1\n" in (ROOT / "ops" / "Dockerfile").read_text()


def test_the_images_need_nothing_that_is_left_out() -> None:
    """What the Dockerfiles copy from here, .dockerignore lets through."""
    copied = {
        name
        for path in DOCKERFILES
        for names in re.findall(r"^COPY (?!--from)(.*) \S+$", path.read_text(), re.MULTILINE)
        for name in names.split()
    }
    allowed = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))

    assert copied == allowed


def test_the_images_have_the_whole_dashboard() -> None:
    """Both images get the stage into which each file of the page is copied, and nothing else."""
    text = (ROOT / "ops" / "Dockerfile").read_text()
    [stage] = re.findall(r"^FROM scratch AS dashboard\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"ui/(\S+)", stage)
    files = {path.name for path in (ROOT / "ui").iterdir()}

    assert {name for name in files if is_part_of_the_page(name)} | {"index.html", "js"} == {
        name for name in names if name != "vendor"
    }
    assert re.findall(r"^COPY --from=dashboard / (\S+)$", text, re.MULTILINE) == [
        "/usr/share/nginx/html/",
        "/opt/venv/share/ml-pipeline/ui/",
    ]


def test_the_default_image_is_the_server() -> None:
    """Built without a target, the Dockerfile gives the server; Nginx is a target by name."""
    last = re.findall(r"^FROM .*$", (ROOT / "ops" / "Dockerfile").read_text(), re.MULTILINE)[-1]

    assert " AS " not in last
    assert "target" not in SERVICES["api"]["build"]
    assert SERVICES["nginx"]["build"]["target"] == "nginx"


def test_mounted_files_exist() -> None:
    """What is mounted from the repository is there, and is mounted read-only."""
    mounts = [
        mount
        for file in (COMPOSE, PRODUCTION)
        for service in file["services"].values()
        for mount in service.get("volumes", [])
        if isinstance(mount, str) and mount.startswith(".")
    ]

    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (ROOT / source).exists(), mount
        assert mode == "ro", mount


def test_prometheus_takes_the_configuration() -> None:
    """Prometheus' own tool accepts it, with the rules that it names."""
    done = subprocess.run(
        ["promtool", "check", "config", "compose.yml"],
        cwd=ROOT / "ops" / "prometheus",
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_services_that_exist() -> None:
    """Each address it scrapes is a service's, or its own."""
    text = (ROOT / "ops" / "prometheus" / "compose.yml").read_text()
    jobs = {job["job_name"]: str(job) for job in yaml.safe_load(text)["scrape_configs"]}

    assert set(jobs) == {"api", "nginx", "prometheus"}
    assert "'api'" in jobs["api"]
    assert "nginx-exporter:9113" in jobs["nginx"]


def test_redis_in_production_lets_in_who_has_the_password(tmp_path: Path) -> None:
    """What its container runs, run here: replicas may do what they do, others only ask for it."""
    (tmp_path / "redis_password").write_text("secret\n")
    [shell, option, script] = PRODUCTION["services"]["redis"]["command"]
    script = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", script.replace("$$", "$"))
    script = script.replace("/run/secrets", str(tmp_path)).replace("/data", str(tmp_path))
    script = script.replace("/etc/redis.conf", str(ROOT / "ops" / "redis.conf"))
    port = free_port()
    process = subprocess.Popen(
        [shell, option, f"{script.rstrip()} --bind 127.0.0.1 --port {port}"], cwd=tmp_path
    )
    try:
        with redis.Redis(port=port) as anybody:
            wait_until(lambda: answers(anybody))
            with pytest.raises(redis.exceptions.NoPermissionError):
                anybody.mget("ml_pipeline:answer:1")
        with redis.Redis(port=port, username="mlpipeline", password="secret") as replica:
            replica.set("ml_pipeline:answer:1", "x", ex=60)
            found = replica.mget("ml_pipeline:answer:1")
            with pytest.raises(redis.exceptions.NoPermissionError):
                replica.set("another", "x")
            with pytest.raises(redis.exceptions.NoPermissionError):
                replica.flushall()
    finally:
        process.terminate()
        process.wait(10)

    assert found == [b"x"]
    assert (tmp_path / "users.acl").stat().st_mode & 0o077 == 0
    assert "secret" not in (tmp_path / "users.acl").read_text()


def answers(client: "redis.Redis") -> bool:
    """Whether Redis is there, for who has no password."""
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False
