"""One computation per key at a time: equal requests that come together share the first one's.

The first caller, the *leader*, computes as if alone, so a lone request pays two dict
operations. The others wait. The design follows async-lru and Go's singleflight, but for one
rule: a leader that leaves (its client hung up, its deadline passed) takes nobody with it; one of
those who wait becomes the leader and computes anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class SingleFlight(Generic[Value]):
    """Event loop only.

    Mutable state: by key, those who wait for a computation that is under way. Each has a future of
    its own, so that one can leave; nearly always there are none, and no list is made for them.

    Args:
        personal: Errors that concern the leader alone, such as its deadline: the waiters try
            again. Any other error would meet them too, and they get it.
    """

    def __init__(self, personal: tuple[type[BaseException], ...] = ()) -> None:
        self._personal: tuple[type[BaseException], ...] = (asyncio.CancelledError, *personal)
        self._flights: dict[bytes, list[asyncio.Future[Value | None]] | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(
        self, key: bytes, compute: Callable[..., Awaitable[Value]], *arguments: Any
    ) -> tuple[Value, bool]:
        """Compute, or share what is being computed for the same key.

        Args:
            key: Equal for equal computations.
            compute: Called with the arguments, unless it is under way.
            arguments: Its own.

        Returns:
            The value, and whether it was shared.

        Raises:
            Exception: What `compute` raised.
        """
        while (waiter := self.join(key)) is not None:
            value = await waiter
            if value is not None:
                return value, True
        self.lead(key)
        try:
            value = await compute(*arguments)
        except BaseException as error:
            self.land(key, error)
            raise
        self.land(key, value)
        return value, False

    # The steps of `run`, for a caller who leads many flights at once. It lands them before it waits
    # for others', else whoever follows it would wait for these too.

    def join(self, key: bytes) -> asyncio.Future[Value | None] | None:
        """Wait for the leader's value, or None if it left without one; None if nobody leads."""
        if key not in self._flights:
            return None
        if self._loop is None:  # kept, because asking asyncio each time is a system call (getpid)
            self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Value | None] = self._loop.create_future()
        if (waiters := self._flights[key]) is None:
            self._flights[key] = [waiter]
        else:
            waiters.append(waiter)
        return waiter

    def lead(self, key: bytes) -> None:
        """Begin to compute; the caller must `land` it, whatever happens."""
        self._flights[key] = None

    def land(self, key: bytes, outcome: Value | BaseException) -> None:
        """End a computation: those who wait get the value, or the error unless it is personal."""
        for waiter in self._flights.pop(key) or ():
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
