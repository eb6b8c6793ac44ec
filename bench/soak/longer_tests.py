"""Scenarios that are tests of `tests/` with more input, in a process of their own.

How the input is made up and what must hold is there; `ops/test` runs their short forms. What is
counted is what the tests note in pytest's report.
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

from bench.machine import ROOT
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


class Longer(NamedTuple):
    """Tests, how much input they are given, and what is told of them.

    Attributes:
        paths: Of the tests.
        variable: Of the environment, that says how much.
        long: How much.
        short: The same in the short form.
        tried: With the counts' names in braces.
        found: Likewise.
    """

    paths: list[str]
    variable: str
    long: int
    short: int
    tried: str
    found: str

    def run(self, run: Run) -> Finding:
        """Run the tests."""
        report = run_tests(run, self.paths, **{self.variable: run.choose(self.long, self.short)})
        counts = report.counts | Counter(tests=report.num_tests, failed=len(report.broken))
        counts["judged"] = sum(counts[name] for name in ("independent", "coupled", "unknown"))
        return Finding(self.tried.format_map(counts), self.found.format_map(counts), report.broken)


documented = Longer(
    ["tests/web/test_schemathesis.py"],
    *("SCHEMATHESIS_EXAMPLES", 40, 1),
    "{requests:,} requests made up by schemathesis, all its phases, to a server with the bundled "
    "model and to one with three models",
    "{failed} of its checks failed",
).run
any_order = Longer(
    ["tests/faults/test_any_order.py"],
    *("ANY_ORDER_RUNS", 150, 3),
    "{steps:,} steps drawn by hypothesis: predictions, other and broken files, loading, unloading, "
    "Redis emptied, killed and started, under two replicas",
    "{failed} answers that a plain model did not expect",
).run
streams = Longer(
    ["tests/http/test_hostile.py", "tests/stack/test_nginx_smuggling.py"],
    *("HOSTILE_STREAMS", 15_000, 300),
    "{streams:,} connections, half of them through Nginx, with requests whose end two readers "
    "could see differently, or with bytes changed, lost, doubled and put in",
    "{failed} of {tests} tests failed",
).run
tensors = Longer(
    ["tests/oip/test_fuzz.py"],
    *("FUZZ_REQUESTS", 200_000, 2000),
    "{requests:,} requests to `/v2/models/NAME/infer`: truncated, with lying sizes and headers, "
    "odd dimensions and types, noise, 100,000 brackets",
    "{refused:,} refused with 4xx, the rest answered; memory +{grown_kb:,} kB",
).run
bombs = Longer(
    ["tests/bombs"],
    *("BOMB_SECONDS", 600, 0),
    "{bombs:,} of {kinds} kinds, good requests beside them: compressed ones, lists, keys, tensors, "
    "MessagePack, batches, streams; up to 16 MB",
    "each refused with 4xx, each good request answered; memory at most {grown_mb} MB above that "
    "before; `/health` beside them within {p99_us:,} µs at p99, {slowest_us:,} µs at most",
).run
graphs = Longer(
    ["tests/engine/graph/test_random_graphs.py"],
    *("RANDOM_GRAPHS", 2000, 100),
    "{judged:,} graphs, grown at random out of the operators that are followed; at 2, 5 and 16 "
    "rows of several scales",
    "{independent:,} said to keep rows apart, of which {failed} do not; {coupled:,} coupled, "
    "{unknown:,} unknown",
).run
backend = Longer(
    ["tests/backend/test_backend_suite.py"],
    *("BACKEND_STEP", 1, 40),
    "{models served:,} models of ONNX's backend suite with their recorded inputs, in bytes and in "
    "JSON; {judged:,} with first sizes freed, each by a crowd of 8",
    "{wrong} of {answers:,} answers of crowds wrong; {independent:,} models independent, "
    "{coupled:,} models coupled, {unknown:,} models unknown; {models of unknown types:,} refused "
    "for types that it has no form for",
).run


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
