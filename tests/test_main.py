"""The process: how it starts, what it says when it cannot, and how it goes."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml_pipeline import __version__
from ml_pipeline.command import main
from tests import models
from tests.server import Server, free_port, read_answer, run_to_end, wait_until
from tests.web.occupied import BUSY, Occupied
from tests.web.samples import METADATA, ROW, WINE, write_many, write_wine

ONE_AT_A_TIME = {"SESSIONS": "1", "INLINE_BUDGET_US": "0", "MAX_BATCH_SIZE": "1"}
STOPS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)

# Starts that fail: one clear line, and status 1.


class Refusal(NamedTuple):
    """A start that must fail; `{}` in a setting is a port that somebody listens on."""

    model: str | None
    environ: dict[str, str]
    says: tuple[str, ...]


REFUSALS = {
    "no such model": Refusal("none.onnx", {}, ("MODEL_PATH", "none.onnx", "expected a file")),
    "empty folder": Refusal("empty", {}, ("*.onnx", "NAME/VERSION/model.onnx")),
    "half a model": Refusal("half.onnx", {}, ("half.onnx",)),
    "text": Refusal("text.onnx", {}, ("text.onnx",)),
    "metadata that contradicts": Refusal(
        "contradiction", {}, ("input_shape[1]: expected 10", "found 4")
    ),
    "taken port": Refusal(None, {"PORT": "{}"}, ("PORT={}", "in use")),
    "host of another machine": Refusal(None, {"HOST": "203.0.113.1"}, ("HOST=203.0.113.1",)),
    "host of no machine": Refusal(None, {"HOST": "nowhere.invalid"}, ("HOST=nowhere.invalid",)),
    "unknown provider": Refusal(
        None,
        {"ORT_PROVIDERS": "NoSuchProvider,CPUExecutionProvider"},
        ("ORT_PROVIDERS", "found NoSuchProvider", "CPUExecutionProvider"),
    ),
    "number beyond all bounds": Refusal(
        None, {"REQUEST_TIMEOUT_MS": "9" * 400}, ("REQUEST_TIMEOUT_MS",)
    ),
    "several bad settings": Refusal(
        None,
        {"PORT": "none", "MAX_ROWS": "0", "LOG_LEVEL": "loud", "MAX_BACTH_SIZE": "8"},
        ("PORT='none'", "MAX_ROWS='0'", "LOG_LEVEL='loud'", "did you mean MAX_BATCH_SIZE"),
    ),
}


class Ended(NamedTuple):
    """A start that has ended."""

    status: int
    stdout: str
    stderr: str
    taken_port: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What became of each refusal; they run at the same time, for none of them gets far."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "empty").mkdir()
    (folder / "half.onnx").write_bytes(WINE.read_bytes()[:300])
    (folder / "text.onnx").write_text("no model at all")
    write_wine(folder / "contradiction", "1")
    metadata = {**METADATA, "input_shape": [None, 4]}
    (folder / "contradiction" / "wine.json").write_text(json.dumps(metadata))

    def run(refusal: Refusal) -> Ended:
        port = str(listening.getsockname()[1])
        environ = {"PORT": str(free_port()), **refusal.environ}
        environ = {name: text.format(port) for name, text in environ.items()}
        model = [] if refusal.model is None else [folder / refusal.model]
        done = run_to_end("serve", *model, **environ)
        return Ended(done.returncode, done.stdout, done.stderr, port)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(12) as threads:
        return dict(zip(REFUSALS, threads.map(run, REFUSALS.values()), strict=True))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_start_that_cannot_be_is_one_line(ended: dict[str, Ended], name: str) -> None:
    """What cannot be started ends with status 1 and one line that says what is wrong."""
    done = ended[name]

    assert done.status == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ml-pipeline: ")
    for words in REFUSALS[name].says:
        assert words.format(done.taken_port) in line
    assert "Traceback" not in done.stdout


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints it and ends well."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_no_command_is_told_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the usage is told, and the status is argparse's 2."""
    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ml-pipeline")


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


