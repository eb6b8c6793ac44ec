"""A server that hangs is ended by the process that watches it."""

import signal
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from ml_pipeline.hang_watch import hangs
from tests.server import Server, free_port, run_to_end, settled

SECONDS = 1
LEEWAY_SECONDS = 4.0


@pytest.fixture
def server() -> Iterator[Server]:
    """It is ended when it says nothing for a second."""
    with Server(HANG_SECONDS=str(SECONDS)) as running:
        yield running


def watched(server: Server) -> psutil.Process:
    """The process that serves."""
    [process] = psutil.Process(server.pid).children()
    return process


def test_one_that_hangs_is_ended(server: Server) -> None:
    """Soon after the time that it is allowed, and its watcher with it, as if it had been killed."""
    process = watched(server)
    process.suspend()
    started = time.monotonic()
    status = server.wait()

    assert status == 128 + signal.SIGKILL
    assert SECONDS / 2 < time.monotonic() - started < SECONDS + LEEWAY_SECONDS
    assert not process.is_running()
    assert "no answer in 1 s" in server.stderr


def test_one_that_answers_goes_on(server: Server) -> None:
    """Longer than the time in which it would be ended."""
    time.sleep(2 * SECONDS)

    assert server.client.get("/health/live").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_handed_on(server: Server, number: signal.Signals) -> None:
    """It drains and ends well, as one that nobody watches."""
    server.send(number)

    assert server.wait() == 0


def test_it_does_not_outlive_its_watcher(server: Server) -> None:
    """Else it would keep the port of the one that is started anew."""
    process = watched(server)
    server.send(signal.SIGKILL)

    def is_over() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    assert settled(is_over, True)


def test_a_start_that_fails_tells_its_status() -> None:
    """And its reason."""
    done = run_to_end("serve", HANG_SECONDS="1", MODEL_PATH="none.onnx")

    assert done.returncode == 1
    assert "none.onnx" in done.stderr


@pytest.mark.parametrize("value", ["-1", "soon", "1.5"])
def test_a_time_that_makes_no_sense(value: str) -> None:
    """It is refused by name."""
    done = run_to_end("serve", HANG_SECONDS=value)

    assert done.returncode == 1
    assert "HANG_SECONDS" in done.stderr


def test_who_hangs() -> None:
    """Whoever takes connections and says nothing; not who refuses them, nor who hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert hangs("127.0.0.1", silent.getsockname()[1], 0.2)
    assert not hangs("127.0.0.1", free_port(), 0.2)
