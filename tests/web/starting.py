"""A server that listens before its models are loaded, in the process of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from ml_pipeline.build import create_app
from ml_pipeline.command import listen
from ml_pipeline.settings import Settings
from tests.server import free_port


@asynccontextmanager
async def starting_server() -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of it, until the end of the block."""
    settings = Settings(port=free_port())
    listener = await listen(create_app(settings), settings)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}") as client:
        yield client
    listener.stop()
    listener.abort()
    await listener.wait_closed()
