"""The life of the process: what is opened, started and closed, in the order of the data."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ml_pipeline.api_keys import ApiKeys
from ml_pipeline.cache.base import ResponseCache
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.fronts.http.message import Respond
from ml_pipeline.lifecycle import Lifecycle
from ml_pipeline.log import get_logger
from ml_pipeline.replicas.disproofs import Disproofs
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.settings import SettingsError

if TYPE_CHECKING:
    from ml_pipeline.observe.tracing import Tracing
    from ml_pipeline.replicas.shared import Shared

GC_THRESHOLDS = (50_000, 20, 50)
"""Young collections 70 times as seldom; what start-up made is frozen out of all of them.

Requests make next to no cycles, so a collection finds little (`python -m bench gc_pauses`).
"""


class Application:
    """What answers requests, and what starts and stops it. Nothing is opened before `lifespan`.

    Args:
        respond: Answers a request.
        lifecycle: Where the process stands.
        repository: The models.
        reloader: Loads them.
        disproofs: Models whose rows were found not to stay apart.
        cache: Answers by key.
        keys: API keys; None = predictions are open.
        tracing: None = off.
        shared: What replicas share; None without a Redis.
        drain_timeout_seconds: Longest wait for requests under way.
    """

    def __init__(
        self,
        respond: Respond,
        lifecycle: Lifecycle,
        repository: Repository,
        *,
        reloader: Reloader,
        disproofs: Disproofs,
        cache: ResponseCache,
        keys: ApiKeys | None,
        tracing: "Tracing | None",
        shared: "Shared | None",
        drain_timeout_seconds: float,
    ) -> None:
        self.respond = respond
        self.lifecycle = lifecycle
        self.repository = repository
        self._reloader = reloader
        self._disproofs = disproofs
        self._cache = cache
        self._keys = keys
        self._tracing = tracing
        self._shared = shared
        self._drain_timeout_seconds = drain_timeout_seconds

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the models on entry, drain and close on exit.

        Raises:
            ModelLoadError: A model cannot be served.
            SettingsError: REDIS_URL leads to what cannot be used.
        """
        watching = await self._open()
        _collect_seldom()
        self.lifecycle.ready = True
        yield
        self.lifecycle.begin_drain()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await self._close()

    async def _open(self) -> list[asyncio.Task[None]]:
        """Load the models while Redis is connected to; give what goes on for ever."""
        connecting = [] if self._shared is None else [self._shared.connect()]
        await asyncio.gather(self._reloader.start(), *connecting)
        watching = []
        if self._shared is not None:
            if self._shared.misfit:
                raise SettingsError(f"REDIS_URL: {self._shared.misfit}")
            watching.append(self._shared.follow())
        if self._keys is not None:
            watching.append(asyncio.create_task(self._keys.watch()))
        return watching

    async def _close(self) -> None:
        """Wait for runs under way, then disconnect."""
        if self._shared is not None:
            await self._shared.stop_listening()
        seconds_left = self.lifecycle.drain_seconds_left
        try:
            async with asyncio.timeout(seconds_left(self._drain_timeout_seconds)):
                await self.repository.aclose()
        except TimeoutError:
            get_logger().warning("drain_timed_out", seconds=self._drain_timeout_seconds)
        await self._disproofs.aclose()
        if self._shared is not None:
            await self._shared.aclose()
        await self._cache.aclose()
        if self._tracing is not None:
            await self._tracing.aclose(seconds_left(self._drain_timeout_seconds))


def _collect_seldom() -> None:
    """Collect once, freeze what is left, and turn on what `__main__.py` kept out of the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
