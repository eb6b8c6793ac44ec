"""Servers that run for the whole session, one a set of settings."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests import models
from tests.keys import Keyed, write_keys
from tests.server import Server, end_well
from tests.web import samples
from tests.web.occupied import Occupied

ADMIN_TOKEN = "the-token-of-an-admin"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server as it comes: the bundled wine model, every setting at its default."""
    with Server() as running:
        yield running
        end_well(running)


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    """A client of `server`."""
    return server.client


@pytest.fixture(scope="session")
def strict_server() -> Iterator[Server]:
    """Small limits, two allowed origins, every request logged."""
    with Server(
        MAX_BODY_BYTES="4096",
        MAX_ROWS="20",
        ACCESS_LOG="all",
        CORS_ORIGINS="https://a.example, https://b.example",
    ) as running:
        yield running
        end_well(running)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A folder of models of every kind."""
    folder = tmp_path_factory.mktemp("zoo")
    samples.write_many(folder)
    with Server(folder) as running:
        yield running
        end_well(running)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One session, one request a run, room for two in the queue."""
    path = tmp_path_factory.mktemp("slow") / "slow.onnx"
    path.write_bytes(models.loop_model())
    with Server(
        path, SESSIONS="1", INLINE_BUDGET_US="0", MAX_BATCH_SIZE="1", MAX_QUEUE_SIZE="2"
    ) as running:
        yield running
        end_well(running)


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """Asks for the key of alice or bob, has an admin token, logs every request."""
    path = tmp_path_factory.mktemp("keyed") / "api_keys"
    keys = write_keys(path, "alice", "bob")
    with Server(
        API_KEYS_FILE=str(path), ADMIN_TOKEN=ADMIN_TOKEN, ACCESS_LOG="all", CORS_ORIGINS="*"
    ) as running:
        yield Keyed(running, keys)
        end_well(running)


@pytest.fixture
def occupied(slow: Server) -> Iterator[Occupied]:
    """A busy server; the test ends when all of its requests have."""
    with ThreadPoolExecutor(8) as threads:
        yield Occupied(slow, threads)
