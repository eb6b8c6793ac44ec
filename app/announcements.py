"""What replicas tell each other of reloads, and what carries it; who does so is `reload.py`."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from app.log import get_logger


class Reloaded(msgspec.Struct, tag="reloaded"):
    """A replica was told to reload, and did: what all shall serve from now on.

    Attributes:
        replica: Who.
        generation: Higher than of all before.
        digests: Content digest by model name.
        unloaded: Names of models that were taken out.
        gone: Names of models that were served once, and are nowhere any more.
    """

    replica: str
    generation: int
    digests: dict[str, str]
    unloaded: list[str] = []
    gone: list[str] = []

    @property
    def topics(self) -> list[str]:
        """Names of all models that it is about."""
        return sorted({*self.digests, *self.unloaded, *self.gone})


class Followed(msgspec.Struct, tag="followed"):
    """Another replica heard of it.

    Attributes:
        replica: Who.
        leader: Whom it followed.
        generation: Of what it followed.
        behind: Why it still serves something else; empty when it does not.
    """

    replica: str
    leader: str
    generation: int
    behind: str


class Publisher(Protocol):
    """Sends to all replicas that listen; or raises."""

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        """Send."""
        ...


class Found(Protocol):
    """What was found on the board.

    Attributes:
        generation: The highest about the topics.
        state: What was wanted with it, if it is newer than what is known, and there.
        lost: Whether less is there than is known.
        age_seconds: Of that state.
    """

    @property
    def generation(self) -> int: ...

    @property
    def state(self) -> bytes | None: ...

    @property
    def lost(self) -> bool: ...

    @property
    def age_seconds(self) -> float: ...


class Board(Protocol):
    """Keeps what is wanted for all replicas, by topic; what it cannot do, it raises."""

    async def generation(self) -> int:
        """Give the number of the last."""
        ...

    async def look(self, topics: Sequence[str], known: int) -> Found:
        """Look for something newer than what is known, or less."""
        ...

    async def want(
        self, message_of: Callable[[int], bytes], topics: Sequence[str], above: int
    ) -> int:
        """Keep something new, and give its number."""
        ...

    async def put_back(self, generation: int, message: bytes, topics: Sequence[str]) -> None:
        """Keep again what is lost."""
        ...


_decoder = msgspec.json.Decoder(Reloaded | Followed)


def read(message: bytes) -> Reloaded | Followed | None:
    """Read a message; None, with a line in the log, if it cannot be read."""
    try:
        news: Reloaded | Followed = _decoder.decode(message)
        return news
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):  # TypeError: no bytes at all
        get_logger().warning("reload_message_unreadable")
        return None
