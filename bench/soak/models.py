"""Models that fail for some values, while others and the same ones answer for sound values.

Which models these are is `bad_models`. The address space is bounded, so that a run that asks for
memory is refused it, whatever the machine would give.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from threading import Thread

import msgspec
import numpy as np

from bench.harness import SERVE_COMMAND, Server, started
from bench.request import Request, send
from bench.soak.checked_load import Load, Questions
from bench.soak.kills import answers
from bench.soak.scenario import Finding, Run, at_most
from tests.bad_models import LOST_BELOW, NUM_ENTRIES, write_models

ADDRESS_BYTES = 8 * 10**9
NUM_CLIENTS = 4
"""Of each model that is asked for sound values all the time."""
SOUND = ("steady", "gather", "rows", "turns")
HEALTH_SECONDS = 1.0
"""A longest answer of /health: a run that holds up the event loop is cut off after 0.2 s."""
LATE_SECONDS = 1.0
"""That a 504 may come after its time, on a busy machine."""
TURNS = 6e6
"""Of the long run: about 10 s, beside the others."""
COUNTS = ("num_asked", "num_lost", "num_wrong")


class Bad(msgspec.Struct, frozen=True):
    """A value that a model fails for, and what is right then.

    Attributes:
        model: Its name.
        value: Of the row.
        status: Of the answer.
        found: What the answer must hold.
        timeout_ms: `X-Request-Timeout-Ms`.
    """

    model: str
    value: float
    status: int
    found: bytes
    timeout_ms: int = 5000


BAD = (
    Bad("gather", NUM_ENTRIES + 1.0, 500, b'"code":"run_refused"'),
    Bad("rows", LOST_BELOW - 1.0, 200, b'"predictions":[]'),
    Bad("memory", 1e12, 500, b'"code":"run_refused"'),
    Bad("memory", 2e9, 500, b'"code":"run_refused"'),
    Bad("numbers", -1.0, 200, b'"predictions":[null]'),
    Bad("numbers", 0.0, 200, b'"predictions":[null]'),
    Bad("wide", 3.0, 200, b'"predictions":[[3.0,3.0,3.0]]'),
    Bad("turns", TURNS, 504, b'"code":"deadline_exceeded"', 700),
)
LONG = Bad("turns", TURNS, 200, b'"predictions":[6', 30_000)


class Pulse:
    """Asks for /health all the time, in a thread, from the start of a `with` block to its end.

    Attributes:
        slowest: Seconds.
    """

    def __init__(self, port: int) -> None:
        self.slowest = 0.0
        self._port = port
        self._stopping = False
        self._thread = Thread(target=self._run, name="pulse")

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            started = time.monotonic()
            well = answers(self._port, "/health")
            taken = time.monotonic() - started if well else float("inf")
            self.slowest = max(self.slowest, taken)
            time.sleep(0.02)


def run(run: Run) -> Finding:
    """Ask for bad values over and over, and last for a run that takes its time."""
    folder = run.folder / "models"
    folder.mkdir()
    files = write_models(folder)
    values = np.random.default_rng(8).uniform(0.0, NUM_ENTRIES - 1.0, (2000, 1))
    questions = [Questions([files[name]], values, path=f"/predict?model={name}") for name in SOUND]
    command = ("prlimit", f"--as={ADDRESS_BYTES}", *SERVE_COMMAND, str(folder))
    with ExitStack() as opened:
        server = opened.enter_context(started("server", command))
        loads = [Load(server.port, each, num_clients=NUM_CLIENTS) for each in questions]
        pulse = opened.enter_context(Pulse(server.port))
        for load in loads:
            opened.enter_context(load)
        asked, broken = _ask_bad(run, server, run.choose(60.0, 6.0))
        if not run.quick:
            broken += _expect(server, LONG)
        for load in loads:
            load.wait_for_answers(50)
    sums = [sum(getattr(load, name) for load in loads) for name in COUNTS]
    broken = [*broken[:5], *at_most("/health", pulse.slowest, HEALTH_SECONDS, " s")]
    return Finding(
        tried=f"{asked} requests that raise, lose rows, want 4 TB, run for 10 s or give no "
        f"numbers, among {sums[0]:,} sound ones to the same models and another",
        found=f"of the sound ones {sums[1]} lost, {sums[2]} wrong; each of the others got its own "
        f"answer; slowest `/health` {pulse.slowest * 1e3:.0f} ms; the process went on",
        broken=[*broken, *(fault for load in loads for fault in load.faults)],
    )


def _ask_bad(run: Run, server: Server, seconds: float) -> tuple[int, list[str]]:
    """Ask for each bad value in turn; how many, and what was not as expected."""
    asked, broken = 0, []
    finish = time.monotonic() + seconds
    while time.monotonic() < finish:
        for bad in BAD:
            broken += _expect(server, bad)
            asked += 1
        run.progress(f"{finish - time.monotonic():.0f} s left · {asked} bad ones")
    return asked, broken


def _expect(server: Server, bad: Bad) -> list[str]:
    body = msgspec.json.encode({"data": [[bad.value]], "use_cache": False})
    told = ("X-Request-Timeout-Ms", str(bad.timeout_ms))
    path, seconds = f"/predict?model={bad.model}", bad.timeout_ms / 1e3 + LATE_SECONDS
    began = time.monotonic()
    request = Request(path, body, "application/json", headers=(told,))
    answer = send(server.port, request, timeout=2 * seconds)
    taken, expected = time.monotonic() - began, f"{bad.model} of {bad.value:g}: expected"
    if answer.status != bad.status or bad.found not in answer.body:
        found = f"{answer.status} {answer.body[:200]!r}"
        return [f"{expected} {bad.status} with {bad.found!r}, found {found}"]
    return at_most(f"{expected} an answer in time", taken, seconds, " s")
