"""`ops/stack` and `ops/scale` as their user meets them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_pipeline.settings import BUNDLED_MODELS
from ops.native.state import Folder
from tests.server import ROOT, wait_until
from tests.stack.native import Stack

ROW = [13.32, 3.24, 21.5, 1.93, 0.76, 0.45, 8.42, 0.55, 1.62, 650.0]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two replicas with the limits that ship."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, profile="default", CACHE_POLICY="always") as stack:
        yield stack


@pytest.fixture
def down(tmp_path: Path) -> Stack:
    """A stack that was never started."""
    return Stack(tmp_path)


def redis_cli(stack: Stack, *arguments: str) -> list[str]:
    """Ask the stack's Redis."""
    command = ["redis-cli", "-p", str(stack.state.redis_port), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_up_ends_with_a_table_of_healthy_services(stack: Stack) -> None:
    """Each service stands in it with its state and address."""
    rows = dict(re.findall(r"^  ([\w-]+) +(\w+) +\d+ +\d+ s  \w+://127", stack.up.stdout, re.M))

    services = {"api-1", "api-2", "nginx", "nginx-exporter", "prometheus", "redis"}
    assert rows == dict.fromkeys(services, "healthy")


def test_up_prints_where_to_go(stack: Stack) -> None:
    """Each address that it prints answers."""
    urls = re.findall(r"^  (?:dashboard|docs) +(\S+)$", stack.up.stdout, re.M)

    assert len(urls) == 2
    assert [stack.client.get(url).status_code for url in urls] == [200, 200]


def test_the_stack_predicts(stack: Stack) -> None:
    """A request of the README is answered through Nginx."""
    answer = stack.client.post("/api/predict", json={"data": [ROW]})

    assert answer.json()["labels"] == ["class_2"]


def test_replicas_share_a_cache(stack: Stack) -> None:
    """What one replica has computed, the other one finds in Redis."""
    rows = [[*ROW[:-1], 651.0]]
    urls = [f"http://127.0.0.1:{port}/predict" for port in stack.state.replicas.values()]
    first = stack.client.post(urls[0], json={"data": rows})

    assert first.headers["X-Cache"] == "miss"
    time.sleep(0.5)  # it is stored behind the answer
    second = stack.client.post(urls[1], json={"data": rows})
    assert second.headers["X-Cache"] == "redis"


def test_prometheus_sees_all_targets_up(stack: Stack) -> None:
    """Both replicas, Nginx and Prometheus itself are scraped."""
    found = stack.wait_for_series("up == 1", 4)

    jobs = sorted(series["metric"]["job"] for series in found)
    assert jobs == ["api", "api", "nginx", "prometheus"]


def test_prometheus_counts_what_clients_send(stack: Stack) -> None:
    """The counters of all replicas together equal the requests that were sent."""
    query = 'sum(ml_api_requests_total{endpoint="/sample"})'
    sent = 7
    for number in range(sent):
        name = list(stack.state.replicas)[number % 2]
        assert stack.ask_replica(name, "/sample").status_code == 200

    stack.wait_for_series(f"{query} == {sent}", 1)


def test_prometheus_has_the_rules(stack: Stack) -> None:
    """Recorded series appear while requests come in."""
    (series,) = stack.wait_for_series("ml_api:requests:rate1m > 0", 1)

    assert series["metric"]["__name__"] == "ml_api:requests:rate1m"


def test_redis_is_bounded(stack: Stack) -> None:
    """Redis evicts the oldest entries beyond 256 MB."""
    words = redis_cli(stack, "CONFIG", "GET", "maxmemory*")

    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert settings["maxmemory"] == str(256 * 1024**2)
    assert settings["maxmemory-policy"] == "allkeys-lru"


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    """It says that the stack is up, and what to do instead."""
    done = stack.run("up")

    assert done.returncode == 1
    assert "up already" in done.stderr
    assert stack.client.get("/api/health").status_code == 200


def test_logs_of_a_service(stack: Stack) -> None:
    """The last lines of one service, and an error that lists the services for another name."""
    assert '"event":"serving"' in stack.run("logs", "api-1").stdout
    assert "api-1, api-2" in stack.run("logs", "nonsense").stderr


def test_status_tells_what_is_missing(stack: Stack) -> None:
    """A service that does not answer is not called healthy, and the status is 1."""
    stack.kill("nginx-exporter", signal.SIGSTOP)
    done = stack.run("status")
    stack.kill("nginx-exporter", signal.SIGCONT)

    assert done.returncode == 1
    assert re.search(r"nginx-exporter +running", done.stdout)


def test_a_port_that_is_taken_is_named(stack: Stack, tmp_path: Path) -> None:
    """The message names the port and the variable that chooses another."""
    other = Stack(tmp_path, HTTP_PORT=str(stack.port))
    done = other.run("up")

    assert done.returncode == 1
    assert f"port {stack.port} is taken" in done.stderr
    assert "HTTP_PORT=" in done.stderr


def test_internal_ports_are_where_they_are_wanted(stack: Stack) -> None:
    """All but the two that clients know are the next free ones from `INTERNAL_PORTS_FROM` on."""
    state = stack.state

    others = set(state.ports) - {state.http_port, state.prometheus_port}
    assert len(others) == len(state.replicas) + 3
    assert all(state.first_port <= port < state.first_port + 20 for port in others)


def test_commands_need_a_stack(down: Stack) -> None:
    """Without one they say how to start it."""
    for command in (["status"], ["down"], ["scale", "2"], ["restart", "api"], ["logs"]):
        done = down.run(*command)

        assert (done.returncode, "not up" in done.stderr) == (1, True), command


@pytest.mark.parametrize("count", ["0", "-1", "x", "1000"])
def test_a_count_that_makes_no_sense(down: Stack, count: str) -> None:
    """It is refused with what was expected and found."""
    done = down.run("scale", "--", count)

    assert done.returncode == 2
    assert f"expected a number from 1 to 64, found {count}" in done.stderr


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """`up` fails as soon as the replica has, names its log, and leaves nothing running."""
    stack = Stack(tmp_path / "s", MODEL_PATH=str(tmp_path / "none.onnx"))
    done = stack.run("up")

    assert done.returncode == 1
    assert "api-1 ended: ops/stack logs api-1" in done.stderr
    assert "none.onnx" in stack.log("api-1")
    assert "not up" in stack.run("status").stderr


def test_a_replica_that_does_not_start_spoils_nothing(tmp_path: Path) -> None:
    """Scaling with a model that is gone fails, and the replicas that are there go on."""
    model = tmp_path / "model.onnx"
    model.write_bytes((BUNDLED_MODELS / "wine.onnx").read_bytes())
    with Stack(tmp_path / "s", replicas=1, MODEL_PATH=str(model)) as stack:
        model.unlink()
        done = stack.run("scale", "2")

        assert done.returncode == 1
        assert "api-2" in done.stderr
        assert list(stack.state.replicas) == ["api-1"]
        assert stack.client.get("/api/health/ready").status_code == 200
        assert stack.run("status").returncode == 0


def test_down_leaves_nothing(tmp_path: Path) -> None:
    """After it no port is listened on, and `up` starts again."""
    stack = Stack(tmp_path / "s", replicas=1, profile="default")
    with stack:
        port = stack.port
        assert stack.run("down").returncode == 0

        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port))
        assert stack.run("up").returncode == 0


