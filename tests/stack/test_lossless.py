"""What operators do, and what happens to replicas, under load: no client loses a request."""

import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.load import OLD
from tests.faults.replica import write_model
from tests.server import wait_until
from tests.stack.load import NUM_CLIENTS, StackLoad
from tests.stack.native import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two replicas; each test leaves two."""
    folder = tmp_path_factory.mktemp("stack")
    models = write_model(folder / "models", OLD)
    with Stack(folder / "s", MODEL_PATH=str(models), ADMIN_TOKEN="secret") as stack:
        yield stack


def asked(stack: Stack, name: str) -> float:
    """Predictions that a replica has answered."""
    text = stack.ask_replica(name, "/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("ml_api_predictions_total")]
    return sum(float(line.split()[-1]) for line in lines)


def is_ready(stack: Stack, name: str) -> bool:
    """Whether a replica answers again."""
    try:
        return stack.ask_replica(name, "/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_both_replicas_get_work(stack: Stack) -> None:
    """Under load each replica answers a good part of the requests."""
    before = {name: asked(stack, name) for name in stack.state.replicas}

    with StackLoad(stack.port) as load:
        load.go_on(1.0)

    shares = [asked(stack, name) - before[name] for name in before]
    assert load.faults == []
    assert min(shares) > 0.2 * sum(shares)


@pytest.mark.parametrize(
    ("number", "refusals_allowed"), [(signal.SIGTERM, 0), (signal.SIGKILL, NUM_CLIENTS)]
)
def test_a_replica_that_ends(stack: Stack, number: signal.Signals, refusals_allowed: int) -> None:
    """One of two replicas ends in good order, or is killed, and is started again by itself.

    What a killed one had been given is given to no other, and told so.
    """
    name = next(iter(stack.state.replicas))
    pid = stack.pid(name)

    with StackLoad(stack.port, refusals_allowed=refusals_allowed) as load:
        stack.kill(name, number)
        wait_until(lambda: stack.pid(name) not in (0, pid))
        wait_until(lambda: is_ready(stack, name))
        load.go_on(0.5)

    assert load.faults == []
    assert load.num_answers > 100


def test_a_replica_that_hangs(stack: Stack) -> None:
    """One of two stands still: who waits for it is answered by the other within 3 s, none is lost.

    It is ended, and started anew.
    """
    name = next(iter(stack.state.replicas))
    pid = stack.pid(name)

    with StackLoad(stack.port) as load:
        before = asked(stack, name)
        wait_until(lambda: asked(stack, name) > before + 50)  # it may have been left out just now
        stack.kill(name, signal.SIGSTOP)
        wait_until(lambda: stack.pid(name) not in (0, pid))
        wait_until(lambda: is_ready(stack, name))
        load.go_on(0.5)
        slowest = load.slowest_seconds
        load.slowest_seconds = 0.0
        load.go_on(1.0)

    assert load.faults == []
    assert 1.0 < slowest < 3.0
    assert load.slowest_seconds < 1.0
    assert f"{name}: no answer" in stack.log("watch")


def test_scaling(stack: Stack) -> None:
    """Two replicas become one, three, one, and two again."""
    with StackLoad(stack.port) as load:
        for count in (1, 3, 1, 2):
            done = stack.run("scale", str(count))
            assert done.returncode == 0, done.stderr
            assert len(stack.state.replicas) == count

    assert load.faults == []


def test_a_scaled_up_replica_gets_work(stack: Stack) -> None:
    """A new replica answers requests as soon as the command has ended."""
    assert stack.run("scale", "3").returncode == 0
    new = list(stack.state.replicas)[-1]

    with StackLoad(stack.port) as load:
        load.go_on(0.5)

    assert asked(stack, new) > 50
    assert stack.run("scale", "2").returncode == 0


def test_a_rolling_restart(stack: Stack) -> None:
    """Every replica is replaced by a new process."""
    before = {stack.pid(name) for name in stack.state.replicas}

    with StackLoad(stack.port) as load:
        done = stack.run("restart", "api")

    assert done.returncode == 0, done.stderr
    assert load.faults == []
    after = {stack.pid(name) for name in stack.state.replicas}
    assert len(after) == 2
    assert before & after == set()


def test_a_rolling_restart_of_one(stack: Stack) -> None:
    """A single replica is replaced as well as many are."""
    assert stack.run("scale", "1").returncode == 0

    with StackLoad(stack.port) as load:
        done = stack.run("restart", "api")

    assert done.returncode == 0, done.stderr
    assert load.faults == []
    assert stack.run("scale", "2").returncode == 0


def test_reloads_of_nginx(stack: Stack) -> None:
    """Nginx takes its configuration anew, several times, and no connection is cut."""
    with StackLoad(stack.port) as load:
        for _ in range(3):
            done = stack.run("restart", "nginx")
            assert done.returncode == 0, done.stderr

    assert load.faults == []


def test_a_reload_of_the_model(stack: Stack) -> None:
    """The models are read anew by every replica."""
    with StackLoad(stack.port) as load:
        answer = stack.client.post("/api/models/reload", headers={"Authorization": "Bearer secret"})
        load.go_on(0.5)

    assert answer.status_code == 200, answer.text
    assert load.faults == []


def test_redis_may_go(stack: Stack) -> None:
    """Redis is started anew, and meanwhile answers are computed."""
    with StackLoad(stack.port) as load:
        done = stack.run("restart", "redis")
        assert done.returncode == 0, done.stderr
        load.go_on(0.5)

    assert load.faults == []
