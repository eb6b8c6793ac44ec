"""What all replicas shall serve, kept in Redis where each compares it with what it serves.

Pub/sub forgets, clocks differ and Redis may be empty after an outage; so what is wanted is kept,
with a generation that only grows:

- `NAME:generation` is the number of the last one, of whatever models;
- `NAME:state:N` is what was wanted with that number;
- `NAME:wanted:TOPIC`, for each topic that it is about, is the number of the last one about it.

All of it is written in one transaction that fails if another was written meanwhile. Who finds less
than it knows puts that back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ml_pipeline.cache.redis_endpoint import CONNECT_SECONDS, RedisEndpoint, pack
from ml_pipeline.cache.redis_errors import RedisFailure, RefusedReply
from ml_pipeline.cache.redis_link import RedisLink
from ml_pipeline.replicas.broadcast import PREFIX
from ml_pipeline.replicas.signature import Signature

TRIES = 5
"""Of a transaction that others come before."""


SHORTEST_SECONDS = 60
"""For which something is put back, however old it is."""


class Look(NamedTuple):
    """What was found.

    Attributes:
        generation: The highest that is about the topics; 0 where there is none.
        state: What was wanted with it; None where it is gone.
        age_seconds: Of that state, by Redis' clock.
    """

    generation: int
    state: bytes | None
    age_seconds: float = 0.0


class Wanted:
    """Event loop only. Mutable state: the connection, used by one at a time.

    Args:
        endpoint: Where Redis is.
        name: Of what is kept.
        signature: Of all of it.
        kept_seconds: How long it is kept.
    """

    def __init__(
        self,
        endpoint: RedisEndpoint,
        name: str,
        signature: Signature,
        *,
        kept_seconds: int,
    ) -> None:
        self._name = f"{PREFIX}:{name}"
        self._database = endpoint.database
        self._signature = signature
        self._kept_seconds = kept_seconds
        self._link = RedisLink(endpoint)
        self._turn = asyncio.Lock()

    async def look(self, topics: Sequence[str]) -> Look:
        """Look what is wanted last of these, with its age.

        It is read each time, known or not: a full Redis throws out what nobody asks for.

        Raises:
            RedisFailure: It could not be asked for.
        """
        async with self._turn:
            _, *numbers = await self._numbers(topics)
            generation = max(numbers, default=0)
            if not generation:
                return Look(0, None)
            return Look(generation, *await self._state(generation))

    async def want(
        self, message_of: Callable[[int], bytes], topics: Sequence[str], above: int
    ) -> int:
        """Keep something new; give its generation, which is above `above` and all that were.

        Args:
            message_of: Writes it with its generation.
            topics: What it is about.
            above: The last that is known.

        Raises:
            RedisFailure: It is not kept.
        """
        async with self._turn:
            for _ in range(TRIES):
                counter, *_ = await self._numbers(topics, watch=True)
                generation = max(counter, above) + 1
                message = message_of(generation)
                if await self._keep(generation, generation, message, topics, self._kept_seconds):
                    return generation
        raise RedisFailure("refused", "others announce without end")

    async def put_back(
        self, generation: int, message: bytes, topics: Sequence[str], age_seconds: float
    ) -> None:
        """Keep again what Redis has lost, as old as it is, unless something newer is there.

        Raises:
            RedisFailure: It is not kept.
        """
        left_seconds = max(round(self._kept_seconds - age_seconds), SHORTEST_SECONDS)
        async with self._turn:
            counter, *numbers = await self._numbers(topics, watch=True)
            if max(numbers, default=0) <= generation:  # else, or if it fails: another was quicker
                counter = max(counter, generation)
                await self._keep(generation, counter, message, topics, left_seconds)

    async def _numbers(self, topics: Sequence[str], *, watch: bool = False) -> list[int]:
        """Read the counter and the number of each topic; 0 where none stands."""
        names = [self._key("generation"), *(self._key(f"wanted:{topic}") for topic in topics)]
        watching = [pack(b"WATCH", names[0].encode())] if watch else []
        look_up = pack(b"MGET", *(name.encode() for name in names))
        values = (await self._ask(*watching, look_up, num_elements=len(names)))[-1]
        return [self._number(name, value) for name, value in zip(names, values, strict=True)]

    def _number(self, name: str, value: object) -> int:
        opened = self._opened(name, value)
        return int(opened) if opened is not None and opened.isdigit() and len(opened) < 18 else 0

    def _opened(self, name: str, value: object) -> bytes | None:
        return self._signature.open(self._place(name), value) if isinstance(value, bytes) else None

    def _place(self, name: str) -> str:
        return f"{self._database}:{name}"

    async def _state(self, generation: int) -> tuple[bytes | None, float]:
        """Give a state, and the seconds since it was put there."""
        name = self._key(f"state:{generation}")
        ask = pack(b"MGET", name.encode()), pack(b"PTTL", name.encode())
        (value,), left_ms = await self._ask(*ask, num_elements=1)
        return self._opened(name, value), max(0.0, self._kept_seconds - left_ms / 1000.0)

    async def _keep(
        self,
        generation: int,
        counter: int,
        message: bytes,
        topics: Sequence[str],
        left_seconds: int,
    ) -> bool:
        """Write all of it, unless something was written since the counter was read."""
        number = str(generation).encode()
        commands = [
            self._set("generation", str(counter).encode(), self._kept_seconds),
            *(self._set(f"wanted:{topic}", number, left_seconds) for topic in topics),
            self._set(f"state:{generation}", message, left_seconds),
        ]
        if not self._link.is_usable:  # a new connection would watch nothing
            raise RedisFailure("connection", "lost between two commands")
        replies = await self._ask(
            pack(b"MULTI"), *commands, pack(b"EXEC"), num_elements=len(commands)
        )
        return replies[-1] is not None

    def _set(self, name: str, value: bytes, seconds: int) -> bytes:
        key = self._key(name)
        signed = self._signature.sign(self._place(key), value)
        return pack(b"SET", key.encode(), signed, b"EX", seconds)

    async def _ask(self, *commands: bytes, num_elements: int) -> list[Any]:
        replies = await self._link.exchange(commands, len(commands), CONNECT_SECONDS, num_elements)
        done = replies[-1] if isinstance(replies[-1], list) else []
        for reply in (*replies, *done):
            if isinstance(reply, RefusedReply):
                self._link.drop()  # and with it a transaction
                raise self._link.failure(reply)
        return replies

    def _key(self, name: str) -> str:
        return f"{self._name}:{name}"

    async def aclose(self) -> None:
        """Disconnect; idempotent."""
        self._link.drop()