@pytest.fixture(scope="module")
def bundled() -> Iterator[Server]:
    """A server of the bundled model, by the name of this machine; what is empty counts as unset."""
    with Server(
        HOST="localhost", MODEL_PATH="", MAX_ROWS="", LOG_LEVEL=" ", ORT_PROVIDERS="", ENV=""
    ) as running:
        wait_until(lambda: "curl" in running.stderr)
        yield running


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of many models, of which the first is trouble for a shell."""
    folder = tmp_path_factory.mktemp("many")
    write_many(folder)
    with Server(folder, MODEL_PATH="/nowhere") as running:
        wait_until(lambda: "curl" in running.stderr)
        yield running


def test_the_banner_says_where_everything_is(bundled: Server) -> None:
    """The banner names the server, its dashboard and its documentation."""
    assert re.search(rf"^ *server +{bundled.url}$", bundled.stderr, re.MULTILINE)
    assert re.search(rf"^ *dashboard +{bundled.url}/ui/$", bundled.stderr, re.MULTILINE)
    assert re.search(rf"^ *docs +{bundled.url}/docs$", bundled.stderr, re.MULTILINE)


def test_the_curl_line_works(bundled: Server) -> None:
    """The banner's curl line, pasted into a shell, is answered 200 with a label."""
    status, body = paste(curl_line(bundled))

    assert status == 200
    assert json.loads(body)["labels"] == ["class_2"]


def test_the_curl_line_of_many_models_works(many: Server) -> None:
    """The curl line is answered 200 also where name and rows hold what a shell would read."""
    status, body = paste(curl_line(many))

    assert status == 200, curl_line(many)
    assert json.loads(body)["model_info"]["model_name"] == "a word"


@pytest.mark.parametrize(
    ("content", "num_lines"),
    [
        (models.two_input_model(), 0),
        (models.constant_model(), 0),
        (models.scale_model(shape=None), 0),
        (models.scale_model(shape=[0, 3]), 0),
        (models.scale_model(shape=[]), 1),
        (models.scale_model(shape=[2, 3]), 1),
    ],
    ids=["pair", "no input", "any shape", "no rows", "scalar", "two rows"],
)
def test_the_banner_shows_no_line_that_fails(
    content: bytes, num_lines: int, tmp_path: Path
) -> None:
    """For a model that `POST /predict` cannot fill there is no curl line, else one that works."""
    (tmp_path / "odd.onnx").write_bytes(content)
    with Server(tmp_path) as server:
        wait_until(lambda: "/docs" in server.stderr)
        lines = [line for line in server.stderr.splitlines() if "curl" in line]

        assert [paste(line.strip())[0] for line in lines] == [200] * num_lines
        assert server.client.get("/models/info").status_code == 200


# Settings that reach the process.


def test_localhost_is_a_host(bundled: Server) -> None:
    """HOST may be the name of this machine."""
    assert bundled.client.get("/health/live").status_code == 200


def test_an_empty_variable_counts_as_unset(bundled: Server) -> None:
    """Empty variables, which compose files make, leave every default as it is."""
    answer = bundled.client.post("/predict", json={"data": [ROW] * 1000})

    assert answer.status_code == 200
    assert answer.json()["model_info"]["model_name"] == "wine"


