"""KServe's own model server in front of this one, as its operator starts one for a transformer."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.server import ROOT, START_SECONDS, Server, free_port, new_client, wait_until
from tests.web.samples import WINE_ROWS, wine_answers


@contextmanager
def transformer(predictor: Server) -> Iterator[httpx.Client]:
    """Start KServe's server with the flags its operator gives, and stop it at the end."""
    port = free_port()
    command = [
        *(sys.executable, str(Path(__file__).parent / "kserve" / "transformer.py")),
        *("--http_port", str(port), "--enable_grpc", "false", "--model_name", "wine"),
        *("--predictor_host", f"127.0.0.1:{predictor.port}", "--predictor_protocol", "v2"),
        "--enable_predictor_health_check",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / ".venv" / "kserve")}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environ, stdout=quiet, stderr=quiet)
    try:
        with new_client(f"http://127.0.0.1:{port}") as client:
            wait_until(answers(client, httpx.codes.OK), START_SECONDS)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()


def answers(client: httpx.Client, status: int) -> Callable[[], bool]:
    """Make a question whether it answers with a status when asked if the model is ready."""

    def look() -> bool:
        try:
            return client.get("/v2/models/wine/ready").status_code == status
        except httpx.TransportError:
            return False

    return look


def ask(client: httpx.Client, rows: list[list[float]]) -> dict[str, Any]:
    """Send rows whose features go from last to first."""
    data = [list(reversed(row)) for row in rows]
    tensor = {"name": "float_input", "shape": [len(rows), len(rows[0])], "datatype": "FP32"}
    body = {"id": "call-7", "inputs": [{**tensor, "data": data}]}
    found: dict[str, Any] = client.post("/v2/models/wine/infer", json=body).json()
    return found


def test_a_transformer_of_kserve_is_answered(server: Server) -> None:
    """It turns the features round, asks in binary, and reads the answer."""
    labels, probabilities = wine_answers(WINE_ROWS)
    with transformer(server) as client:
        found = ask(client, WINE_ROWS)

    outputs = {each["name"]: each for each in found["outputs"]}
    assert outputs["label"]["data"] == labels.tolist()
    scores = np.array(outputs["probabilities"]["data"]).reshape(outputs["probabilities"]["shape"])
    np.testing.assert_allclose(scores, probabilities, rtol=1e-6)


def test_a_transformer_of_kserve_passes_an_error_on(server: Server) -> None:
    """What is wrong reaches the client of the transformer in our words."""
    with transformer(server) as client:
        found = ask(client, [row[1:] for row in WINE_ROWS])

    assert "float_input: expected 10 features in each row, found 9" in found["error"]


def test_a_transformer_of_kserve_is_ready_while_we_are(folder: Path) -> None:
    """It asks our health before it calls itself ready, so KServe sends it no clients too early."""
    with Server(folder) as predictor, transformer(predictor) as client:
        assert answers(client, httpx.codes.OK)()
        predictor.send(signal.SIGTERM)
        predictor.wait()
        assert answers(client, httpx.codes.SERVICE_UNAVAILABLE)()
