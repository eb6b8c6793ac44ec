"""The machine's clock is set hours forwards and back while clients are answered.

By libfaketime, which a program's calls for the time go through; the monotonic clock goes on, as on
a real machine. Redis keeps the right time: it stands for the other machine of a shared cache.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from bench.harness import Server, ServerError, started
from bench.redis_server import redis_started
from bench.request import Request, get, send
from bench.soak.checked_load import Load, sample_questions
from bench.soak.scenario import Finding, Run, at_most, equal
from bench.waiting import wait_until

LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"
PROBE = (sys.executable, "-m", "bench.soak.clock_probe", "serve")
HOURS, HOURS_QUICK = (5, -7, 1, -1, 0), (5, -7)
SECONDS_EACH = 1.0
TTL_SECONDS = 6
SEEN_SECONDS = 20.0
LATEST_SECONDS = 1.0
"""That an answer may be found in a cache beyond its time: Redis counts whole seconds."""
MOST_P99_SECONDS = 0.25
MOST_P99_SECONDS_QUICK = 1.0


def run(run: Run) -> Finding:
    """Set the clock, over and over, and see how long cached answers live."""
    questions = sample_questions(3000, timeout_ms=5000)
    clock = Clock(run.folder / "clock")
    broken: list[str] = []
    with ExitStack() as opened:
        redis = opened.enter_context(redis_started())
        shared = {"REDIS_URL": redis, "CACHE_POLICY": "always"}
        right = opened.enter_context(started("right", environment=shared))
        set_ = opened.enter_context(
            started("set", PROBE, environment={**shared, **clock.environment})
        )
        with Load(set_.port, questions) as load:
            load.wait_for_answers(500)
            times, steps = run.choose(8, 1), run.choose(HOURS, HOURS_QUICK)
            for number in range(times):
                for hours in steps:
                    clock.set(hours)
                    run.progress(f"{hours:+} h · {times - number} rounds left · {load.counts}")
                    load.wait_for_answers(20)
                    time.sleep(SECONDS_EACH)
            broken += _uptime(set_)
            for hours in run.choose((-7, 5), (-7,)):
                broken += _expiry(clock, hours, right, set_)
    p99, most = load.p99_seconds(), run.choose(MOST_P99_SECONDS, MOST_P99_SECONDS_QUICK)
    broken += at_most("p99", p99, most, " s")
    return Finding(
        tried=f"the clock set {times * len(steps)} times, by up to 7 h forwards and back, under "
        f"{load.num_clients} clients with a deadline of 5 s; answers cached for {TTL_SECONDS} s by "
        "this replica and by one whose clock is right",
        found=f"{load.counts}; p99 {p99 * 1e3:.0f} ms; no deadline missed, no cached answer older "
        "than its time",
        broken=[*load.faults, *broken],
    )


class Clock:
    """The clock of a process that is started with `environment`.

    Args:
        path: Of a file that says what it is set to.

    Raises:
        ServerError: libfaketime is not installed.
    """

    def __init__(self, path: Path) -> None:
        found = sorted(Path("/").glob(LIBRARIES.lstrip("/")))
        if not found:
            raise ServerError(f"expected {LIBRARIES}, found none: apt-get install faketime")
        self._path = path
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",  # seconds, between two looks at the file
        }

    def set(self, hours: int) -> None:
        """Set it by so many hours; seen within a second."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{hours:+}h\n")
        new.replace(self._path)


def _uptime(server: Server) -> list[str]:
    """It counts what has passed, not what the clock says."""
    uptime = float(msgspec.json.decode(get(server.port, "/health").body)["uptime"])
    return at_most("uptime", abs(uptime), 3600.0, " s")


def _expiry(clock: Clock, hours: int, right: Server, set_: Server) -> list[str]:
    """Let each of two servers store an answer, set the clock of one, and ask it until both go."""
    own, others = (
        msgspec.json.encode({"data": [[float(hours + n)] * 10], "cache_ttl": TTL_SECONDS})
        for n in (100, 200)
    )
    broken = _set(clock, 0, set_)
    stored = time.monotonic()
    found = {"stored": (_state(set_, own), _state(right, others))}
    broken += _set(clock, hours, set_)
    found["set"] = (_state(set_, own), _state(set_, others))
    left = stored + TTL_SECONDS + LATEST_SECONDS - time.monotonic()
    time.sleep(max(0.0, left))
    found["over"] = (_state(set_, own), _state(set_, others))
    wanted = {"stored": ("miss", "miss"), "set": ("l1", "redis"), "over": ("miss", "miss")}
    for name, states in found.items():
        broken += equal(f"X-Cache when {name}, {hours:+} h", states, wanted[name])
    return broken


def _set(clock: Clock, hours: int, server: Server) -> list[str]:
    """Set the clock, and wait until the header `date` tells that the server has seen it."""
    clock.set(hours)

    def seen() -> bool:
        date = parsedate_to_datetime(get(server.port, "/health").headers["date"])
        return abs(date.timestamp() - time.time() - 3600 * hours) < 60

    return equal(f"date set by {hours:+} h", wait_until(seen, SEEN_SECONDS), True)


def _state(server: Server, body: bytes) -> str:
    return send(server.port, Request("/predict", body, "application/json")).headers["x-cache"]
