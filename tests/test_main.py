"""The process: how it starts, what it says when it cannot, and how it goes."""

import json
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import __version__
from tests import models
from tests.server import Server, free_port, read_answer, run_to_end, wait_until
from tests.web.occupied import Occupied
from tests.web.samples import METADATA, ROW, WINE, write_many, write_wine

ONE_SESSION = {"SESSIONS": "1", "INLINE_BUDGET_US": "0"}
STOPS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)

# Starts that fail: one clear line, and status 1.


def assert_refuses(done: subprocess.CompletedProcess[str], *says: str) -> None:
    """Assert that a start ended with status 1 and one line that says why."""
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ml-pipeline: ")
    for word in says:
        assert word in line
    assert "Traceback" not in done.stdout


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    """A MODEL that is not there is named."""
    done = run_to_end("serve", tmp_path / "nothing.onnx")

    assert_refuses(done, "MODEL_PATH", "nothing.onnx", "expected a file or folder")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A folder without models is told what was looked for."""
    done = run_to_end("serve", tmp_path)

    assert_refuses(done, str(tmp_path), "*.onnx", "NAME/VERSION/model.onnx")


@pytest.mark.parametrize(
    "content", [WINE.read_bytes()[:300], b"", b"no model at all"], ids=["cut", "empty", "text"]
)
def test_a_corrupt_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no ONNX model, or half of one, is named."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)

    done = run_to_end("serve", path)

    assert_refuses(done, "broken.onnx")


def test_a_model_that_contradicts_its_metadata_is_refused(tmp_path: Path) -> None:
    """Metadata of another shape than the file's is told both numbers."""
    write_wine(tmp_path, "1")
    (tmp_path / "wine.json").write_text(json.dumps({**METADATA, "input_shape": [None, 4]}))

    done = run_to_end("serve", tmp_path)

    assert_refuses(done, "input_shape[1]: expected 10", "found 4")


def test_a_taken_port_is_refused() -> None:
    """A port on which somebody listens is not shared."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        done = run_to_end("serve", PORT=str(port))

    assert_refuses(done, f"PORT={port}", "in use")


def test_all_bad_settings_are_told_at_once() -> None:
    """Several faults of the environment are one line that names each variable and value."""
    done = run_to_end(
        "serve", PORT="none", MAX_ROWS="0", LOG_LEVEL="loud", MAX_BACTH_SIZE="8", ENV="test"
    )

    assert_refuses(
        done,
        "PORT='none'",
        "MAX_ROWS='0'",
        "LOG_LEVEL='loud'",
        "ENV='test'",
        "MAX_BACTH_SIZE",
        "did you mean MAX_BATCH_SIZE",
    )


def test_an_unknown_provider_is_refused() -> None:
    """An execution provider that is not there is told those that are."""
    done = run_to_end("serve", ORT_PROVIDERS="NoSuchProvider,CPUExecutionProvider")

    assert_refuses(done, "ORT_PROVIDERS", "found NoSuchProvider", "CPUExecutionProvider")


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.1"])
def test_a_host_that_is_not_ours_is_refused(host: str) -> None:
    """An address that cannot be listened on is named."""
    done = run_to_end("serve", HOST=host, PORT=str(free_port()))

    assert_refuses(done, f"HOST={host}")


def test_a_number_beyond_all_bounds_is_refused() -> None:
    """A setting of 400 digits is a bad setting, not a crash."""
    done = run_to_end("serve", REQUEST_TIMEOUT_MS="9" * 400)

    assert_refuses(done, "REQUEST_TIMEOUT_MS")


def test_version_is_printed() -> None:
    """`--version` prints it and ends well."""
    done = run_to_end("--version")

    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_no_command_is_told_the_commands() -> None:
    """Without a command the usage is told, and the status is argparse's 2."""
    done = run_to_end()

    assert done.returncode == 2
    assert done.stderr.startswith("usage: ml-pipeline")


# The banner.


def curl_line(server: Server) -> str:
    """The line of the banner that is to be pasted into a shell."""
    (line,) = [line for line in server.stderr.splitlines() if "curl" in line]
    return line.strip()


