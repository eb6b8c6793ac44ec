"""L2: Redis, shared by all replicas; asked in round trips that carry many, behind a breaker.

All look-ups of one turn of the event loop go out as one `MGET`; while every lane is under way,
those of later turns join the next. Stores go out behind the answers, many `SET … EX` in one write.
Whatever goes wrong is a miss, counted: a request waits for Redis `timeout_seconds` at most, and not
at all while the breaker is open or no lane has a connection.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic, time
from typing import Any, NamedTuple

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from app.cache.base import CacheStatistics, Hit, Terms
from app.cache.circuit_breaker import CircuitBreaker, State
from app.cache.envelope import seal, unseal
from app.cache.mailbox import Mailbox
from app.cache.memory import TTL_JITTER
from app.cache.redis_link import RedisFailure, RedisLink, pack, refusal

KEY_PREFIX = b"ml_pipeline:answer:"

NUM_READ_LANES = 2
"""Round trips under way at a time. One leaves the loop idle for its time, more make them smaller
(`bench/redis`)."""

MAX_KEYS, MAX_WRITES = 1000, 128
"""In one round trip: a larger one would keep others waiting."""

WRITE_DELAY_SECONDS = 0.005
"""Stores gather this long, because nobody waits for them: 40 in a write cost 6 µs each, 8 cost
10 (`bench/micro`)."""

WRITE_BUFFER_BYTES, MAX_VALUE_BYTES = 16 * 1024 * 1024, 1024 * 1024
"""Stores that may wait, and the largest: what is beyond is dropped and counted."""

REFUSED_PAUSE_SECONDS = 1.0
"""No stores for this long after Redis refused some: it is full, or read-only."""

FLUSH_SECONDS = 1.0
"""Longest wait for the last stores at the end."""

ROUND_TRIP_WEIGHT = 0.05
"""Of the newest in the moving average."""


class RedisStatistics(NamedTuple):
    """Snapshot of the tier.

    Attributes:
        state: Of the breaker.
        num_keys: Looked up, by result: `hit`, `miss`, `unreadable`.
        num_failures: Round trips, by kind: `timeout`, `connection`, `refused`.
        num_dropped: Stores that were not made.
    """

    state: State
    num_keys: dict[str, int]
    num_failures: dict[str, int]
    num_dropped: int


class _Question(NamedTuple):
    """Keys to look up, and who waits for them: values in their order, or None for no answer."""

    keys: Sequence[bytes]
    answer: asyncio.Future[list[bytes | None] | None]
    asked: float


class _Store(NamedTuple):
    key: bytes
    value: bytes
    ttl_seconds: float
    content_type: bytes


class RedisCache:
    """Event loop only. Mutable state: what waits to be asked and stored, the lanes, the counts.

    Args:
        pool: Connections.
        url: Where they lead, for its password not to be told.
        timeout_seconds: Longest a look-up may take.
        on_change: Told when Redis is lost and found, with the reason.
        on_round_trip: Told each one's operation, `read` or `write`, and seconds.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        url: str,
        *,
        timeout_seconds: float,
        on_change: Callable[[bool, str], None],
        on_round_trip: Callable[[str, float], None],
    ) -> None:
        self._pool = pool
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._on_round_trip = on_round_trip
        self._breaker = CircuitBreaker(self._probe, on_change)
        self._reads: Mailbox[_Question] = Mailbox()
        self._writes: Mailbox[_Store] = Mailbox()
        self._buffered_bytes = 0
        self._num_readers = 0
        self._no_writes_before = 0.0
        self._drained = asyncio.Event()
        self._drained.set()
        self._lanes: list[asyncio.Task[None]] = []
        self._num_keys: Counter[str] = Counter()
        self._num_failures: Counter[str] = Counter()
        self._num_dropped = 0
        self.round_trip_seconds = 0.0

    async def start(self) -> None:
        """Connect, or begin to try."""
        await self._breaker.start()
        work = [*[self._read] * NUM_READ_LANES, self._write]
        self._lanes = [asyncio.create_task(self._run_lane(task)) for task in work]

    @property
    def waits(self) -> bool:
        """Whether Redis can be asked just now."""
        return self._num_readers > 0 and self._breaker.closed

    def peek(self, key: bytes) -> Hit | None:
        """Nothing is here."""
        return None

    async def get_many(self, keys: Sequence[bytes], terms: Terms) -> list[Hit | None]:
        """Ask for all keys in one round trip, shared with whoever else asks in this turn."""
        values = await self._ask(keys, terms.patience_seconds) if self.waits else None
        if values is None:
            return [None] * len(keys)
        return [self._open(*entry, terms.content_type) for entry in zip(keys, values, strict=True)]

    async def _ask(
        self, keys: Sequence[bytes], patience_seconds: float
    ) -> list[bytes | None] | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[bytes | None] | None] = loop.create_future()
        self._reads.put(_Question(keys, answer, loop.time()))
        if patience_seconds >= self._timeout_seconds:
            return await answer
        timer = loop.call_later(patience_seconds, _resolve, answer, None)
        try:
            return await answer
        finally:
            timer.cancel()

    def _open(self, key: bytes, sealed: bytes | None, content_type: bytes) -> Hit | None:
        if sealed is None:
            self._num_keys["miss"] += 1
            return None
        if (unsealed := unseal(key, sealed, content_type)) is None:
            self._num_keys["unreadable"] += 1
            return None
        self._num_keys["hit"] += 1
        value, expires = unsealed
        return Hit(value, "redis", monotonic() + expires - time())

    def put(self, key: bytes, value: bytes, ttl_seconds: float, terms: Terms) -> None:
        """Store behind the answer, if there is room and Redis can be asked."""
        if (
            not self.waits
            or len(value) > MAX_VALUE_BYTES
            or self._buffered_bytes + len(value) > WRITE_BUFFER_BYTES
            or monotonic() < self._no_writes_before
        ):
            self._num_dropped += 1
            return
        self._buffered_bytes += len(value)
        self._drained.clear()
        self._writes.put(_Store(key, value, ttl_seconds, terms.content_type))

    async def _run_lane(self, work: Callable[[RedisLink], Coroutine[Any, Any, None]]) -> None:
        """Connect whenever it is worth it, and work until the connection is lost."""
        while True:
            await self._breaker.wait_closed()
            link = RedisLink(self._pool, self._url)
            try:
                await link.connect()
                await work(link)
            except RedisFailure as failure:
                self._fail(failure)
            finally:
                await link.drop()

    async def _read(self, link: RedisLink) -> None:
        self._num_readers += 1
        try:
            while True:
                await self._reads.wait()
                await self._look_up(link, self._reads.take(MAX_KEYS))
        finally:
            self._num_readers -= 1
            if self._num_readers == 0:  # nobody is left to answer them
                _resolve_all(self._reads.take(len(self._reads)))

    async def _look_up(self, link: RedisLink, questions: list[_Question]) -> None:
        started = monotonic()
        names = [KEY_PREFIX + key.hex().encode() for asked in questions for key in asked.keys]
        try:
            deadline = questions[0].asked + self._timeout_seconds
            (values,) = await link.exchange([pack(b"MGET", *names)], 1, deadline)
            if isinstance(values, ResponseError):
                self._fail(refusal(values, self._url))
                return
            if not isinstance(values, list) or len(values) != len(names):
                raise RedisFailure("connection", "the answer does not fit the question")
            self._breaker.succeed()
            start = 0
            for question in questions:
                _resolve(question.answer, values[start : (start := start + len(question.keys))])
        finally:
            _resolve_all(questions)
            self._observe("read", started)

    async def _write(self, link: RedisLink) -> None:
        while True:
            await self._writes.wait()
            if len(self._writes) < MAX_WRITES:
                await asyncio.sleep(WRITE_DELAY_SECONDS)
            await self._store(link, self._writes.take(MAX_WRITES))

    async def _store(self, link: RedisLink, stores: list[_Store]) -> None:
        started, refused = monotonic(), len(stores)
        self._buffered_bytes -= sum(len(store.value) for store in stores)
        try:
            commands = [_set(store) for store in stores]
            deadline = asyncio.get_running_loop().time() + self._timeout_seconds
            replies = await link.exchange(commands, len(commands), deadline)
            errors = [reply for reply in replies if isinstance(reply, ResponseError)]
            refused = len(errors)
            if errors:
                self._no_writes_before = monotonic() + REFUSED_PAUSE_SECONDS
                self._num_failures["refused"] += 1
        finally:
            self._num_dropped += refused
            if not self._writes:
                self._drained.set()
            self._observe("write", started)

    def _fail(self, failure: RedisFailure) -> None:
        self._num_failures[failure.kind] += 1
        self._breaker.fail(str(failure))

    def _observe(self, operation: str, started: float) -> None:
        seconds = monotonic() - started
        self._on_round_trip(operation, seconds)
        if operation == "read":
            weight = ROUND_TRIP_WEIGHT if self.round_trip_seconds else 1.0
            self.round_trip_seconds += weight * (seconds - self.round_trip_seconds)

    async def _probe(self) -> None:
        link = RedisLink(self._pool, self._url)
        try:
            await link.connect()
        finally:
            await link.drop()

    def statistics(self) -> CacheStatistics:
        """Count the stores that wait."""
        return CacheStatistics(len(self._writes), self._buffered_bytes, 0)

    def redis_statistics(self) -> RedisStatistics:
        """Tell how it goes."""
        return RedisStatistics(
            self._breaker.state, self._num_keys, self._num_failures, self._num_dropped
        )

    @property
    def reason(self) -> str:
        """Why Redis cannot be asked just now, in words; empty when it can."""
        return self._breaker.reason or ("" if self._num_readers else "connecting")

    async def wait_connected(self) -> None:
        """Wait until Redis can be reached."""
        await self._breaker.wait_closed()

    async def aclose(self) -> None:
        """Make the last stores, as far as they go at once, and disconnect; idempotent."""
        if self.waits:
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._drained.wait()
            except TimeoutError:
                pass
        await self._breaker.aclose()
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        await self._pool.aclose()


def _set(store: _Store) -> bytes:
    """Pack one store; expiry is early by up to `TTL_JITTER`, in whole seconds."""
    ttl_seconds = max(1, round(store.ttl_seconds * (1.0 - TTL_JITTER * random.random())))
    sealed = seal(store.key, store.value, store.content_type, int(time()) + ttl_seconds)
    name = KEY_PREFIX + store.key.hex().encode()
    return pack(b"SET", name, sealed, b"EX", ttl_seconds)


def _resolve(answer: asyncio.Future[Any], value: list[bytes | None] | None) -> None:
    if not answer.done():  # else it has run out of patience, or left
        answer.set_result(value)


def _resolve_all(questions: list[_Question]) -> None:
    """Answer those that have none yet: not found."""
    for question in questions:
        _resolve(question.answer, None)
