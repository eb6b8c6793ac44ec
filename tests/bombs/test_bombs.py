"""A server and a hundred bombs: each is refused, costs little memory, and keeps nobody waiting.

`ops/soak bombs` runs the same for BOMB_SECONDS, good requests among them.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bombs.cage import caged, forget_peak, peak_bytes, resident_bytes
from tests.bombs.health import health_of
from tests.bombs.table import BOMBS, MEGABYTE, Bomb
from tests.server import Server, end_well
from tests.web.samples import ROW, write_shapes

TIMES_BODY, MORE_BYTES = 8, 64 * MEGABYTE
"""Memory that a bomb may take above what the server has before it; the largest is also the bound on
all that it ever has above its start, for what is freed may stay with the allocator."""
MOST_SECONDS = 0.02
"""Of p99 of `/health` beside them."""
PAUSE_SECONDS = 0.01
"""Between two good requests."""
LARGEST = 16 * MEGABYTE
"""MAX_BODY_BYTES."""
SECONDS = float(os.environ.get("BOMB_SECONDS", "0"))
"""To go on for; 0 = each bomb once."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models of `table.py`."""
    write_shapes(tmp_path)
    return tmp_path


class Harm(NamedTuple):
    """What came of a bomb: its bytes, the statuses of the answers, and memory above that before."""

    bomb: Bomb
    size: int
    statuses: list[int]
    grown: int

    @property
    def faults(self) -> list[str]:
        """What it did that it may not."""
        name, statuses, wanted = self.bomb.name, self.statuses, self.bomb.num_answers
        most, found = TIMES_BODY * self.size + MORE_BYTES, []
        if len(statuses) != wanted or not all(400 <= each < 500 for each in statuses):
            told = f"{len(statuses)} of {sorted(set(statuses))}"
            found.append(f"{name}: expected {wanted} of 4xx, found {told}")
        if self.grown > most:
            told = f"{self.grown // MEGABYTE} MB for {self.size / MEGABYTE:.1f} MB"
            found.append(f"{name}: expected at most {most // MEGABYTE} MB, found {told}")
        return found


def throw(server: Server, bomb: Bomb) -> Harm:
    """Send a bomb, and read what comes of it."""
    resting = resident_bytes(server.pid)
    forget_peak(server.pid)
    data, answers = bomb.make(), bytearray()
    with server.connect(60.0) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered, and hung up on, before it was all sent
        try:
            while len(statuses := STATUS.findall(answers)) < bomb.num_answers:
                if not (more := connection.recv(65_536)):
                    break
                answers += more
        except OSError as error:
            raise AssertionError(f"{bomb.name}: {error!r} after {statuses[-1:]}") from None
    grown = peak_bytes(server.pid) - resting
    return Harm(bomb, len(data), [int(status) for status in statuses], grown)


def ask_well(server: Server) -> None:
    """A good request, answered right."""
    answer = server.client.post("/predict?model=wine", json={"data": [ROW], "use_cache": False})

    assert answer.json()["labels"] == ["class_2"]


@contextmanager
def good_requests_to(server: Server) -> Iterator[None]:
    """Ask well all the while, by a thread; fails if one was not answered right."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(PAUSE_SECONDS):
            ask_well(server)

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            yield
        finally:
            ended.set()
        going.result()


def test_bombs_are_refused_and_nobody_waits(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """4xx each, memory within 8 bodies and 64 MB, and `/health` beside them within 20 ms."""
    source, harms = random.Random(7), list[Harm]()
    with Server(folder, ACCESS_LOG="off") as server:
        for _ in range(200):
            ask_well(server)
        until = time.monotonic() + SECONDS
        with (
            caged(server.pid, TIMES_BODY * LARGEST + MORE_BYTES),
            good_requests_to(server),
            health_of(server) as tell,
        ):
            while not harms or time.monotonic() < until:
                bombs = source.sample(BOMBS, len(BOMBS))
                harms += [throw(server, bomb) for bomb in bombs]
            beside = tell()
        end_well(server)
    record_property("bombs", len(harms))
    record_property("kinds", len(BOMBS))
    record_property("grown_mb", max(harm.grown for harm in harms) // MEGABYTE)
    record_property("p99_us", int(beside.p99 * 1e6))
    record_property("slowest_us", int(beside.worked[-1] * 1e6))

    assert [fault for harm in harms for fault in harm.faults] == []
    assert beside.p99 <= MOST_SECONDS
