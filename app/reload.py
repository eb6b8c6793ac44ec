"""Reload here, and on every replica: one tells what all shall serve, the others compare.

What is told is the content digest of each model, not the model: every replica loads from its own
`MODEL_PATH`. What is wanted is kept in Redis with a generation that only grows, and each replica
looks every few seconds whether it serves that; that it is published as well only makes it quick.
One that ends up with another digest goes on with what it has, says in `/health` and
`ml_api_reload_behind` that it is behind, and tries again. Cached answers need nothing: keys hold
the digest.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from time import monotonic
from typing import Any

import msgspec

from app.announcements import Board, Followed, Publisher, Reloaded, read
from app.engine.model import Model
from app.engine.repository import Repository
from app.errors import InferenceError
from app.log import get_logger

KEPT_SECONDS = 30 * 86_400
"""Of what is wanted. Whoever knows of it puts it back when it is gone."""

COMPARE_SECONDS = 2.0
"""Between two looks, with jitter: a replica that missed an announcement is behind for as long."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 600.0
"""After which a replica that is behind tries again, as the file may have come meanwhile: doubles
while it has not, because a load disturbs those who are answered."""

RECALL_SECONDS = 0.5
"""Longest wait of a start for the number of the last announcement, however dead Redis is."""


class Reloader:
    """Event loop only. Mutable state: what is wanted, as far as it is known, why this replica is
    behind it, and why what this one wants could not be told yet.

    Args:
        repository: The models.
        replica: A name that no other replica has.

    Attributes:
        behind: Why this replica serves other models than are wanted; empty when it does not.
        publisher: Set when there is somebody to tell.
        board: Likewise.
    """

    def __init__(self, repository: Repository, replica: str) -> None:
        self._repository = repository
        self._replica = replica
        self._generation = 0
        self._wanted: Reloaded | None = None
        self._untold, self._changed_at = "", 0.0
        self._unseen = ""
        self._names: set[str] = set()  # of all models so far
        self._try_again_at, self._pause_seconds = 0.0, FIRST_PAUSE_SECONDS
        self._turn = asyncio.Lock()  # of following: one after the other
        self.behind = ""
        self.publisher: Publisher | None = None
        self.board: Board | None = None

    @property
    def reason(self) -> str:
        """Why replicas may serve different models, as far as is known; empty if they do not."""
        if self.behind or not (self._untold or self._unseen):
            return self.behind
        if self._untold:
            return f"the other replicas do not know of the last change yet: {self._untold}"
        return f"what is wanted cannot be read: {self._unseen}"

    async def start(self) -> None:
        """Load the models; what was announced before is not followed, as it is older than that.

        Raises:
            InferenceError: What `Repository.reload` raises.
        """
        if self.board is not None:
            try:
                async with asyncio.timeout(RECALL_SECONDS):
                    self._generation = await self.board.generation()
            except Exception:  # Redis is away: what it has then is followed
                pass
        await self._reload_here()
        self._names.update(self._topics())

    async def keep_up(self, wait_connected: Callable[[], Awaitable[None]]) -> None:
        """Compare for ever, whenever Redis can be asked."""
        while True:
            await asyncio.sleep(COMPARE_SECONDS * (0.75 + 0.5 * random.random()))
            await wait_connected()
            await self.compare()

    async def reload(self) -> list[Model]:
        """Reload here, then tell the others.

        Raises:
            InferenceError: What `Repository.reload` raises; nobody is told.
        """
        loaded = await self._reload_here()
        await self._announce()
        return loaded

    async def load(self, name: str) -> list[Model]:
        """Load one model here, then tell the others.

        Raises:
            InferenceError: What `Repository.load` raises; nobody is told.
        """
        loaded = await self._repository.load(name)
        log_loaded(loaded)
        await self._announce()
        return loaded

    async def unload(self, name: str) -> None:
        """Take one model out here, then tell the others.

        Raises:
            InferenceError: What `Repository.unload` raises; nobody is told.
        """
        await self._repository.unload(name)
        get_logger().info("model_unloaded", model=name)
        await self._announce()

    async def _reload_here(self, unloaded: Sequence[str] = ()) -> list[Model]:
        loaded = await self._repository.reload(unloaded)
        log_loaded(loaded)
        return loaded

    def topics(self) -> list[str]:
        """None: what is wanted is not kept with the messages."""
        return []

    async def on_listening(self) -> None:
        """Compare at once: something may have been published before."""
        await self.compare()

    async def on_message(self, message: bytes, kept: bool) -> None:
        """Follow what another replica announced; log how others followed this one.

        Args:
            message: As published.
            kept: Never: there are no topics.
        """
        news = read(message)
        if isinstance(news, Followed):
            if (news.leader, news.generation) == (self._replica, self._generation):
                _log_followed(news)
        elif news is not None and self._is_new(news):
            async with self._turn:
                await self._hear(news)

    async def compare(self) -> None:
        """Look whether this replica serves what is wanted, and follow."""
        if self.board is None:
            return
        async with self._turn:
            try:
                await self._compare(self.board)
                self._unseen = ""
            except Exception as error:  # whatever it is, this replica may be behind
                self._unseen = str(error) or type(error).__name__
                get_logger().debug("reload_not_compared", reason=self._unseen)

    async def _compare(self, board: Board) -> None:
        found = await board.look(self._topics(), self._generation)
        newer = found.age_seconds < monotonic() - self._changed_at  # each by a clock of its own
        if self._untold and not (newer and found.state is not None):
            await self._tell()
        elif found.state is not None:
            news = read(found.state)
            if isinstance(news, Reloaded) and news.generation == found.generation:
                await (self._recognise(news) if news.replica == self._replica else self._hear(news))
        elif found.generation > self._generation:
            self.behind = f"announcement {found.generation}: expected it in Redis, found it gone"
        elif found.lost and self._wanted is not None:
            message = msgspec.json.encode(self._wanted)
            await board.put_back(self._wanted.generation, message, self._wanted.topics)
        wanted, due = self._wanted, monotonic() >= self._try_again_at
        if wanted is not None and due and not self._untold and self._difference(wanted):
            await self._follow(wanted)

    async def _recognise(self, news: Reloaded) -> None:
        """Take note that what this replica wants is kept, though Redis' answer never came."""
        self._generation = news.generation
        if news.digests == self._digests():
            self._wanted, self._untold = news, ""
        else:
            await self._tell()

    async def _announce(self) -> None:
        """Want what is served here now."""
        self.behind, self._wanted, self._changed_at = "", None, monotonic()
        async with self._turn:
            self._untold = "it was just made"
            await self._tell()

    async def _tell(self) -> None:
        """Keep what is served here as what is wanted, then publish it."""
        if self.board is None:
            self._untold = ""
            return
        unloaded, gone = self._repository.unloaded, self._names.difference(self._topics())
        self._names.update(self._topics())
        news = Reloaded(self._replica, 0, self._digests(), sorted(unloaded), sorted(gone))

        def message_of(generation: int) -> bytes:
            news.generation = generation
            return msgspec.json.encode(news)

        try:
            self._generation = await self.board.want(message_of, news.topics, self._generation)
        except Exception as error:  # whatever the way to the others is, this replica has reloaded
            if self._untold != str(error):
                get_logger().warning("reload_not_published", reason=str(error))
            self._untold = str(error) or type(error).__name__
            return
        self._untold, self._wanted = "", news
        await self._publish(news)

    def _is_new(self, news: Reloaded) -> bool:
        return news.generation > self._generation and news.replica != self._replica

    async def _hear(self, news: Reloaded) -> None:
        """Follow what is newer; of what is not, or is of other models, take no notice."""
        if not self._is_new(news):
            return
        if set(news.topics).isdisjoint(self._topics()):
            return  # other models: other replicas that use the same Redis
        self._generation, self._wanted, self._untold = news.generation, news, ""
        self._pause_seconds = FIRST_PAUSE_SECONDS
        await self._follow(news)

    async def _follow(self, news: Reloaded) -> None:
        failure, before = "", self.behind
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
        self._names.update(self._topics())
        self._try_again_at = monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        if not (self.behind and self.behind == before):  # tried again, and told already
            followed = Followed(self._replica, news.replica, news.generation, self.behind)
            _log_followed(followed)
            await self._publish(followed)

    async def _catch_up(self, news: Reloaded) -> None:
        """Load or unload the one model that differs; where several do, load everything anew."""
        here, there = self._digests(), news.digests
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        name = differing[0] if len(differing) == 1 else ""
        if name in there and (name in here or name in self._repository.unloaded):
            log_loaded(await self._repository.load(name))
        elif name in news.unloaded:
            await self._repository.unload(name)
        else:
            await self._reload_here(news.unloaded)

    def _topics(self) -> list[str]:
        """Names of the models, whose announcements are of interest."""
        return sorted({*self._digests(), *self._repository.unloaded})

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

    async def _publish(self, news: Reloaded | Followed) -> None:
        """Make it quick; who does not hear it compares."""
        if self.publisher is None:
            return
        try:
            await self.publisher.publish(msgspec.json.encode(news), [])
        except Exception as error:  # it is kept all the same
            get_logger().debug("reload_not_heard", reason=str(error))


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
