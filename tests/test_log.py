"""The log of the running server: one JSON line an event, or lines for people."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime

import msgspec
import pytest

from ml_pipeline.log import Lines
from tests.server import ROOT, Server, run_python, settled
from tests.web.samples import ROW

CONFIGURED = "from ml_pipeline.log import configure, get_logger; configure({level!r}, {env!r}); "


def logged(code: str, level: str = "info", env: str | None = None) -> list[str]:
    """Lines that code writes in a process of its own, whose standard output is no terminal."""
    done = run_python(CONFIGURED.format(level=level, env=env) + code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def ask(server: Server) -> None:
    """Send one request that is answered and one that is refused."""
    good = {"X-Request-ID": "good"}
    server.client.post("/predict", json={"data": [ROW]}, headers=good)
    server.client.post("/predict", json={"data": [ROW[:2]]}, headers={"X-Request-ID": "bad"})
    server.client.get("/health/live", headers={"X-Request-ID": "last"})


# JSON.


@pytest.fixture(scope="module")
def everything() -> Iterator[Server]:
    """A server that logs every request."""
    with Server(ACCESS_LOG="all") as running:
        ask(running)
        settled(lambda: running.events_of("last"), ["request"])
        yield running


def test_every_line_is_json(everything: Server) -> None:
    """A line is one JSON object with event, level and time."""
    lines = everything.log_lines()

    for line in lines:
        assert line["event"].replace("_", "").islower()
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_the_start_is_logged(everything: Server) -> None:
    """The first lines tell which models were loaded, and where the server is."""
    model, serving = everything.log_lines()[:2]

    assert (model["event"], model["model"], model["version"]) == ("model_loaded", "wine", "1")
    assert model["seconds"] >= 0
    assert (serving["event"], serving["url"]) == ("serving", everything.url)


def test_all_requests_are_logged_where_asked_for(everything: Server) -> None:
    """ACCESS_LOG=all writes one line a request, good or bad, hot or not."""
    lines = {line["request_id"]: line for line in everything.log_lines() if "request_id" in line}

    found = {i: (lines[i]["method"], lines[i]["path"], lines[i]["status"]) for i in IDS}
    assert found == {
        "good": ("POST", "/predict", 200),
        "bad": ("POST", "/predict", 422),
        "last": ("GET", "/health/live", 200),
    }


IDS = ("good", "bad", "last")


def test_standard_error_is_for_the_banner(everything: Server) -> None:
    """The log goes to standard output, and the banner does not."""
    assert "curl" in everything.stderr
    assert '"event"' not in everything.stderr
    assert "curl" not in everything.stdout


def test_only_errors_are_logged_by_default() -> None:
    """Without ACCESS_LOG only requests that are refused have a line."""
    with Server() as server:
        ask(server)
        server.client.get("/nothing", headers={"X-Request-ID": "lost"})

        assert settled(lambda: server.events_of("lost"), ["request"]) == ["request"]
        assert server.events_of("bad") == ["request"]
        assert server.events_of("good") == []


def test_an_exception_is_one_line() -> None:
    """A traceback is a value of its line, not lines of its own."""
    code = (
        "\ntry: 1 / 0"
        "\nexcept ZeroDivisionError as error:"
        "\n    get_logger().error('request_failed', request_id='x', exc_info=error)"
    )

    (line,) = logged(code)

    event = msgspec.json.decode(line)
    assert event["event"] == "request_failed"
    assert "ZeroDivisionError" in event["exception"]
    assert "Traceback" in event["exception"]


def test_what_nobody_handles_is_one_line() -> None:
    """An exception in a callback of the event loop is a line of the log, not text beside it."""
    code = (
        "\nimport asyncio; from ml_pipeline.log import log_unhandled"
        "\nasync def main():"
        "\n    loop = asyncio.get_running_loop(); loop.set_exception_handler(log_unhandled)"
        "\n    loop.call_soon(lambda: 1 / 0); await asyncio.sleep(0.01)"
        "\nasyncio.run(main())"
    )

    (line,) = logged(code)

    event = msgspec.json.decode(line)
    assert (event["event"], event["level"]) == ("unhandled", "error")
    assert "ZeroDivisionError" in event["exception"]


def test_any_value_can_be_logged() -> None:
    """What JSON does not know is written as text, line breaks and all on one line."""
    (line,) = logged("get_logger().info('x', path=__import__('pathlib').Path('/a'), text='a\\nb')")

    event = msgspec.json.decode(line)
    assert (event["path"], event["text"]) == ("/a", "a\nb")


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")],
)
def test_the_least_level_holds(level: str, written: str) -> None:
    """LOG_LEVEL is the least level that is written."""
    code = "l = get_logger(); l.debug('d'); l.info('i'); l.warning('w'); l.error('e')"

    lines = [msgspec.json.decode(line) for line in logged(code, level)]

    assert "".join(line["event"] for line in lines) == written


def test_every_trouble_is_in_the_runbook() -> None:
    """Whoever reads a warning or an error finds its event in the runbook."""
    runbook = (ROOT / "ops" / "runbook.md").read_text()
    sections = set(re.findall(r"\w+", " ".join(re.findall(r"^### (.+)$", runbook, re.MULTILINE))))
    code = "\n".join(path.read_text() for path in sorted((ROOT / "app").rglob("*.py")))
    told = set(re.findall(r"get_logger\(\)\.(?:warning|error)\(\s*\"(\w+)\"", code))

    assert "slow_request" in told
    assert told == sections


# People.


@pytest.fixture(scope="module")
def development() -> Iterator[Server]:
    """A server for people, that logs no requests."""
    with Server(ENV="development", ACCESS_LOG="off") as running:
        ask(running)
        settled(lambda: "serving" in running.stdout, True)
        yield running


def test_development_writes_for_people(development: Server) -> None:
    """ENV=development writes event and keys as text, without colours where there is no terminal."""
    lines = development.stdout.splitlines()

    assert "model_loaded" in lines[0]
    assert "model=wine" in lines[0]
    assert "\x1b" not in development.stdout
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(lines[0])


def test_a_traceback_for_people_holds_no_values() -> None:
    """What stood in variables when something failed, a body or a key, is not written."""
    code = """
