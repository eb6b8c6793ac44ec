"""The lanes to Redis: some for look-ups (`redis_lookups.py`), one for stores.

A lane is one connection with one round trip under way, which carries all that waits. A lane whose
connection fails connects anew, unless the circuit breaker says that there is no use in it just now.
Beside them a beat asks each second whether Redis is there, and still a master: what is told of it
holds though nobody asks anything, because all is answered from memory.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, NamedTuple

from ml_pipeline.cache.circuit_breaker import CircuitBreaker
from ml_pipeline.cache.redis_endpoint import RedisEndpoint, pack
from ml_pipeline.cache.redis_errors import Kind, RedisFailure, RefusedReply
from ml_pipeline.cache.redis_link import RedisLink
from ml_pipeline.cache.redis_lookups import Lookups, fitting

NUM_READ_LANES = 2
"""Round trips of look-ups under way at a time: one more than the one that is waited for."""

MAX_WRITE_BYTES = 256 * 1024
"""In one round trip: a larger one would keep others waiting."""

WRITE_DELAY_SECONDS = 0.005
"""Stores gather this long, because nobody waits for them: 40 in a write cost 3.4 µs each, 8 cost
9 (`python -m bench micro`)."""

WRITE_BUFFER_BYTES, MAX_VALUE_BYTES = 16 * 1024 * 1024, 1024 * 1024
"""Stores that may wait, and the largest: what is beyond is dropped and counted."""

WRITE_SECONDS = 1.0
"""For a round trip of stores, which nobody waits for."""

REFUSED_PAUSE_SECONDS = 1.0
"""No stores for this long after Redis refused some: it is full, or read-only."""

BEAT_SECONDS = 1.0
"""Between two looks at Redis, each of which may take `CONNECT_SECONDS`."""

AT_ONCE: tuple[Kind, ...] = ("replica", "misfit")
"""Failures that a second try would meet too."""

FLUSH_SECONDS = 1.0
"""Longest wait for the last stores at the end."""


class _Store(NamedTuple):
    name: bytes
    value: bytes
    expires: float


class RedisLanes:
    """Event loop only. Mutable state: what waits, the lanes, the counts.

    Args:
        endpoint: Where Redis is.
        timeout_seconds: For a round trip of look-ups.
        on_change: Told when Redis is lost and found, with the reason.
        on_round_trip: Told each one's operation, `read` or `write`, and seconds.

    Attributes:
        breaker: Its state and reason are for others to read.
        lookups: Asked only while `available`.
        num_failures: By kind.
        num_dropped: Stores that were not made.
        misfit: Why what was found can never be used; empty unless that is so.
    """

    def __init__(
        self,
        endpoint: RedisEndpoint,
        *,
        timeout_seconds: float,
        on_change: Callable[[bool, str], None],
        on_round_trip: Callable[[str, float], None],
    ) -> None:
        self._endpoint = endpoint
        self._on_round_trip = on_round_trip
        self.breaker = CircuitBreaker(self._probe, on_change)
        self.lookups = Lookups(timeout_seconds, self.breaker.succeed, on_round_trip)
        self._stores: list[_Store] = []
        self._stored = asyncio.Event()  # some wait
        self._buffered_bytes = 0
        self._no_writes_before = 0.0
        self._drained = asyncio.Event()
        self._drained.set()
        self._lanes: list[asyncio.Task[None]] = []
        self.num_failures: Counter[str] = Counter()
        self.num_dropped = 0
        self.misfit = ""

    async def start(self) -> None:
        """Connect, or begin to try."""
        await self.breaker.start()
        work = [*[self._read] * NUM_READ_LANES, self._write, self._beat]
        self._lanes = [asyncio.create_task(self._run(task)) for task in work]

    @property
    def available(self) -> bool:
        """Whether Redis can be asked just now."""
        return bool(self.lookups.lanes) and self.breaker.closed

    def store(self, name: bytes, value: bytes, expires: float) -> None:
        """Store behind the answer, if there is room and Redis can be asked.

        Args:
            name: In Redis.
            value: Sealed.
            expires: `time.monotonic()` seconds.
        """
        if (
            not self.available
            or len(value) > MAX_VALUE_BYTES
            or self._buffered_bytes + len(value) > WRITE_BUFFER_BYTES
            or monotonic() < self._no_writes_before
        ):
            self.num_dropped += 1
            return
        self._buffered_bytes += len(value)
        self._drained.clear()
        self._stores.append(_Store(name, value, expires))
        self._stored.set()

    async def _run(self, work: Callable[[RedisLink], Coroutine[Any, Any, None]]) -> None:
        """Connect whenever it is worth it, and work until the connection is lost."""
        while True:
            await self.breaker.wait_closed()
            link = RedisLink(self._endpoint)
            try:
                await link.connect()
                await work(link)
            except RedisFailure as failure:
                self._fail(failure, surely=work == self._beat)
            except Exception as error:  # a lane that ended would be missed by nobody
                self._fail(RedisFailure("connection", f"{type(error).__name__} in a lane"))
            finally:
                link.drop()

    async def _read(self, link: RedisLink) -> None:
        lane = self.lookups.open(link)
        try:
            await lane.failure
        finally:
            self.lookups.close(lane)

    async def _beat(self, link: RedisLink) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await link.greet()
            except RedisFailure as failure:
                if failure.kind == "connection":  # it may only have hung up just then
                    await link.greet()
                else:
                    raise
            self.breaker.hold()

    async def _write(self, link: RedisLink) -> None:
        while True:
            await self._stored.wait()
            await asyncio.sleep(WRITE_DELAY_SECONDS)
            await self._store(link, self._take())

    def _take(self) -> list[_Store]:
        """Take the oldest stores, of `MAX_WRITE_BYTES` together at most, but one in any case."""
        count = fitting((len(store.value) for store in self._stores), MAX_WRITE_BYTES)
        taken, self._stores = self._stores[:count], self._stores[count:]
        if not self._stores:
            self._stored.clear()
        return taken

    async def _store(self, link: RedisLink, stores: list[_Store]) -> None:
        started, refused = monotonic(), len(stores)
        commands = [
            pack(b"SET", store.name, store.value, b"EX", max(1, round(store.expires - started)))
            for store in stores
        ]
        try:
            replies = await link.exchange(commands, len(commands), WRITE_SECONDS)
            for reply in replies:
                if isinstance(reply, RefusedReply) and reply.kind in AT_ONCE:  # no master any more
                    raise link.failure(reply)
            refused = sum(isinstance(reply, RefusedReply) for reply in replies)
            if refused:
                self._no_writes_before = monotonic() + REFUSED_PAUSE_SECONDS
                self.num_failures["refused"] += 1
            else:
                self.breaker.succeed()
        finally:
            self.num_dropped += refused
            self._buffered_bytes -= sum(len(store.value) for store in stores)
            if not self._stores:
                self._drained.set()
            self._on_round_trip("write", monotonic() - started)

    def _fail(self, failure: RedisFailure, *, surely: bool = False) -> None:
        """Count a failure; `surely`: it is not that of a question that was too much for Redis."""
        self.num_failures[failure.kind] += 1
        if not (surely or failure.kind in AT_ONCE):
            self.breaker.fail(str(failure))
        elif self.breaker.closed:
            self.breaker.trip(str(failure))
            self.lookups.give_up(failure)

    async def _probe(self) -> None:
        link = RedisLink(self._endpoint)
        try:
            await link.connect()
        except RedisFailure as failure:
            self.misfit = str(failure) if failure.kind == "misfit" else ""
            raise
        finally:
            link.drop()

    async def aclose(self) -> None:
        """Make the last stores, as far as they go at once, and disconnect; idempotent."""
        if self.available:
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._drained.wait()
            except TimeoutError:
                pass
        await self.breaker.aclose()
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def __repr__(self) -> str:
        waiting = f"{len(self._stores)} stores, {self._buffered_bytes} bytes waiting"
        return f"<RedisLanes [{self.breaker.state} | {waiting}]>"