def paste(line: str) -> tuple[int, str]:
    """Run a line in a shell, with the status printed last; give it, and the body."""
    done = subprocess.run(
        ["bash", "-c", f"{line} -w '\\n%{{http_code}}'"], capture_output=True, text=True, timeout=20
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


def test_the_banner_says_where_everything_is() -> None:
    """The banner names server and documentation, and its curl line answers 200 with a label."""
    with Server() as server:
        wait_until(lambda: "curl" in server.stderr)
        status, body = paste(curl_line(server))

        assert re.search(rf"^ *server +{server.url}$", server.stderr, re.MULTILINE)
        assert re.search(rf"^ *docs +{server.url}/docs$", server.stderr, re.MULTILINE)
        assert status == 200
        assert json.loads(body)["labels"] == ["class_2"]


def test_the_curl_line_of_many_models_works(tmp_path: Path) -> None:
    """The curl line answers 200 also where the model's name and rows hold what a shell reads."""
    write_many(tmp_path)
    with Server(tmp_path) as server:
        wait_until(lambda: "curl" in server.stderr)
        status, body = paste(curl_line(server))

        assert status == 200, curl_line(server)
        assert json.loads(body)["model_info"]["model_name"] == "a word"


def test_the_banner_shows_no_line_that_fails(tmp_path: Path) -> None:
    """For a model that `POST /predict` cannot fill there is no curl line, or one that works."""
    (tmp_path / "pair.onnx").write_bytes(models.two_input_model())
    with Server(tmp_path) as server:
        wait_until(lambda: "/docs" in server.stderr)
        lines = [line for line in server.stderr.splitlines() if "curl" in line]

        assert [paste(line.strip())[0] for line in lines] == [200] * len(lines)


def test_localhost_is_a_host() -> None:
    """HOST may be the name of this machine."""
    with Server(HOST="localhost") as server:
        assert server.client.get("/health/live").status_code == 200


# Settings that reach the process.


def test_an_empty_variable_counts_as_unset() -> None:
    """Empty variables, which compose files make, leave every default as it is."""
    with Server(MODEL_PATH="", MAX_ROWS="", LOG_LEVEL=" ", ORT_PROVIDERS="", ENV="") as server:
        answer = server.client.post("/predict", json={"data": [ROW] * 1000})

        assert answer.status_code == 200
        assert answer.json()["model_info"]["model_name"] == "wine"


def test_model_path_is_a_variable_and_an_argument(tmp_path: Path) -> None:
    """The argument wins over MODEL_PATH."""
    write_wine(tmp_path, "7", name="chosen")
    with Server(tmp_path, MODEL_PATH="/nowhere") as server:
        assert server.client.get("/").json()["models"] == ["chosen"]


def test_a_start_warns_of_nothing() -> None:
    """With warnings as errors the server starts, serves and ends as without."""
    with Server(command=("-W", "error", "-m", "app")) as server:
        answer = server.client.post("/predict", json={"data": [ROW]})
        server.send(signal.SIGTERM)
        status = server.wait()

        assert answer.status_code == 200
        assert status == 0
        assert "Warning" not in server.stderr


# The end.


@STOPS
def test_an_idle_connection_does_not_hold_the_end_up(number: signal.Signals) -> None:
    """With keep-alive connections open and nothing under way the process ends at once, well."""
    with Server() as server, server.connect() as silent, server.connect() as idle:
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(idle, "GET")

        server.send(number)
        status = server.wait(timeout_seconds=5.0)

        assert status == 0
        assert "Traceback" not in server.stderr + server.stdout
        assert silent.recv(1) == b""


class Sent(NamedTuple):
    """One request that was sent whole, and the first bytes of what came back."""

    at: float
    answer: bytes


def ask_until_closed(server: Server) -> list[Sent]:
    """Send one request after the other over one connection, for as long as the server lets us."""
    sent: list[Sent] = []
    with server.connect() as connection:
        while True:
            try:
                post(connection, ROW)
                at = time.monotonic()
                answer = connection.recv(65536)
            except OSError:
                return sent
            sent.append(Sent(at, answer))
            if not answer or b"connection: close" in answer:
                return sent


@STOPS
def test_requests_under_way_are_answered(number: signal.Signals) -> None:
    """Under load every request that was sent before the signal is answered; the process ends."""
    with Server(ACCESS_LOG="all") as server:
        with ThreadPoolExecutor(8) as threads:
            asking = [threads.submit(ask_until_closed, server) for _ in range(8)]
            wait_until(lambda: metric(server, "ml_api_requests_total") > 200)
            signalled = time.monotonic()
            server.send(number)
            status = server.wait()
            sent = [request for future in asking for request in future.result()]

        answered = [request for request in sent if request.answer.startswith(b"HTTP/1.1 200")]
        accepted = [line for line in server.log_lines() if line.get("path") == "/predict"]
        assert status == 0
        assert [r for r in sent if r.at < signalled and r not in answered] == []
        assert len(answered) == len(accepted)
        assert any(b"connection: close" in request.answer for request in answered)
        assert "Traceback" not in server.stderr + server.stdout


def metric(server: Server, name: str) -> float:
    """Sum all samples of a name."""
    families = text_string_to_metric_families(server.client.get("/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == name)


def post(connection: socket.socket, row: list[Any]) -> None:
    """Send a request for one row, without waiting for its answer."""
    body = json.dumps({"data": [row], "use_cache": False}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A model whose one row says how long it keeps its session busy."""
    path = tmp_path / "slow.onnx"
    path.write_bytes(models.loop_model())
    return path


@STOPS
def test_the_queue_is_drained(slow: Path, number: signal.Signals) -> None:
    """What waits for a run at the signal is run and answered, with `Connection: close`."""
    with ExitStack() as opened:
        server = opened.enter_context(Server(slow, MAX_BATCH_SIZE="1", **ONE_SESSION))
        connections = [opened.enter_context(server.connect()) for _ in range(4)]
        for connection in connections:
            post(connection, [40_000])
        wait_until(lambda: metric(server, "ml_api_queue_depth_rows") == 3)

        server.send(number)
        answers = [read_answer(connection) for connection in connections]

        assert [answer.status for answer in answers] == [200] * 4
        assert [answer.json()["predictions"] for answer in answers] == [[80_000.0]] * 4
        assert [answer.headers.get("connection") for answer in answers] == ["close"] * 4
        assert server.wait() == 0


def test_while_it_drains_nobody_new_is_admitted(slow: Path) -> None:
    """From the signal on new connections are refused, while what runs is still answered."""
    with Server(slow, **ONE_SESSION) as server, ThreadPoolExecutor(1) as threads:
        occupied = Occupied(server, threads)

        server.send(signal.SIGTERM)
        wait_until(lambda: not accepts(server), 5.0)

        assert occupied.running.result().status_code == 200
        assert server.wait() == 0


def accepts(server: Server) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_end_waits_no_longer_than_it_may(slow: Path) -> None:
    """A request that takes longer than DRAIN_TIMEOUT_SECONDS does not hold the end up."""
    with Server(slow, DRAIN_TIMEOUT_SECONDS="1", **ONE_SESSION) as server:
        with server.connect() as connection:
            post(connection, [1_500_000])
            wait_until(lambda: probe(server) == 504)

            server.send(signal.SIGTERM)
            try:
                server.wait(timeout_seconds=3.0)
            finally:
                server.send(signal.SIGKILL)

        assert "Traceback" not in server.stderr


def probe(server: Server) -> int:
    """Ask for a short run at once; 504 tells that the session is busy."""
    body = {"data": [[1]], "use_cache": False}
    headers = {"X-Request-Timeout-Ms": "20"}
    return server.client.post("/predict", json=body, headers=headers).status_code


def test_more_signals_do_no_harm(slow: Path) -> None:
    """Signals that come while the server drains change nothing for what runs."""
    with Server(slow, **ONE_SESSION) as server, ThreadPoolExecutor(1) as threads:
        occupied = Occupied(server, threads)

        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            server.send(number)

        assert occupied.running.result().status_code == 200
        assert server.wait() == 0
        assert "Traceback" not in server.stderr + server.stdout
