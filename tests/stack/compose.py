"""The Compose stack as its user starts it, under a project name and on ports of its own."""

import os
import subprocess
import uuid
from typing import Any

import httpx
import msgspec

from tests.server import ROOT, free_port, new_client

BASE = "compose.yml"
PRODUCTION = "ops/compose.prod.yml"

COMMAND_SECONDS = 120.0
BUILD_SECONDS = 600.0
"""Of a first start, which downloads and builds."""

# What a client of Docker needs to find its engine; nothing else of a shell is a setting here.
ENGINE = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR")


class ComposeStack:
    """Runs from the start of a `with` block to its end, which leaves nothing of its project.

    Args:
        files: Of Compose, from the top of the repository.
        only: A service to run without all others; empty = run all.
        environ: Variables of those files.

    Attributes:
        http_port: Of Nginx.
        https_port: Of Nginx in production.
        client: Of Nginx.
        prometheus: Client of it, past Nginx.
        environ: Of the commands; what changes there counts from the next one on.
    """

    def __init__(self, *files: str, only: str = "", **environ: str) -> None:
        self.http_port, self.https_port, prometheus_port = free_port(), free_port(), free_port()
        self.client = new_client(f"http://127.0.0.1:{self.http_port}")
        self.prometheus = new_client(f"http://127.0.0.1:{prometheus_port}")
        self._project = f"ml-pipeline-test-{uuid.uuid4().hex[:8]}"
        # A developer's own .env is not read.
        self._command = ["docker", "compose", "-p", self._project, "--env-file", "/dev/null"]
        self._command += [part for file in files or (BASE,) for part in ("-f", file)]
        self._services = ("--no-deps", only) if only else ()
        self.environ = {name: os.environ[name] for name in ENGINE if name in os.environ} | {
            "HTTP_PORT": str(self.http_port),
            "HTTPS_PORT": str(self.https_port),
            "PROMETHEUS_PORT": str(prometheus_port),
            **environ,
        }

    def __enter__(self) -> "ComposeStack":
        try:
            self.compose("up", "--build", "--detach", "--wait", *self._services)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose to its end, and give what it wrote."""
        timeout_seconds = BUILD_SECONDS if "--build" in arguments else COMMAND_SECONDS
        return self._run(*self._command, *arguments, timeout_seconds=timeout_seconds)

    def scale(self, replicas: int) -> None:
        """Change the number of replicas and nothing else; wait until all are healthy."""
        self.compose("up", "--detach", "--wait", "--no-recreate", "--scale", f"api={replicas}")

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Give containers that run, as `docker inspect` tells them; empty = of every service."""
        listed = self.compose("ps", "--quiet", *([service] if service else [])).split()
        found: list[dict[str, Any]] = msgspec.json.decode(self._run("docker", "inspect", *listed))
        return found

    def container(self, service: str) -> dict[str, Any]:
        """Give the only container of a service."""
        [found] = self.containers(service)
        return found

    def replicas(self) -> list[str]:
        """Ids of the containers that run the server."""
        return self.compose("ps", "--quiet", "api").split()

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container."""
        return self._run("docker", "exec", container, *command)

    def kill(self, container: str) -> None:
        """End a container at once, as a crash does; Docker does not start it again."""
        self._run("docker", "kill", container)

    def remove(self, container: str) -> None:
        """Remove what is left of a killed container."""
        self._run("docker", "rm", container)

    def targets(self, job: str) -> list[str]:
        """Tell the health of each target that Prometheus scrapes for a job."""
        answer = self.prometheus.get("/api/v1/targets", params={"state": "active"})
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]["activeTargets"]
        return [each["health"] for each in found if each["labels"]["job"] == job]

    def new_tls_client(self) -> httpx.Client:
        """Make a client of Nginx under TLS; closed by the caller."""
        return new_client(f"https://127.0.0.1:{self.https_port}")

    def _run(self, *command: str, timeout_seconds: float = COMMAND_SECONDS) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def _close(self) -> None:
        self.client.close()
        self.prometheus.close()
        self.compose("down", "--volumes", "--remove-orphans")


def service_of(container: dict[str, Any]) -> str:
    """Name of the service that a container belongs to."""
    name: str = container["Config"]["Labels"]["com.docker.compose.service"]
    return name


def published(container: dict[str, Any]) -> dict[str, list[str]]:
    """Ports of a container that the machine listens on, with the addresses it does so at."""
    ports = container["NetworkSettings"]["Ports"].items()
    return {port: [each["HostIp"] for each in bindings] for port, bindings in ports if bindings}
