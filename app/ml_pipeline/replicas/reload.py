"""Reload here, and on every replica: one tells what all shall serve, the others compare.

What is told is the content digest of each model, not the model: every replica loads from its own
`MODEL_PATH`. What is wanted is kept in Redis with a generation that only grows, and each replica
looks every few seconds whether it serves that; that it is published as well only makes it quick.
What was announced before a replica began to load is not followed, as its files are younger than
that. One that ends up with another digest goes on with what it has, says in `/health` and
`ml_api_reload_behind` that it is behind, and tries again. Cached answers need nothing: keys hold
the digest.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic

import msgspec

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.errors import InferenceError
from ml_pipeline.log import get_logger
from ml_pipeline.replicas.announcements import (
    Board,
    Followed,
    Found,
    Known,
    Publisher,
    Reloaded,
    Span,
    read,
)
from ml_pipeline.replicas.served import Served

KEPT_SECONDS = 30 * 86_400
"""Of what is wanted. Whoever knows of it puts it back when it is gone."""

COMPARE_SECONDS = 2.0
"""Between two looks, with jitter: a replica that missed an announcement is behind for as long."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 600.0
"""After which a replica that is behind tries again, as the file may have come meanwhile: doubles
while it has not, because a load disturbs those who are answered."""


class Reloader:
    """Event loop only. Mutable state: the last announcement that is known, why this replica is
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
        self._served = Served(repository)
        self._replica = replica
        self._known = Known(replica)
        self._untold, self._changed_at = "", 0.0
        self._unseen = ""
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
        """Load the models.

        Raises:
            InferenceError: What `Repository.reload` raises.
        """
        self._known = Known(self._replica)
        await self._served.reload()

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
        loaded = await self._served.reload()
        await self._announce()
        return loaded

    async def load(self, name: str) -> list[Model]:
        """Load one model here, then tell the others.

        Raises:
            InferenceError: What `Repository.load` raises; nobody is told.
        """
        loaded = await self._served.load(name)
        await self._announce()
        return loaded

    async def unload(self, name: str) -> None:
        """Take one model out here, then tell the others.

        Raises:
            InferenceError: What `Repository.unload` raises; nobody is told.
        """
        await self._served.unload(name)
        await self._announce()

    def topics(self) -> list[str]:
        """None: what is wanted is not kept with the messages."""
        return []

    async def on_listening(self) -> None:
        """Compare at once: something may have been published before."""
        await self.compare()

    async def on_message(self, message: bytes, kept: bool) -> None:
        """Compare because another replica announced something; log how others followed this one.

        What shall be served is read where it is kept, as whenever it is compared: a message that is
        delivered late, or said again, is of no effect.

        Args:
            message: As published.
            kept: Never: there are no topics.
        """
        news = read(message)
        if isinstance(news, Followed):
            if (news.leader, news.generation) == (self._replica, self._known.generation):
                _log_followed(news)
        elif news is not None and news.replica != self._replica:
            await self.compare()

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
        asked_at = monotonic()
        found = await board.look(self._served.names)
        told = Span(asked_at - found.age_seconds, monotonic() - found.age_seconds)
        news = _announced(found)
        if self._untold and (news is None or told.latest < self._changed_at):
            await self._tell()
        elif news is None:
            if found.generation > self._known.generation:
                gone = f"announcement {found.generation}: expected it in Redis, found it gone"
                self.behind = gone
            else:
                await self._put_back(board)
        elif not self._known.is_same(news):
            await self._learn(board, news, told)
        wanted, due = self._known.to_follow, monotonic() >= self._try_again_at
        if wanted is not None and due and not self._untold and self._served.difference(wanted):
            await self._follow(wanted)

    async def _learn(self, board: Board, news: Reloaded, told: Span) -> None:
        """Take an announcement that is not known yet for what it is: new, old or this one's own."""
        known, own = self._known, news.replica == self._replica
        if own and news.digests == self._served.digests:
            known.take(news, told.latest, True)  # kept, though Redis' answer never came
            self._untold = ""
            return
        if not own and known.is_older(news, told):
            known.take(news, told.latest, True)
            self._untold, self._pause_seconds = "", FIRST_PAUSE_SECONDS
            await self._follow(news)
            return
        if news.generation > known.generation and (own or known.news is not None):
            await self._tell()  # what stands there is older, whatever its number is
        elif known.news is None:
            known.take(news, told.latest, False)
        else:
            await self._put_back(board)

    async def _put_back(self, board: Board) -> None:
        """Keep what is known where Redis has lost it."""
        news = self._known.news
        if news is not None:
            message, age_seconds = msgspec.json.encode(news), self._known.age_seconds
            await board.put_back(news.generation, message, news.topics, age_seconds)

    async def _announce(self) -> None:
        """Want what is served here now."""
        self.behind, self._changed_at = "", monotonic()
        async with self._turn:
            self._untold = "it was just made"
            await self._tell()

    async def _tell(self) -> None:
        """Keep what is served here as what is wanted, then publish it."""
        if self.board is None:
            self._untold = ""
            return
        news = self._served.announcement(self._replica)

        def message_of(generation: int) -> bytes:
            news.generation = generation
            return msgspec.json.encode(news)

        try:
            await self.board.want(message_of, news.topics, self._known.generation)
        except Exception as error:  # whatever the way to the others is, this replica has reloaded
            if self._untold != str(error):
                get_logger().warning("reload_not_published", reason=str(error))
            self._untold = str(error) or type(error).__name__
            return
        self._untold = ""
        self._known.take(news, self._changed_at, True)
        await self._publish(news)

    async def _follow(self, news: Reloaded) -> None:
        failure, before = "", self.behind
        if news.digests != self._served.digests:
            try:
                await self._served.become(news)
            except InferenceError as error:
                failure = error.detail
            except Exception as error:  # nobody waits for this reload, so it must tell by itself
                failure = type(error).__name__
                get_logger().error("reload_failed", exc_info=error)
        difference = self._served.difference(news)
        self.behind = f"{difference}; {failure}".removesuffix("; ") if difference else ""
        self._try_again_at = monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        if not (self.behind and self.behind == before):  # tried again, and told already
            followed = Followed(self._replica, news.replica, news.generation, self.behind)
            _log_followed(followed)
            await self._publish(followed)

    async def _publish(self, news: Reloaded | Followed) -> None:
        """Make it quick; who does not hear it compares."""
        if self.publisher is None:
            return
        try:
            await self.publisher.publish(msgspec.json.encode(news), [])
        except Exception as error:  # it is kept all the same
            get_logger().debug("reload_not_heard", reason=str(error))


def _announced(found: Found) -> Reloaded | None:
    """Read what was found; None where it is gone, or is not what its number says."""
    news = read(found.state) if found.state is not None else None
    is_right = isinstance(news, Reloaded) and news.generation == found.generation
    return news if is_right and isinstance(news, Reloaded) else None


def _log_followed(news: Followed) -> None:
    if news.behind:
        get_logger().warning("replica_behind", replica=news.replica, reason=news.behind)
    else:
        get_logger().info("replica_reloaded", replica=news.replica)