def fail(body):
    raise ValueError("at fault")
try:
    fail("secret".upper())
except ValueError:
    get_logger().error("failed", exc_info=True)
"""
    text = "\n".join(logged(code, env="development"))

    assert "ValueError: at fault" in text
    assert "SECRET" not in text


def test_no_request_is_logged_where_not_asked_for(development: Server) -> None:
    """ACCESS_LOG=off writes no line for a request, refused or not."""
    development.client.get("/nothing")

    assert "/predict" not in development.stdout
    assert "/nothing" not in development.stdout


@pytest.mark.parametrize("env", ["production", None])
def test_without_a_terminal_it_is_json(env: str | None) -> None:
    """Where nobody looks, and where production is asked for, the log is JSON."""
    (line,) = logged("get_logger().info('x')", env=env)

    assert msgspec.json.decode(line)["event"] == "x"


# Where nobody takes it.


def lines_to(descriptor: int) -> tuple[Lines, list[int]]:
    """Lines to a descriptor, and the losses that were told."""
    losses: list[int] = []
    return Lines(descriptor, losses.append), losses


def test_a_line_for_a_full_disk_is_lost() -> None:
    """Writing it raises nothing."""
    with open("/dev/full", "wb") as full:
        lines, losses = lines_to(full.fileno())
        lines.msg("lost")

    assert losses == []


def test_a_line_for_a_reader_that_is_gone_is_lost() -> None:
    """Writing it raises nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    lines, losses = lines_to(writer)

    lines.msg("lost")
    os.close(writer)

    assert losses == []  # it is told to nobody: no later line can be


def test_a_reader_that_sleeps_keeps_nobody_waiting() -> None:
    """What a pipe does not take is lost; how much, is told once it takes lines again."""
    reader, writer = os.pipe()
    lines, losses = lines_to(writer)
    for _ in range(2000):
        lines.msg("x" * 99)
    assert losses == []
    taken = os.read(reader, 2**20)

    for _ in range(3):
        lines.msg("after")

    assert losses == [2000 - taken.count(b"\n")]
    assert os.read(reader, 2**20) == b"after\n" * 3
    os.close(reader)
    os.close(writer)


def test_a_line_that_is_torn_spoils_no_other() -> None:
    """A long line that a pipe takes in part ends there, and the next one begins a new line."""
    reader, writer = os.pipe()
    lines, losses = lines_to(writer)
    lines.msg("x" * 2**20)
    taken = os.read(reader, 2**20)

    lines.msg("whole")

    assert set(taken) == {ord("x")}
    assert losses == [1]
    assert os.read(reader, 2**20) == b"\nwhole\n"
    os.close(reader)
    os.close(writer)


def test_a_loss_is_told_in_the_log() -> None:
    """The first line that could be written again is followed by one that says how many were not."""
    code = (
        "\nimport os"
        "\nreader, writer = os.pipe(); kept = os.dup(1); os.close(reader)"
        "\nos.dup2(writer, 1); get_logger().info('lost'); get_logger().info('lost')"
        "\nos.dup2(kept, 1); get_logger().info('written')"
    )

    lines = [msgspec.json.decode(line) for line in logged(code)]

    assert [line["event"] for line in lines] == ["written", "log_lines_lost"]
    assert lines[1]["num_lines"] == 2
    assert lines[1]["level"] == "warning"


def test_a_log_that_nobody_takes_costs_no_answer() -> None:
    """Neither requests nor start and stop fail where log and banner go to a full disk."""
    command = ("-c", "import os, sys; full = os.open('/dev/full', 1); os.dup2(full, 1); "
        "os.dup2(full, 2); from ml_pipeline.__main__ import main; sys.exit(main())")  # fmt: skip
    with Server(command=command, ACCESS_LOG="all") as server:
        statuses = [
            server.client.post("/predict", json={"data": [ROW]}).status_code for _ in range(20)
        ]
        server.send(signal.SIGTERM)
        status = server.wait()

    assert statuses == [200] * 20
    assert status == 0
