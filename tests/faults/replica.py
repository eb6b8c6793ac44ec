"""A replica as these tests run it, and what it says of itself."""

from pathlib import Path
from typing import Any

from tests.faults.load import OLD
from tests.server import Server

ONLY_REDIS = {"CACHE_MAX_MB": "0", "CACHE_POLICY": "always"}
"""No cache but Redis, and Redis asked for every row."""


def write_model(folder: Path, content: bytes = OLD) -> Path:
    """Put a model into a folder in one step; give the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx.new").write_bytes(content)
    (folder / "model.onnx.new").replace(folder / "model.onnx")
    return folder


def metric(server: Server, name: str) -> float:
    """Read one sample of `/metrics`; 0 where it has not occurred yet."""
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    return 0.0


def health(server: Server) -> dict[str, Any]:
    """Read `/health`, which is 200 while the server answers."""
    answer = server.client.get("/health")
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def state_of(server: Server, dependency: str) -> tuple[str, str]:
    """Status and reason of one thing the server depends on; healthy if it is not mentioned."""
    for each in health(server)["dependencies"]:
        if each["name"] == dependency:
            return each["status"], each["detail"]
    return "healthy", ""


def digest(server: Server) -> str:
    """Content digest of the model that answers."""
    (model,) = server.client.get("/models").json()["models"]
    return str(model["digest"])


def events(server: Server) -> list[str]:
    """Names of the log's lines so far."""
    return [line["event"] for line in server.log_lines()]


def told_by(server: Server) -> str:
    """All that a server has told anybody: its output, `/health` and `/metrics`."""
    told = [server.client.get(path).text for path in ("/health", "/metrics", "/models")]
    return "\n".join([server.stdout, server.stderr, *told])
