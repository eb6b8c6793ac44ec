"""`ops/bench` as its user runs it: what it refuses, what it prints, what it leaves behind."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from bench.scenarios import SCENARIOS, SINGLE, STEADY, Open
from bench.suite.results import Results
from bench.targets import read_targets
from tests.bench.little_server import LittleServer, Reply
from tests.server import ROOT, Server, wait_until

LIMIT_SECONDS = 180.0
QUICK_SECONDS = 40
"""What the scenarios may take of the minute that a quick run has; the rest is starts and stops."""


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in the environment of the tests."""
    return subprocess.run(
        [sys.executable, "-m", "bench.suite", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def kept(folder: Path) -> Results:
    """Read what a run has kept."""
    return msgspec.json.decode((folder / "results.json").read_bytes(), type=Results)


def status_told(output: str) -> int:
    """Give the exit status that goes with what was printed: 1 if a target is marked as missed."""
    return int("| ✗ |" in output)


def test_help_tells_what_there_is_to_run() -> None:
    """`ops/bench --help` names every scenario, the extremes and the options."""
    done = subprocess.run(
        [ROOT / "ops" / "bench", "--help"], capture_output=True, text=True, timeout=LIMIT_SECONDS
    )

    assert done.returncode == 0, done.stderr
    words = set(re.findall(r"[\w-]+", done.stdout))
    assert {scenario.name for scenario in SCENARIOS} - words == set()
    assert {"starts", "wrk", "--quick", "--target", "--publish", "--results"} - words == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["uncahced"], "expected one of starts, floor, uncached"),
        (["--target", "localhost:8080/api"], "expected http:// or https:// in front"),
        (["--target", "http://127.0.0.1:1", "sustained"], "sustained needs servers of its own"),
        (["--target", "http://127.0.0.1:1", "wrk"], "wrk needs servers of its own"),
        (
            ["--target", "http://127.0.0.1:1", "--publish"],
            "--publish is for figures of this",
        ),
        (["--quick", "ramp"], "ramp is left out with --quick"),
    ],
)
def test_what_would_measure_nothing_is_refused(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    """A typo, and what cannot be run as asked, end at once with a reason and exit status 2."""
    done = bench(*arguments, "--results", tmp_path / "results")

    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_target_that_does_not_answer_is_a_failed_run(tmp_path: Path) -> None:
    """Nobody there: exit status 2 and a line, not the status of a missed target."""
    done = bench("--target", "http://127.0.0.1:1", "uncached", "--results", tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("ops/bench: /sample: ")
    assert done.stderr.count("\n") == 1


def test_results_go_where_the_caller_is(tmp_path: Path) -> None:
    """A relative --results is of the folder that the command is called in."""
    arguments = ["--target", "http://127.0.0.1:1", "--results", "here"]

    subprocess.run([ROOT / "ops" / "bench", *arguments], cwd=tmp_path, capture_output=True)

    assert (tmp_path / "here").is_dir()


def test_a_quick_run_takes_its_scenarios_less_than_40_seconds() -> None:
    """With starts and stops, a quick run of everything stays within a minute."""
    assert sum(scenario.length(quick=True) for scenario in SCENARIOS) < QUICK_SECONDS


def test_a_scenario_that_builds_on_another_comes_after_it() -> None:
    """What its rates are multiples of is known when it begins, in a quick run too."""
    known: dict[str, int] = {"": 1}
    for scenario in SCENARIOS:
        base = scenario.arrivals.times_of if isinstance(scenario.arrivals, Open) else ""
        assert known.get(base), f"{scenario.name} before {base}"
        known[scenario.name] = scenario.quick_seconds


def test_everything_runs_once_quickly(tmp_path: Path) -> None:
    """`--quick` prints a verdict on every target; no answer is wrong or lost."""
    done = bench("--quick", "--results", tmp_path)

    assert done.returncode == status_told(done.stdout), done.stderr
    for target in read_targets()["suite"]:
        verdict = rf"^\| [✓✗–] \| {re.escape(target.what)} \| {re.escape(target.demand)} \|"
        assert len(re.findall(verdict, done.stdout, re.MULTILINE)) == 1
    results = kept(tmp_path)
    names = {scenario.name for scenario in SCENARIOS if scenario.quick_seconds}
    assert results.outcomes.keys() == names
    assert {name: found.faults for name, found in results.outcomes.items() if found.faults} == {}
    assert results.miscounts == {}
    assert results.start_seconds
    assert len(results.ceilings) == 1


def test_named_scenarios_run_alone_on_the_real_stack(tmp_path: Path) -> None:
    """Two names are two outcomes without a fault, and locust's own report of each."""
    done = bench("--quick", "uncached", "hit_memory", "--results", tmp_path)

    assert done.returncode == status_told(done.stdout), done.stderr
    results = kept(tmp_path)
    assert results.outcomes.keys() == {"uncached", "hit_memory"}
    assert [found.num_faults for found in results.outcomes.values()] == [0, 0]
    assert results.counted > 2000
    assert results.miscounts == {}
    assert "l1" in results.outcomes["hit_memory"].by_cache
    reports = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert reports.keys() == {"uncached.html", "hit_memory.html"}
    assert [name for name, text in reports.items() if "Locust" not in text] == []


def test_a_server_elsewhere_is_measured_and_not_judged(tmp_path: Path) -> None:
    """With --target nothing is held against the targets, and right answers are exit status 0."""
    with Server() as server:
        done = bench("--quick", "--target", server.url, "uncached", "--results", tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search("[✓✗]", done.stdout) is None
    results = kept(tmp_path)
    assert results.outcomes.keys() == {"uncached"}
    (scenario,) = (each for each in SCENARIOS if each.name == "uncached")
    sent = round(STEADY.rates[0] * scenario.length(quick=True))
    assert results.outcomes["uncached"].statuses == {"200": sent}


def test_one_wrong_answer_fails_the_run(tmp_path: Path) -> None:
    """A single wrong prediction among many is told in words, and is exit status 1."""
    wrong = {SINGLE.bodies + 100: Reply(200, {"predictions": [-1.0], "model_info": {}})}

    with LittleServer(wrong.get) as server:
        done = bench("--quick", "--target", server.url, "uncached", "--results", tmp_path)

    assert done.returncode == 1, done.stderr
    assert "- uncached: wrong answer: " in done.stdout
    assert kept(tmp_path).outcomes["uncached"].num_faults == 1


def test_the_users_run_under_locust_s_own_command() -> None:
    """The locustfile's docstring holds: locust by itself sends, compares and reports."""
    locust = Path(sys.executable).with_name("locust")
    options = ["--headless", "--run-time", "2s", "--users", "8", "--spawn-rate", "100"]

    with Server() as server:
        done = subprocess.run(
            [locust, "-f", "bench/locustfile.py", *options, "--host", server.url, "Uncached"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )

    assert done.returncode == 0, done.stderr
    assert re.search(r"Aggregated +\d{3,} +0\(0\.00%\)", done.stderr + done.stdout)


INTERRUPTIONS: dict[str, Callable[[Path], bool]] = {
    "while the stack starts": lambda folder: bool(named(folder, "supervisord")),
    "under load": lambda folder: replicas_cpu_seconds(folder) > 2.5,
}


@pytest.mark.parametrize("moment", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_an_interrupted_run_leaves_nothing_behind(
    moment: Callable[[Path], bool], scratch: Path, tmp_path: Path
) -> None:
    """SIGTERM stops every server that the run has started, and removes their files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.suite", "sustained", "--results", tmp_path],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or moment(scratch))
    finally:  # a run that has not come so far must not go on either
        process.send_signal(signal.SIGTERM)
        status = process.wait(30.0)

    assert status == 128 + signal.SIGTERM
    assert named(scratch, "") == []
    assert list(scratch.iterdir()) == []


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Give a folder for temporary files; `tmp_path` is too long for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


def named(folder: Path, word: str) -> list[psutil.Process]:
    """Find the processes whose temporary files are in a folder, and that have a word in them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            ours = process.environ().get("TMPDIR") == str(folder) or str(folder) in command
            if ours and word in command and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def replicas_cpu_seconds(folder: Path) -> float:
    """Sum what the servers have spent so far."""
    spent = 0.0
    for process in named(folder, " serve"):
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent
