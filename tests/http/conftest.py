"""The event loop of the real server, a listener in it, and the real server."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from tests.http.serving import Site, serving
from tests.server import Server, end_well


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run these tests in the loop that serves in earnest."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A listener that takes bodies of 1,000 bytes and 100 connections."""
    async with serving(Site()) as site:
        yield site


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The real server, with a bound of 4,096 bytes; no test leaves a traceback in its log."""
    with Server(MAX_BODY_BYTES="4096", ACCESS_LOG="all", ALLOWED_HOSTS="*") as running:
        yield running
        end_well(running)
