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

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from app.cache.broadcast import PREFIX
from app.cache.redis_link import CONNECT_SECONDS, RedisFailure, RedisLink, pack
from app.cache.signature import Signature

TRIES = 5
"""Of a transaction that others come before."""


class Look(NamedTuple):
    """What was found.

    Attributes:
        generation: The highest that is about the topics; 0 where there is none.
        state: What was wanted with it, if it is newer than what is known and was found.
        lost: Whether less was found than is known.
        age_seconds: Of that state, by Redis' clock.
    """

    generation: int
    state: bytes | None
    lost: bool
    age_seconds: float = 0.0


class Wanted:
    """Event loop only. Mutable state: the connection, used by one at a time.

    Args:
        pool: Connections.
        url: Where they lead, for its password not to be told.
        name: Of what is kept.
        signature: Of all of it.
        kept_seconds: How long it is kept.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        url: str,
        name: str,
        signature: Signature,
        *,
        kept_seconds: int,
    ) -> None:
        self._name = f"{PREFIX}:{name}"
        self._database = pool.connection_kwargs.get("db") or 0
        self._signature = signature
        self._kept_seconds = kept_seconds
        self._link = RedisLink(pool, url)
        self._turn = asyncio.Lock()

    async def generation(self) -> int:
        """Give the number of the last one, of whatever models.

        Raises:
            RedisFailure: It could not be asked for.
        """
        async with self._turn:
            counter, *_ = await self._numbers([])
        return counter

    async def look(self, topics: Sequence[str], known: int) -> Look:
        """Look whether there is something newer than is known, or less.

        Raises:
            RedisFailure: It could not be asked for.
        """
        async with self._turn:
            _, *numbers = await self._numbers(topics)
            generation = max(numbers, default=0)
            # What is known is looked at too: a full Redis throws out what nobody asks for.
            newest = max(generation, known)
            state, age_seconds = await self._state(newest) if newest else (None, 0.0)
        if generation > known:
            return Look(generation, state, False, age_seconds)
        return Look(generation, None, generation < known or state is None)

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
                if await self._keep(generation, generation, message_of(generation), topics):
                    return generation
        raise RedisFailure("refused", "others announce without end")

    async def put_back(self, generation: int, message: bytes, topics: Sequence[str]) -> None:
        """Keep again what Redis has lost, unless something newer is there.

        Raises:
            RedisFailure: It is not kept.
        """
        async with self._turn:
            counter, *numbers = await self._numbers(topics, watch=True)
            if max(numbers, default=0) <= generation:  # else, or if it fails: another was quicker
                await self._keep(generation, max(counter, generation), message, topics)

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
        self, generation: int, counter: int, message: bytes, topics: Sequence[str]
    ) -> bool:
        """Write all of it, unless something was written since the counter was read."""
        number = str(generation).encode()
        values = {self._key("generation"): str(counter).encode()}
        values |= {self._key(f"wanted:{topic}"): number for topic in topics}
        values[self._key(f"state:{generation}")] = message
        commands = [
            pack(
                b"SET",
                name.encode(),
                self._signature.sign(self._place(name), value),
                b"EX",
                self._kept_seconds,
            )
            for name, value in values.items()
        ]
        if not self._link.is_usable:  # a new connection would watch nothing
            raise RedisFailure("connection", "lost between two commands")
        replies = await self._ask(
            pack(b"MULTI"), *commands, pack(b"EXEC"), num_elements=len(commands)
        )
        return replies[-1] is not None

    async def _ask(self, *commands: bytes, num_elements: int) -> list[Any]:
        replies = await self._link.exchange(commands, len(commands), CONNECT_SECONDS, num_elements)
        done = replies[-1] if isinstance(replies[-1], list) else []
        for reply in (*replies, *done):
            if isinstance(reply, ResponseError):
                await self._link.drop()  # and with it a transaction
                raise self._link.failure(reply)
        return replies

    def _key(self, name: str) -> str:
        return f"{self._name}:{name}"

    async def aclose(self) -> None:
        """Disconnect; idempotent."""
        await self._link.drop()
