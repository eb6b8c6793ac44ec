"""Models whose rows were found not to stay apart: known here, and on every replica.

What is told is the model's first identity, which its answers' keys are made of: whoever serves the
same runs it alone from then on, and looks for its answers under other keys. The message is kept in
Redis for longer than any answer is, so that replicas that were cut off, or start later, learn of
it; those that know of it put it back whenever they begin to listen.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.log import get_logger

LEAST_KEPT_SECONDS = 30 * 86_400
"""Of a disproof, however short-lived answers are: found again, it would have cost wrong answers."""

RENEW_SECONDS = 600.0
"""After which the message is put back, as a full Redis may have thrown it out."""

TELL_AGAIN_SECONDS = 5.0
"""After which it is told again where that failed."""

RECALL_SECONDS = 0.5
"""Longest wait for what is kept while models are loaded: no start waits for a dead Redis. What was
not told by then is looked up when messages are heard."""


class Disproved(msgspec.Struct, frozen=True):
    """What is told.

    Attributes:
        replica: Who.
        model: Name and version, for people.
        identity: The first, hex.
        reason: In words.
    """

    replica: str
    model: str
    identity: str
    reason: str


class Board(Protocol):
    """Sends to all replicas, and keeps messages under topics; what it cannot do, it raises."""

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        """Send, and keep."""
        ...

    async def kept(self, topics: Sequence[str]) -> list[bytes]:
        """Give what is kept."""
        ...


_decoder = msgspec.json.Decoder(Disproved)


class Disproofs:
    """Event loop only. Mutable state: what is being told; what is known is the repository's.

    Args:
        repository: The models.
        replica: A name that no other replica has.

    Attributes:
        board: Set when there is somebody to tell.
    """

    def __init__(self, repository: Repository, replica: str) -> None:
        self._repository = repository
        self._replica = replica
        self._telling: set[asyncio.Task[None]] = set()
        self.board: Board | None = None
        repository.recall = self._recall
        repository.on_disproved = self._on_disproved

    @property
    def reason(self) -> str:
        """Which served models are concerned, and why; empty if none are."""
        return "; ".join(map(_in_words, filter(_is_disproved, self._repository.models)))

    def topics(self) -> list[str]:
        """First identities of the models that are served."""
        return [model.first_identity.hex() for model in self._repository.models]

    async def on_message(self, message: bytes, kept: bool) -> None:
        """Follow what another replica found.

        Args:
            message: As published.
            kept: Whether it was asked for, so that it is about a model of this replica's.
        """
        try:
            told = _decoder.decode(message)
            identity = bytes.fromhex(told.identity)
        except (ValueError, TypeError):  # TypeError: no bytes at all
            get_logger().warning("disproof_unreadable")
            return
        if kept or told.identity in self.topics():
            for model in self._repository.disprove(identity, told.reason):
                _log(model, told.replica)

    async def on_listening(self) -> None:
        """Tell what is known: it may not have been told yet, or not be kept any more."""
        for model in filter(_is_disproved, self._repository.models):
            await self._tell(model)

    def _on_disproved(self, model: Model) -> None:
        """Tell what service has found here."""
        _log(model, self._replica)
        task = asyncio.create_task(self._tell_for_sure(model))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_for_sure(self, model: Model) -> None:
        told = await self._tell(model)
        while not told:
            await asyncio.sleep(TELL_AGAIN_SECONDS)
            told = await self._tell(model)

    async def _tell(self, model: Model) -> bool:
        if self.board is None:
            return True
        identity = model.first_identity.hex()
        name = f"{model.name}/{model.version}"
        news = Disproved(self._replica, name, identity, model.disproof)
        try:
            await self.board.publish(msgspec.json.encode(news), [identity])
        except Exception as error:  # whatever the way to the others is, this replica knows
            get_logger().warning("disproof_not_published", reason=str(error))
            return False
        return True

    async def _recall(self, models: list[Model]) -> None:
        """Learn what others have found of models that do not answer yet."""
        if self.board is None:
            return
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                kept = await self.board.kept([model.first_identity.hex() for model in models])
        except Exception:  # Redis is away: it is looked up again when messages are heard
            return
        for message in kept:
            await self.on_message(message, True)

    async def aclose(self) -> None:
        """Finish telling, as far as that goes at once; idempotent."""
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=RECALL_SECONDS)
            for task in late:
                task.cancel()


def _is_disproved(model: Model) -> bool:
    return bool(model.disproof)


def _in_words(model: Model) -> str:
    graph = model.graph.batching
    doubt = f" ({graph.node} {graph.reason})" if graph.node else ""
    return f"{model.name}/{model.version}: {model.disproof}{doubt}"


def _log(model: Model, replica: str) -> None:
    get_logger().warning(
        "batching_disproved",
        model=model.name,
        version=model.version,
        reason=model.disproof,
        found_by=replica,
    )
