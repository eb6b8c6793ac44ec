"""Bombs that come slowly: six clients that each send 10 kB a second keep nobody waiting."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from ml_pipeline.settings import BUNDLED_MODELS
from tests.bombs.health import health_of
from tests.bombs.table import BATCH, INFER, PACKED, PREDICT, array32, fill, gzipped, packed, post
from tests.server import Server, end_well

BYTES_A_SECOND, PIECES_A_SECOND = 10_000, 20
ROUNDS, ROUND_SECONDS = 3, 2.0
TIMES, MORE_SECONDS = 2.0, 0.001
"""Of the median with nobody else there, and what a turn may take."""

SLOW = (
    post(PREDICT, fill(b'{"data":[', b"[],", b"[]]}")),
    post(PREDICT, fill(b'{"data":[[', b"1,", b"1]]}")),
    post(INFER, fill(b'{"inputs":[{"name":"float_input","data":[', b"1,", b"1]}]}")),
    post(BATCH, fill(b'{"requests":[', b"{},", b"{}]}")),
    packed(PREDICT, PACKED + array32(10_000_000) + b"\x90" * 10_000_000),
    gzipped(fill(b'{"inputs":[', b"[],", b"[]]}"), level=0),
)


@contextmanager
def slowly(server: Server) -> Iterator[None]:
    """Send all of them at once, a piece after the other."""
    ended = threading.Event()

    def send(data: bytes) -> None:
        size = BYTES_A_SECOND // PIECES_A_SECOND
        with server.connect() as connection, suppress(OSError):
            for start in range(0, len(data), size):
                connection.sendall(data[start : start + size])
                if ended.wait(1 / PIECES_A_SECOND):
                    return

    with ThreadPoolExecutor(len(SLOW)) as pool:
        sending = [pool.submit(send, data) for data in SLOW]
        try:
            yield
        finally:
            ended.set()
        for each in sending:
            each.result()


def median_of_health(server: Server) -> float:
    """Seconds, over a while."""
    with health_of(server) as tell:
        time.sleep(ROUND_SECONDS)
        return median(tell().worked)


def test_slow_bombs_do_not_move_the_median(tmp_path: Path) -> None:
    """By turns with the same server alone."""
    alone, beside = list[float](), list[float]()
    with Server(BUNDLED_MODELS / "wine.onnx", ACCESS_LOG="off") as server:
        median_of_health(server)
        for _ in range(ROUNDS):
            alone.append(median_of_health(server))
            with slowly(server):
                beside.append(median_of_health(server))
        end_well(server)

    assert median(beside) <= TIMES * median(alone) + MORE_SECONDS