def test_a_long_path_is_told(tmp_path: Path) -> None:
    """A folder whose path is too long for a socket is named, with the variable to change."""
    done = Stack(tmp_path / ("x" * 100)).run("up")

    assert done.returncode == 1
    assert "STACK_FOLDER" in done.stderr


def test_the_scripts_pass_their_arguments_on(tmp_path: Path) -> None:
    """`ops/scale N` is `ops/stack scale N`."""
    environment = {**os.environ, "STACK_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "ops" / "scale", "2"], env=environment, capture_output=True, text=True
    )

    assert "not up" in done.stderr


def test_logs_tell_why_up_failed(tmp_path: Path) -> None:
    """The command that a failed `up` names works, though nothing runs."""
    stack = Stack(tmp_path / "s", MODEL_PATH="none.onnx")
    assert stack.run("up").returncode == 1

    assert "none.onnx" in stack.run("logs", "api-1").stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DRAIN_TIMEOUT_SECONDS", "x"),
        ("HTTPS_ONLY", "on"),
        ("HTTP_PORT", "x"),
        ("INTERNAL_PORTS_FROM", "0"),
    ],
)
def test_a_value_that_cannot_be(tmp_path: Path, variable: str, value: str) -> None:
    """One line names the variable, what was expected and what was found."""
    done = Stack(tmp_path / "s", settings={variable: value}).run("up")

    assert done.returncode == 1
    assert f"ops/stack: {variable}={value}: expected" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_restart_of_nginx_keeps_its_variables(tmp_path: Path) -> None:
    """What was set at `up` or at a restart stays until it is set anew."""
    with Stack(tmp_path / "s p a c e", replicas=1, profile="default", RATE_LIMIT_API="44") as stack:
        assert stack.run("restart", "nginx", RATE_LIMIT_PREDICT="55").returncode == 0
        assert stack.run("restart", "nginx", RATE_LIMIT_API="").returncode == 0

        text = (tmp_path / "s p a c e" / "nginx" / "nginx.conf").read_text()
    assert "rate=55r/m" in text
    assert "rate=44r/m" in text


