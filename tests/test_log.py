"""The log of the running server: one JSON line an event, or lines for people."""

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec
import pytest

from tests.server import ROOT, Server, run_python, settled
from tests.web.samples import ROW

CONFIGURED = "from app.log import configure, get_logger; configure({level!r}, {env!r}); "


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
        "\nimport asyncio; from app.log import log_unhandled"
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
