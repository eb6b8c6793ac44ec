"""One computation per key at a time: equal requests that come together share the first one's.

The first caller, the *leader*, computes as if alone, so a lone request pays two dict
operations. The others wait. The design follows async-lru and Go's singleflight, but for one
rule: a leader that leaves (its client hung up, its deadline passed) takes nobody with it; one of
those who wait becomes the leader and computes anew. Nor does anybody wait for longer than its own
deadline: the computation goes on without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from ml_pipeline.errors import DeadlineExceeded

Value = TypeVar("Value")


class SingleFlight(Generic[Value]):
    """Event loop only.

    Mutable state: by key, the deadline of who computes, and those who wait for it. Each of them
    has a future of its own, so that one can leave; nearly always there is none, and no list
    is made.

    Args:
        personal: Errors that concern the leader alone, such as its deadline: the waiters try
            again. Any other error would meet them too, and they get it.
    """

    def __init__(self, personal: tuple[type[BaseException], ...] = ()) -> None:
        self._personal: tuple[type[BaseException], ...] = (asyncio.CancelledError, *personal)
        self._flights: dict[bytes, float] = {}
        self._waiters: dict[bytes, list[asyncio.Future[Value | None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(
        self, key: bytes, deadline: float, compute: Callable[..., Awaitable[Value]], *arguments: Any
    ) -> tuple[Value, bool]:
        """Compute, or share what is being computed for the same key.

        Args:
            key: Equal for equal computations.
            deadline: `time.monotonic()` seconds; the computation itself keeps it too.
            compute: Called with the arguments, unless it is under way.
            arguments: Its own.

        Returns:
            The value, and whether it was shared.

        Raises:
            DeadlineExceeded: It passed while another computed.
            Exception: What `compute` raised.
        """
        while (waiter := self.join(key, deadline)) is not None:
            value = await waiter
            if value is not None:
                return value, True
        self.lead(key, deadline)
        try:
            value = await compute(*arguments)
        except BaseException as error:
            self.land(key, error)
            raise
        self.land(key, value)
        return value, False

    # The steps of `run`, for a caller who leads many flights at once. It lands them before it waits
    # for others', else whoever follows it would wait for these too.

    def join(self, key: bytes, deadline: float) -> asyncio.Future[Value | None] | None:
        """Wait for the leader's value, or None if it left without one; None if nobody leads.

        A timer is set only for who has less time than the leader, who lands by its own deadline.
        """
        if (landing := self._flights.get(key)) is None:
            return None
        if self._loop is None:  # kept, because asking asyncio each time is a system call (getpid)
            self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Value | None] = self._loop.create_future()
        self._waiters.setdefault(key, []).append(waiter)
        if deadline < landing:
            joined = monotonic()
            timer = self._loop.call_later(max(deadline - joined, 0.0), _give_up, waiter, joined)
            waiter.add_done_callback(lambda _: timer.cancel())
        return waiter

    def lead(self, key: bytes, deadline: float) -> None:
        """Begin to compute; the caller must `land` it, whatever happens, by its deadline."""
        self._flights[key] = deadline

    def land(self, key: bytes, outcome: Value | BaseException) -> None:
        """End a computation: those who wait get the value, or the error unless it is personal."""
        del self._flights[key]
        if not self._waiters:
            return
        for waiter in self._waiters.pop(key, ()):
            if waiter.done():  # it has left
                continue
            if not isinstance(outcome, BaseException):
                waiter.set_result(outcome)
            elif isinstance(outcome, self._personal):
                waiter.set_result(None)
            else:
                waiter.set_exception(outcome)

    def __len__(self) -> int:
        return len(self._flights)


def _give_up(waiter: asyncio.Future[Any], joined: float) -> None:
    if not waiter.done():
        text = f"deadline: passed after {monotonic() - joined:.3f} s of an equal request's run"
        waiter.set_exception(DeadlineExceeded(text))
