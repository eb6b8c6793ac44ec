"""Reload here, and on every replica: one tells, the others follow and say how it went.

What is told is the content digest of each model, not the model: every replica loads from its own
`MODEL_PATH`. One that ends up with another digest goes on with what it has, and says in `/health`
and `ml_api_reload_behind` that it is behind. Cached answers need nothing: keys hold the digest.
"""

from collections.abc import Sequence
from time import time
from typing import Any, Protocol

import msgspec

from app.engine.model import Model
from app.engine.repository import Repository
from app.errors import InferenceError
from app.log import get_logger


class Reloaded(msgspec.Struct, tag="reloaded"):
    """A replica was told to reload, and did.

    Attributes:
        replica: Who.
        published: Unix seconds.
        digests: Content digest by model name.
    """

    replica: str
    published: float
    digests: dict[str, str]


class Followed(msgspec.Struct, tag="followed"):
    """Another replica heard of it.

    Attributes:
        replica: Who.
        leader: Whom it followed.
        behind: Why it still serves something else; empty when it does not.
    """

    replica: str
    leader: str
    behind: str


class Publisher(Protocol):
    """Sends to all replicas, and keeps the message for who is about a topic; or raises."""

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        """Send."""
        ...


_decoder = msgspec.json.Decoder(Reloaded | Followed)


class Reloader:
    """Event loop only. Mutable state: when the models were last read, why this is behind, and
    whether a reload is still to be announced.

    Args:
        repository: The models.
        replica: A name that no other replica has.

    Attributes:
        behind: Why this replica serves other models than were announced; empty when it does not.
        publisher: Set when there is somebody to tell.
    """

    def __init__(self, repository: Repository, replica: str) -> None:
        self._repository = repository
        self._replica = replica
        self._read_at = 0.0
        self._unannounced = False
        self.behind = ""
        self.publisher: Publisher | None = None

    async def reload(self) -> list[Model]:
        """Reload here, then tell the others.

        Raises:
            InferenceError: What `Repository.reload` raises; nobody is told.
        """
        loaded = await self.reload_here()
        self.behind = ""
        await self._announce()
        return loaded

    async def reload_here(self) -> list[Model]:
        """Reload this replica's models.

        Raises:
            InferenceError: What `Repository.reload` raises.
        """
        read_at = time()
        loaded = await self._repository.reload()
        self._read_at = read_at
        log_loaded(loaded)
        return loaded

    def topics(self) -> list[str]:
        """Names of the models, whose announcements are of interest."""
        return list(self._digests())

    async def on_listening(self) -> None:
        """Announce what could not be announced before."""
        if self._unannounced:
            await self._announce()

    async def _announce(self) -> None:
        digests = self._digests()
        news = Reloaded(self._replica, time(), digests)
        self._unannounced = not await self._publish(news, list(digests))

    async def on_message(self, message: bytes, kept: bool) -> None:
        """Follow what another replica announced; log how others followed this one.

        Args:
            message: As published.
            kept: Whether it was announced before this replica listened.
        """
        try:
            news = _decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError):  # TypeError: no bytes at all
            get_logger().warning("reload_message_unreadable")
            return
        if isinstance(news, Followed):
            if news.leader == self._replica:
                _log_followed(news)
        elif news.replica != self._replica and not (kept and news.published <= self._read_at):
            await self._follow(news)

    async def _follow(self, news: Reloaded) -> None:
        if not news.digests.keys() & self._digests().keys():
            return  # other models: other replicas that use the same Redis
        failure = ""
        if news.digests != self._digests():
            try:
                await self.reload_here()
            except InferenceError as error:
                failure = error.detail
            except Exception as error:  # nobody waits for this reload, so it must tell by itself
                failure = type(error).__name__
                get_logger().error("reload_failed", exc_info=error)
        difference = self._difference(news)
        self.behind = f"{difference}; {failure}".removesuffix("; ") if difference else ""
        self._unannounced = False  # newer news than its own
        followed = Followed(self._replica, news.replica, self.behind)
        _log_followed(followed)
        await self._publish(followed, [])

    def _digests(self) -> dict[str, str]:
        return {model.name: model.digest for model in self._repository.models}

    def _difference(self, news: Reloaded) -> str:
        """Name the first model that is not as announced."""
        here = self._digests()
        for name, digest in news.digests.items():
            if here.get(name) != digest:
                found = here.get(name, "none")
                return f"{name}: expected digest {digest[:12]}, found {found[:12]}"
        return ""

    async def _publish(self, news: Reloaded | Followed, topics: list[str]) -> bool:
        """Send, if there is somebody to send to; False if that failed."""
        if self.publisher is None:
            return True
        try:
            await self.publisher.publish(msgspec.json.encode(news), topics)
        except Exception as error:  # whatever the way to the others is, this replica has reloaded
            get_logger().warning("reload_not_published", reason=str(error))
            return False
        return True


def _log_followed(news: Followed) -> None:
    if news.behind:
        get_logger().warning("replica_behind", replica=news.replica, reason=news.behind)
    else:
        get_logger().info("replica_reloaded", replica=news.replica)


def log_loaded(models: list[Model]) -> None:
    """Write a line a loaded model, with a warning where batching is off."""
    for model in models:
        fields: dict[str, Any] = {
            "model": model.name,
            "version": model.version,
            "digest": model.digest[:12],
            "seconds": round(model.load_seconds, 3),
        }
        get_logger().info("model_loaded", **fields)
        if model.batching_reason is not None:
            get_logger().warning("batching_off", model=model.name, reason=model.batching_reason)
