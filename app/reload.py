"""Reload here, and on every replica: one tells, the others follow and say how it went.

What is told is the content digest of each model, not the model: every replica loads from its own
`MODEL_PATH`. One that ends up with another digest goes on with what it has, and says in `/health`
and `ml_api_reload_behind` that it is behind. Cached answers need nothing: keys hold the digest.
"""

from collections.abc import Sequence
from hashlib import sha256
from time import time
from typing import Any, Protocol

import msgspec

from app.engine.model import Model
from app.engine.repository import Repository
from app.errors import InferenceError
from app.log import get_logger

RELOAD_KEPT_SECONDS = 3600
"""Of an announcement, for who was cut off: longer, and it is somebody's to look at."""


class Reloaded(msgspec.Struct, tag="reloaded"):
    """A replica was told to reload, and did.

    Attributes:
        replica: Who.
        published: Unix seconds.
        digests: Content digest by model name.
        unloaded: Names of models that were taken out.
    """

    replica: str
    published: float
    digests: dict[str, str]
    unloaded: list[str] = []


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

    async def load(self, name: str) -> list[Model]:
        """Load one model here, then tell the others.

        Raises:
            InferenceError: What `Repository.load` raises; nobody is told.
        """
        read_at = time()
        loaded = await self._repository.load(name)
        log_loaded(loaded)
        self._read_at, self.behind = read_at, ""
        await self._announce()
        return loaded

    async def unload(self, name: str) -> None:
        """Take one model out here, then tell the others.

        Raises:
            InferenceError: What `Repository.unload` raises; nobody is told.
        """
        await self._repository.unload(name)
        get_logger().info("model_unloaded", model=name)
        self._read_at, self.behind = time(), ""
        await self._announce()

    async def reload_here(self, unloaded: Sequence[str] = ()) -> list[Model]:
        """Reload this replica's models, but for those that are taken out.

        Raises:
            InferenceError: What `Repository.reload` raises.
        """
        read_at = time()
        loaded = await self._repository.reload(unloaded)
        self._read_at = read_at
        log_loaded(loaded)
        return loaded

    def topics(self) -> list[str]:
        """Names of the models, whose announcements are of interest."""
        return sorted({*self._digests(), *self._repository.unloaded})

    async def on_listening(self) -> None:
        """Announce what could not be announced before."""
        if self._unannounced:
            await self._announce()

    async def _announce(self) -> None:
        unloaded = sorted(self._repository.unloaded)
        news = Reloaded(self._replica, time(), self._digests(), unloaded)
        self._unannounced = not await self._publish(news, self.topics())

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
        if {*news.digests, *news.unloaded}.isdisjoint(self.topics()):
            return  # other models: other replicas that use the same Redis
        failure = ""
        if news.digests != self._digests():
            try:
                await self._catch_up(news)
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

    async def _catch_up(self, news: Reloaded) -> None:
        """Load or unload the one model that differs; where several do, load everything anew."""
        here, there = self._digests(), news.digests
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        name = differing[0] if len(differing) == 1 else ""
        read_at = time()
        if name in there and (name in here or name in self._repository.unloaded):
            log_loaded(await self._repository.load(name))
        elif name in news.unloaded:
            await self._repository.unload(name)
        else:
            await self.reload_here(news.unloaded)
        self._read_at = read_at

    def _digests(self) -> dict[str, str]:
        versions: dict[str, list[str]] = {}
        for model in self._repository.models:
            versions.setdefault(model.name, []).append(model.digest)
        return {name: _together(digests) for name, digests in versions.items()}

    def _difference(self, news: Reloaded) -> str:
        """Name the first model that is not as announced."""
        here = self._digests()
        for name, digest in news.digests.items():
            if here.get(name) != digest:
                found = here.get(name, "none")
                return f"{name}: expected digest {digest[:12]}, found {found[:12]}"
        for name in news.unloaded:
            if name in here:
                return f"{name}: expected it to be unloaded, found it served"
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


def _together(digests: list[str]) -> str:
    """One digest for all versions of a model; of a lone one its own."""
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


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
