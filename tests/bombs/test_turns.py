"""How long the event loop is held by what is just short of the bounds: no turn of it is long.

The server is in the process of the test, so that the turns of its loop can be measured, in CPU
seconds of its thread. What they may take is told by other work, done by turns with it.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np

from ml_pipeline.build import create_app
from ml_pipeline.command import listen
from ml_pipeline.settings import load_settings
from tests.bombs.table import DENSE, STREAMS, Bomb
from tests.bombs.test_bombs import STATUS
from tests.server import free_port
from tests.turns import Turns
from tests.web.samples import write_shapes

NUMBERS = b"[" + b"1," * 131_000 + b"1]"
BOMBS = (*DENSE, *(bomb for bomb in STREAMS if bomb.name.startswith(("a target", "a query"))))
TIMES = 3
"""Each is sent; the shortest of the longest turns counts, for the garbage of others is in some."""


def yardstick() -> float:
    """CPU seconds of reading 131,000 numbers in one go, 4 ms or so."""
    found = []
    for _ in range(5):
        began = time.thread_time()
        np.asarray(msgspec.json.decode(NUMBERS), np.float32)
        found.append(time.thread_time() - began)
    return min(found)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[int]:
    """The application in this loop; gives its port."""
    port = free_port()
    settings = load_settings({"MODEL_PATH": str(folder), "PORT": str(port), "ACCESS_LOG": "off"})
    app = create_app(settings)
    async with app.lifespan():
        listener = await listen(app, settings)
        try:
            yield port
        finally:
            listener.stop()
            listener.abort()
            await listener.wait_closed()


def throw(port: int, data: bytes) -> int:
    """Send a bomb; gives the status of its answer."""
    with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
        connection.sendall(data)
        found = STATUS.match(connection.recv(65_536))
    assert found is not None
    return int(found[1])


async def longest_turn(port: int, bomb: Bomb) -> float:
    """CPU seconds, the shortest of some times."""
    data, found = bomb.make(), []
    for _ in range(TIMES):
        turns = Turns()
        try:
            status = await asyncio.to_thread(throw, port, data)
        finally:
            turns.stop()
        found.append(turns.longest)
        assert 400 <= status < 500, (bomb.name, status)
    return min(found)


async def test_no_turn_is_long(tmp_path: Path) -> None:
    """None of what is sent holds the loop for as long as 131,000 numbers in one go would."""
    write_shapes(tmp_path)
    async with serving(tmp_path) as port:
        found = {bomb.name: await longest_turn(port, bomb) for bomb in BOMBS}

    assert {name: each for name, each in found.items() if each > yardstick()} == {}
