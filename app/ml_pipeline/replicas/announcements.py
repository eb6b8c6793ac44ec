"""What replicas tell each other of reloads, and what carries it; who does so is `reload.py`."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

import msgspec

from ml_pipeline.log import get_logger


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


class Known:
    """The last announcement that a replica knows. Event loop only.

    Numbers tell which of two is the later one, as long as Redis remembers them. Where it has
    lost them, they begin anew; then the ages tell, which are measured by Redis' clock there and by
    the monotonic one here, so that no two clocks are ever compared.

    Args:
        replica: Who knows it.

    Attributes:
        news: The announcement; None before the first one.
        told_at: When it was made; before the first one, when this replica began to load. Seconds
            of the monotonic clock.
        is_followed: Whether this replica shall serve it: it is younger than what was loaded.
    """

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self.news: Reloaded | None = None
        self.told_at = monotonic()
        self.is_followed = False

    @property
    def generation(self) -> int:
        """Its number; 0 before the first one."""
        return self.news.generation if self.news is not None else 0

    @property
    def age_seconds(self) -> float:
        """How long ago it was made."""
        return monotonic() - self.told_at

    @property
    def to_follow(self) -> Reloaded | None:
        """What this replica shall serve; None where nothing was announced since it loaded."""
        return self.news if self.is_followed else None

    def is_same(self, news: Reloaded) -> bool:
        """Tell whether it is this announcement."""
        known = self.news
        return known is not None and (news.replica, news.generation) == (
            known.replica,
            known.generation,
        )

    def is_older(self, news: Reloaded, told: "Span") -> bool:
        """Tell whether another announcement came after this one.

        One that may have been made since this replica began to load is followed, which does no
        harm if it was not. Of two whose numbers do not tell, another must be younger for sure.
        """
        if self.news is None:
            return told.latest > self.told_at
        if news.generation <= self.generation:
            return told.earliest > self.told_at
        # Its own word was overtaken by an older one, which was put back into an empty Redis.
        return not (self.news.replica == self._replica and told.latest < self.told_at)

    def take(self, news: Reloaded, told_at: float, is_followed: bool) -> None:
        """Know this announcement from now on."""
        self.news, self.told_at, self.is_followed = news, told_at, is_followed


class Span(NamedTuple):
    """When something was told, as far as a round trip lets it be known; monotonic seconds."""

    earliest: float
    latest: float


class Found(Protocol):
    """What was found on the board.

    Attributes:
        generation: The highest about the topics; 0 where there is none.
        state: What was announced with it; None where it is gone.
        age_seconds: How long ago.
    """

    @property
    def generation(self) -> int: ...

    @property
    def state(self) -> bytes | None: ...

    @property
    def age_seconds(self) -> float: ...


class Board(Protocol):
    """Keeps what is wanted for all replicas, by topic; what it cannot do, it raises."""

    async def look(self, topics: Sequence[str]) -> Found:
        """Look for the last announcement about any of these."""
        ...

    async def want(
        self, message_of: Callable[[int], bytes], topics: Sequence[str], above: int
    ) -> int:
        """Keep something new, and give its number."""
        ...

    async def put_back(
        self, generation: int, message: bytes, topics: Sequence[str], age_seconds: float
    ) -> None:
        """Keep again what is lost, as old as it is."""
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