def test_the_argument_wins_over_the_variable(many: Server) -> None:
    """MODEL on the command line is served, whatever MODEL_PATH says."""
    assert "wine" in many.client.get("/").json()["models"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one session, no cache, and 50 ms for a request that names no deadline."""
    path = tmp_path_factory.mktemp("tuned") / "slow.onnx"
    path.write_bytes(models.loop_model())
    with Server(path, CACHE_MAX_MB="0", REQUEST_TIMEOUT_MS="50", settings=ONE_AT_A_TIME) as running:
        yield running


def test_sessions_and_batch_size_reach_the_model(tuned: Server) -> None:
    """SESSIONS and MAX_BATCH_SIZE are what the model's description tells."""
    info = tuned.client.get("/models/info").json()

    assert info["sessions"] == 1
    assert info["batching"]["enabled"] is False
    assert "MAX_BATCH_SIZE" in info["batching"]["reason"]


def test_without_memory_nothing_is_cached(tuned: Server) -> None:
    """With CACHE_MAX_MB=0 equal requests are run each, and told to bypass the cache."""
    patient = {"X-Request-Timeout-Ms": "60000"}  # 50 ms may pass on a machine with other work
    answers = [
        tuned.client.post("/predict", json={"data": [[1]]}, headers=patient) for _ in range(2)
    ]

    assert [answer.json()["model_info"]["cached"] for answer in answers] == [False, False]
    assert [answer.headers["x-cache"] for answer in answers] == ["bypass", "bypass"]


def test_requests_have_a_deadline_by_default(tuned: Server) -> None:
    """REQUEST_TIMEOUT_MS holds for requests that name no deadline."""
    answer = tuned.client.post("/predict", json={"data": [[BUSY]]})

    assert answer.json()["code"] == "deadline_exceeded"


def test_nothing_is_left_at_home(tmp_path: Path) -> None:
    """ONNX Runtime keeps no telemetry of the models that are served."""
    with Server(HOME=str(tmp_path)) as server:
        assert server.client.get("/sample").status_code == 200

    assert list(tmp_path.iterdir()) == []


def test_a_start_warns_of_nothing() -> None:
    """With warnings as errors the server starts, serves and ends as without."""
    with Server(command=("-W", "error", "-m", "ml_pipeline")) as server:
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
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
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
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A model whose one row says how long it keeps its session busy."""
    path = tmp_path / "slow.onnx"
    path.write_bytes(models.loop_model())
    return path


def test_the_queue_is_drained(slow: Path) -> None:
    """What waits for a run at the signal is run and answered, with `Connection: close`."""
    with ExitStack() as opened:
        server = opened.enter_context(Server(slow, settings=ONE_AT_A_TIME))
        connections = [opened.enter_context(server.connect()) for _ in range(4)]
        for connection in connections:
            post(connection, [40_000])
        wait_until(lambda: metric(server, "ml_api_queue_depth_rows") == 3)

        server.send(signal.SIGTERM)
        answers = [read_answer(connection) for connection in connections]

        assert [answer.status for answer in answers] == [200] * 4
        assert [answer.json()["predictions"] for answer in answers] == [[80_000.0]] * 4
        assert [answer.headers.get("connection") for answer in answers] == ["close"] * 4
        assert server.wait() == 0


def half(server: Server, opened: ExitStack) -> tuple[socket.socket, bytes]:
    """Send a prediction but for its last bytes, and give those."""
    body = json.dumps({"data": [ROW]}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection = opened.enter_context(server.connect())
    connection.sendall(head + body[:-9])
    time.sleep(0.1)  # until it is read
    return connection, body[-9:]


@STOPS
def test_a_body_that_comes_while_it_drains_is_answered(number: signal.Signals) -> None:
    """Who has sent half a request at the signal sends the rest, and has a prediction of it."""
    with ExitStack() as opened:
        server = opened.enter_context(Server())
        connection, rest = half(server, opened)
        server.send(number)
        wait_until(lambda: not accepts(server), 5.0)
        connection.sendall(rest)
        answer = read_answer(connection)

        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert len(answer.json()["predictions"]) == 1
        assert server.wait() == 0


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_body_that_does_not_come_is_told_so(seconds: int) -> None:
    """At the end of the drain it is answered that the server ends, with when to come again."""
    with ExitStack() as opened:
        server = opened.enter_context(Server(DRAIN_TIMEOUT_SECONDS=str(seconds)))
        connection, _ = half(server, opened)
        began = time.monotonic()
        server.send(signal.SIGTERM)
        answer = read_answer(connection)
        status = server.wait()

        assert answer.status == 503
        assert answer.json()["code"] == "not_ready"
        assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
        assert status == 0
        assert time.monotonic() - began < seconds + 3.0
        assert "Traceback" not in server.stderr + server.stdout


def test_while_it_drains_nobody_new_is_admitted(slow: Path) -> None:
    """From the signal on new connections are refused, while what runs is still answered."""
    with Server(slow, settings=ONE_AT_A_TIME) as server, ThreadPoolExecutor(1) as threads:
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
    with Server(slow, DRAIN_TIMEOUT_SECONDS="1", settings=ONE_AT_A_TIME) as server:
        with server.connect() as connection:
            post(connection, [10_000_000])
            wait_until(lambda: probe(server) == 504)

            server.send(signal.SIGTERM)
            try:
                status = server.wait(timeout_seconds=15.0)
            finally:
                server.send(signal.SIGKILL)

        assert status == 0, server.stderr
        assert "Traceback" not in server.stderr


def probe(server: Server) -> int:
    """Ask for a short run at once; 504 tells that the session is busy."""
    body = {"data": [[1]], "use_cache": False}
    headers = {"X-Request-Timeout-Ms": "20"}
    return server.client.post("/predict", json=body, headers=headers).status_code


def test_a_signal_that_comes_twice_is_one(slow: Path) -> None:
    """Signals right behind the first, as from a shell and its job, change nothing for what runs."""
    with Server(slow, settings=ONE_AT_A_TIME) as server, ThreadPoolExecutor(1) as threads:
        occupied = Occupied(server, threads)

        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            server.send(number)

        assert occupied.running.result().status_code == 200
        assert server.wait() == 0
        assert "Traceback" not in server.stderr + server.stdout


@STOPS
def test_a_second_signal_ends_at_once(slow: Path, number: signal.Signals) -> None:
    """Who asks again while requests are drained gets the end at once, with status 1."""
    with Server(slow, settings=ONE_AT_A_TIME) as server, server.connect() as connection:
        post(connection, [10_000_000])
        wait_until(lambda: probe(server) == 504)
        server.send(number)
        wait_until(lambda: not accepts(server))

        server.send(number)
        begun = time.monotonic()
        status = server.wait()
        seconds = time.monotonic() - begun

        assert status == 1
        assert seconds < 5.0  # of ten that the drain may take
        assert connection.recv(1) == b""
        assert "drain_cut" in [line["event"] for line in server.log_lines()]
        assert "Traceback" not in server.stderr


def test_descriptors_are_left_for_models(tmp_path: Path) -> None:
    """More clients than descriptors: some are hung up on, which is logged, and a reload works."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
    command = ("-c", f"{limit}import sys; from ml_pipeline.__main__ import main; sys.exit(main())")
    with Server(command=command) as server, ExitStack() as opened:
        assert server.client.get("/health").status_code == 200  # its connection is kept
        clients = [opened.enter_context(server.connect()) for _ in range(100)]

        assert server.client.post("/models/reload").status_code == 200
        assert sum(hung_up_on(client) for client in clients) > 50
        wait_until(lambda: any(x["event"] == "connections_refused" for x in server.log_lines()))


def test_what_makes_the_start_quick_ends_with_it() -> None:
    """The collector, kept out of the start, is on while serving; rich was never loaded."""
    tell = "print(gc.isenabled(), 'rich.console' in sys.modules, flush=True)"
    script = f"import gc, signal, sys; signal.signal(signal.SIGUSR1, lambda *_: {tell}); "
    script += "from ml_pipeline.__main__ import main; sys.exit(main())"
    with Server(command=("-c", script)) as server:
        server.send(signal.SIGUSR1)
        told = re.compile(r"^(?:True|False) (?:True|False)$", re.MULTILINE)
        wait_until(lambda: bool(told.search(server.stdout)))

        assert told.findall(server.stdout) == ["True False"]


def hung_up_on(client: socket.socket) -> bool:
    """Whether the server has closed a connection on which nothing was sent."""
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
