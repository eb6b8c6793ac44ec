"""Requests that are made up by the thousand, most of them broken: those of the tests, and more.

How they are made and what must hold is in `tests/`, whose short forms `ops/test` runs; a scenario
runs the same tests in a process of their own with larger numbers, and counts by what they note in
pytest's report.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree

from bench.project_python import ROOT
from bench.soak.scenario import Finding, Run

POLL_SECONDS = 0.5
STOP_SECONDS = 30.0
"""Longest wait for the tests to stop what they have started."""


class Report(NamedTuple):
    """What tests have noted.

    Attributes:
        num_tests: Of them that were run.
        counts: Sums of what they counted, by name.
        broken: The first line of each failure, and which test it is of.
    """

    num_tests: int
    counts: Counter[str]
    broken: list[str]


def documented(run: Run) -> Finding:
    """Hold the server to its OpenAPI document."""
    examples = run.choose(40, 1)
    report = run_tests(run, ["tests/web/test_schemathesis.py"], SCHEMATHESIS_EXAMPLES=examples)
    return Finding(
        tried=f"{report.counts['requests']:,} requests made up by schemathesis, all its phases, "
        "to a server with the bundled model and to one with three models",
        found=f"{len(report.broken)} of its checks failed",
        broken=report.broken,
    )


def any_order(run: Run) -> Finding:
    """Predict, reload, unload, kill Redis, in any order."""
    report = run_tests(run, ["tests/faults/test_any_order.py"], ANY_ORDER_RUNS=run.choose(150, 3))
    return Finding(
        tried=f"{report.counts['steps']:,} steps drawn by hypothesis: predictions, other and "
        "broken files, loading, unloading, Redis emptied, killed and started, under two replicas",
        found=f"{len(report.broken)} answers that a plain model did not expect",
        broken=report.broken,
    )


def streams(run: Run) -> Finding:
    """Send what is not quite HTTP, to a replica and through Nginx."""
    tests = ["tests/http/test_hostile.py", "tests/stack/test_nginx_smuggling.py"]
    report = run_tests(run, tests, HOSTILE_STREAMS=run.choose(15_000, 300))
    return Finding(
        tried=f"{report.counts['streams']:,} connections, half of them through Nginx, with "
        "requests whose end two readers could see differently, or with bytes changed, lost, "
        "doubled and put in",
        found=f"{len(report.broken)} of {report.num_tests} tests failed",
        broken=report.broken,
    )


def tensors(run: Run) -> Finding:
    """Send broken tensors."""
    requests = run.choose(200_000, 2000)
    report = run_tests(run, ["tests/oip/test_fuzz.py"], FUZZ_REQUESTS=requests)
    return Finding(
        tried=f"{report.counts['requests']:,} requests to `/v2/models/NAME/infer`: truncated, "
        "with lying sizes and headers, odd dimensions and types, noise, 100,000 brackets",
        found=f"{report.counts['refused']:,} refused with 4xx, the rest answered; "
        f"memory +{report.counts['grown_kb'] / 1e3:.1f} MB",
        broken=report.broken,
    )


def run_tests(run: Run, paths: list[str], **numbers: int) -> Report:
    """Run tests to their end, with numbers in their environment."""
    path = run.folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    command += ["--timeout=0", "-o", "faulthandler_timeout=0"]  # they go on for as long as is asked
    # The older form is the one whose schema has properties of a test.
    command += ["-o", "junit_family=xunit1", f"--junitxml={path}", f"--basetemp={run.folder}/tests"]
    environ = {name: str(number) for name, number in numbers.items()}
    with (run.folder / "words").open("w+b") as words:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdout=words, stderr=words
        )
        began = time.monotonic()
        try:
            while process.poll() is None:
                run.progress(f"{', '.join(paths)}, {time.monotonic() - began:.0f} s")
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # pytest then stops what it has started
            process.wait(STOP_SECONDS)
        words.seek(0)
        said = words.read().decode(errors="replace")[-2000:]
    report = read(path.read_text()) if path.exists() else Report(0, Counter(), [])
    if process.returncode != 0 and not report.broken:
        report.broken.append(said)
    return report


def read(xml: str) -> Report:
    """Read pytest's report."""
    counts, broken = Counter[str](), list[str]()
    tests = list(ElementTree.fromstring(xml).iter("testcase"))
    for test in tests:
        for each in test.iter("property"):
            counts[each.attrib["name"]] += int(each.attrib["value"])
        for fault in (*test.iter("failure"), *test.iter("error")):
            first = fault.attrib["message"].split("\n", 1)[0]
            broken.append(f"{test.attrib['classname']}.{test.attrib['name']}: {first}")
    return Report(len(tests), counts, broken)