def test_nginx_comes_back_when_it_is_killed(tmp_path: Path) -> None:
    """Workers that a killed master leaves behind keep no port from the next one."""
    with Stack(tmp_path / "s", replicas=1) as stack:
        pid = stack.pid("nginx")
        stack.kill("nginx", signal.SIGKILL)

        assert stack.run("restart", "nginx").returncode == 0  # whatever is under way by then
        assert stack.pid("nginx") not in (0, pid)
        assert stack.client.get("/api/health/ready").status_code == 200


def test_an_nginx_that_is_slow_to_start_is_waited_for(tmp_path: Path) -> None:
    """It is there and has no workers yet: a reload takes it for what it is."""
    program = tmp_path / "nginx"
    program.write_text(f"""#!/bin/sh
case "$*" in *daemon*) sleep 2 ;; esac
exec {shutil.which("nginx")} "$@"
""")
    program.chmod(0o755)
    with Stack(tmp_path / "s", replicas=1, PATH=f"{tmp_path}:{os.environ['PATH']}") as stack:
        pid = stack.pid("nginx")
        stack.kill("nginx", signal.SIGKILL)
        wait_until(lambda: stack.pid("nginx") not in (0, pid))

        done = stack.run("restart", "nginx")

        assert done.returncode == 0, done.stderr
        assert stack.client.get("/api/health/ready").status_code == 200


def test_an_nginx_whose_start_fails_is_waited_for(tmp_path: Path) -> None:
    """supervisord tries again, and a restart ends when it has come to something."""
    program, num_starts = tmp_path / "nginx", tmp_path / "starts"
    program.write_text(f"""#!/bin/sh
case "$*" in *daemon*)
  echo >>{num_starts}
  [ $(wc -l <{num_starts}) -eq 1 ] || [ $(wc -l <{num_starts}) -gt 3 ] || exit 1 ;;
esac
exec {shutil.which("nginx")} "$@"
""")
    program.chmod(0o755)
    with Stack(tmp_path / "s", replicas=1, PATH=f"{tmp_path}:{os.environ['PATH']}") as stack:
        stack.kill("nginx", signal.SIGKILL)
        wait_until(lambda: num_starts.read_text().count("\n") > 1)

        done = stack.run("restart", "nginx")

        assert done.returncode == 0, done.stderr
        assert stack.client.get("/api/health/ready").status_code == 200


def test_nothing_survives_the_supervisor(tmp_path: Path) -> None:
    """When it is killed all services end, and `up` starts again on the same ports."""
    with Stack(tmp_path / "s", replicas=1) as stack:
        services = ("nginx", "redis", "prometheus", "nginx-exporter", "api-1")
        pids = [stack.pid(name) for name in services]
        os.kill(int((tmp_path / "s" / "supervisord.pid").read_text()), signal.SIGKILL)

        wait_until(lambda: not any(runs(pid) for pid in pids))
        assert stack.run("up").returncode == 0


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_was_cut_off_is_set_right(tmp_path: Path) -> None:
    """Replicas that were declared and not started, and a `closing` left behind, are cleared."""
    with Stack(tmp_path / "s", replicas=1) as stack:
        folder = Folder(tmp_path / "s")
        state = folder.read_state()
        state.replicas["api-7"] = 65000
        folder.write_state(state)
        (folder.nginx / "closing").touch()

        assert stack.run("scale", "1").returncode == 0

        assert list(stack.state.replicas) == ["api-1"]
        answer = stack.client.get("/api/health/ready")
        assert (answer.status_code, answer.headers["Connection"]) == (200, "keep-alive")
