"""Loads in a real server: broken folders at the start, many models, and an end while one loads."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import models
from tests.server import ROOT, Server, free_port, run_to_end, wait_until

END_SECONDS = 5.0
"""For a stop that nothing waits for; it takes 0.5 s, of which 0.25 are left to clients."""


def write_slow(path: Path) -> None:
    """Write a model that takes minutes to load: so long does its sample keep a session busy."""
    path.write_bytes(models.loop_model())
    path.with_suffix(".json").write_text(json.dumps({"sample": [[10_000_000]]}))


def children_of(pid: int) -> list[str]:
    """Command lines of a process' children."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-a"], capture_output=True, text=True)
    return found.stdout.splitlines()


def new_child_of(pid: int, known: list[str]) -> Path:
    """Wait for a child that was not there before."""
    found: list[str] = []

    def come() -> bool:
        found[:] = [child for child in children_of(pid) if child not in known]
        return bool(found)

    wait_until(come)
    return Path("/proc", found[0].split()[0])


def test_all_that_is_broken_is_told_at_the_start(tmp_path: Path) -> None:
    """In one line on standard error, and each by itself in the log."""
    (tmp_path / "a.onnx").touch()
    (tmp_path / "b.onnx").write_text("no model")
    (tmp_path / "c" / "1").mkdir(parents=True)
    (tmp_path / "c" / "1" / "model.onnx").symlink_to("/nowhere")

    done = run_to_end("serve", tmp_path, ENV="production")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    logged = [json.loads(each) for each in done.stdout.splitlines()]
    reasons = [each["reason"] for each in logged if each["event"] == "model_not_loaded"]
    assert [reason.split(": ")[0] for reason in reasons] == ["a.onnx", "b.onnx", "c/1/model.onnx"]
    assert all(reason in line for reason in reasons)


def test_a_thousand_models_are_there_soon(tmp_path: Path) -> None:
    """Within 5 s where nothing else is done; told by a core's time, as others may work too."""
    for number in range(1000):
        (tmp_path / f"m{number}.onnx").write_bytes(models.scale_model(number))

    with Server(tmp_path) as server:
        seconds = cpu_seconds(server.pid)
        assert len(server.client.get("/").json()["models"]) == 1000

    assert seconds < 10.0


def cpu_seconds(process_id: int) -> float:
    """What a process and the children that it has outlived have computed."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_a_start_that_takes_too_long_ends(tmp_path: Path) -> None:
    """In one line that says which model and which setting, though its thread goes on."""
    write_slow(tmp_path / "slow.onnx")

    done = run_to_end("serve", tmp_path, LOAD_TIMEOUT_SECONDS="1")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ml-pipeline: slow.onnx: expected to be loaded within 1 s")


def test_a_stop_waits_for_no_start(tmp_path: Path) -> None:
    """SIGTERM while models are loaded ends the process and its child at once, with status 0."""
    write_slow(tmp_path / "slow.onnx")
    with starting(tmp_path) as process:
        wait_until(lambda: takes_sigterm(process.pid))
        child = new_child_of(process.pid, [])

        process.send_signal(signal.SIGTERM)

        assert process.wait(END_SECONDS) == 0
        wait_until(lambda: not child.exists(), END_SECONDS)


def takes_sigterm(process_id: int) -> bool:
    """Whether the process does something of its own on SIGTERM."""
    status = Path(f"/proc/{process_id}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@contextmanager
def starting(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has only just been begun."""
    environ = {"PATH": os.environ["PATH"], "PORT": str(free_port())}
    command = [sys.executable, "-m", "ml_pipeline", "serve", str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_stop_waits_for_no_load(number: signal.Signals, tmp_path: Path) -> None:
    """Nor does a client that waits for it: it is told that the server ends."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.scale_model())
    with Server(tmp_path) as server, server.connect() as waiting:
        resting = children_of(server.pid)  # which has read the graph at the start
        write_slow(path)
        waiting.sendall(
            b"POST /models/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
        child = new_child_of(server.pid, resting)

        server.send(number)
        begun = time.monotonic()
        status = server.wait()
        seconds = time.monotonic() - begun
        answer = waiting.recv(65536)

    assert status == 0
    assert seconds < END_SECONDS
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting down" in answer
    wait_until(lambda: not child.exists(), END_SECONDS)


def test_a_reload_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    """And the next one, of a good file, is made; the old model has answered all the time."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.scale_model(2.0))
    with Server(tmp_path, LOAD_TIMEOUT_SECONDS="5") as server:
        write_slow(path)
        refused = server.client.post("/models/reload")
        meanwhile = answer(server.client)
        path.with_suffix(".json").unlink()
        path.write_bytes(models.scale_model(3.0))
        reloaded = server.client.post("/models/reload")

        assert refused.status_code == 422
        assert "LOAD_TIMEOUT_SECONDS" in refused.json()["detail"]
        assert reloaded.status_code == 200
        assert [meanwhile, answer(server.client)] == [2.0, 3.0]
        server.send(signal.SIGTERM)
        assert server.wait(END_SECONDS) == 0


def answer(client: httpx.Client) -> float:
    """What a one is multiplied by."""
    reply = client.post("/predict", json={"data": [[1, 1, 1]], "use_cache": False})
    return float(reply.json()["predictions"][0][0])
