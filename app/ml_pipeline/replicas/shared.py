"""What replicas share where there is a Redis: answers, what shall be served, batches disproved."""

import asyncio
from collections.abc import Callable
from functools import partial

from ml_pipeline.cache.base import RedisStatistics
from ml_pipeline.cache.redis import RedisCache
from ml_pipeline.cache.redis_endpoint import RedisEndpoint
from ml_pipeline.log import get_logger
from ml_pipeline.replicas.broadcast import Broadcast
from ml_pipeline.replicas.disproofs import LEAST_KEPT_SECONDS, RENEW_SECONDS, Disproofs
from ml_pipeline.replicas.reload import KEPT_SECONDS, Reloader
from ml_pipeline.replicas.signature import Signature
from ml_pipeline.replicas.wanted import Wanted


class Shared:
    """All that speaks to one Redis; opened and closed together. Event loop only.

    Args:
        url: Where it is.
        token: The admin's, by which announcements are signed; empty = they are not.
        reloader: Told of reloads, and given the way to tell of them.
        disproofs: Likewise, of batches that were disproved.
        timeout_seconds: Longest wait for an answer.
        always: Whether it is asked though that does not pay.
        longest_ttl_seconds: Of any answer that is stored.
        on_round_trip: Told the operation and seconds of each.

    Attributes:
        cache: Answers by key.

    Raises:
        ValueError: The URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        reloader: Reloader,
        disproofs: Disproofs,
        *,
        timeout_seconds: float,
        always: bool,
        longest_ttl_seconds: int,
        on_round_trip: Callable[[str, float], None],
    ) -> None:
        endpoint = RedisEndpoint(url)
        self.cache = RedisCache(
            endpoint,
            timeout_seconds=timeout_seconds,
            always=always,
            on_change=_log_redis,
            on_round_trip=on_round_trip,
        )
        self._signature = Signature(token, _log_not_signed)
        self._reloader = reloader
        join = partial(Broadcast, endpoint, self._signature)
        reloads = join("reload", reloader, _log_listening, kept_seconds=KEPT_SECONDS)
        disproved = join(
            "disproof",
            disproofs,
            _log_listening,
            kept_seconds=max(LEAST_KEPT_SECONDS, longest_ttl_seconds),
            renew_seconds=RENEW_SECONDS,
        )
        self._broadcasts = (reloads, disproved)
        self._wanted = Wanted(endpoint, "reload", self._signature, kept_seconds=KEPT_SECONDS)
        reloader.publisher, reloader.board = reloads, self._wanted
        disproofs.board = disproved

    async def connect(self) -> None:
        """Connect, or begin to try."""
        await self.cache.start()

    def follow(self) -> asyncio.Task[None]:
        """Listen to the other replicas; give the task that compares with them, for ever."""
        for broadcast in self._broadcasts:
            broadcast.start(self.cache.wait_connected)
        return asyncio.create_task(self._reloader.keep_up(self.cache.wait_connected))

    async def stop_listening(self) -> None:
        """Hear no more; idempotent."""
        for broadcast in self._broadcasts:
            await broadcast.aclose()

    async def aclose(self) -> None:
        """Disconnect what announces; the cache is closed by who was given it. Idempotent."""
        await self._wanted.aclose()

    @property
    def misfit(self) -> str:
        """Why what the URL leads to can never be used; empty unless that is known."""
        return self.cache.misfit

    @property
    def reason(self) -> str:
        """Why Redis cannot be asked just now, in words; empty when it can."""
        return self.cache.reason

    @property
    def not_heard(self) -> str:
        """Why the other replicas are not heard just now; empty when they are."""
        return next((each.reason for each in self._broadcasts if each.reason), "")

    def statistics(self) -> RedisStatistics:
        """Tell how it goes."""
        num_not_signed = self._signature.num_refused
        return self.cache.redis_statistics()._replace(num_not_signed=num_not_signed)


def _log_listening(reason: str) -> None:
    if reason:
        get_logger().warning("reloads_not_heard", reason=reason)
    else:
        get_logger().info("reloads_heard")


def _log_not_signed(place: str) -> None:
    get_logger().warning("announcement_not_signed", place=place)


def _log_redis(found: bool, reason: str) -> None:
    if found:
        get_logger().info("redis_connected")
    else:
        get_logger().warning("redis_lost", reason=reason)
