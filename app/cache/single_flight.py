"""One computation per key at a time: equal requests that come together share the first one's.

The first caller, the *leader*, computes as if alone, so a lone request pays two dict
operations. The others wait. The design follows async-lru and Go's singleflight, but for one
rule: a leader that leaves (its client hung up, its deadline passed) takes nobody with it; one of
those who wait becomes the leader and computes anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class _Flight(Generic[Value]):
    """Those who wait for one computation; each has a future of its own, so that one can leave."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters: list[asyncio.Future[Value | None]] = []


class SingleFlight(Generic[Value]):
    """Event loop only. Mutable state: the flights by key, gone once they have landed.

    Args:
        personal: Errors that concern the leader alone, such as its deadline: the waiters try
            again. Any other error would meet them too, and they get it.
    """

    def __init__(self, personal: tuple[type[BaseException], ...] = ()) -> None:
        self._personal: tuple[type[BaseException], ...] = (asyncio.CancelledError, *personal)
        self._flights: dict[bytes, _Flight[Value]] = {}

    async def run(self, key: bytes, compute: Callable[[], Awaitable[Value]]) -> tuple[Value, bool]:
        """Compute, or share what is being computed for the same key.

        Returns:
            The value, and whether it was shared.

        Raises:
            Exception: What `compute` raised.
        """
        while (flight := self._flights.get(key)) is not None:
            waiter: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
            flight.waiters.append(waiter)
            value = await waiter
            if value is not None:
                return value, True
        flight = self._flights[key] = _Flight()
        try:
            value = await compute()
        except BaseException as error:
            del self._flights[key]
            self._land(flight, None, None if isinstance(error, self._personal) else error)
            raise
        del self._flights[key]
        self._land(flight, value, None)
        return value, False

    @staticmethod
    def _land(flight: _Flight[Value], value: Value | None, error: BaseException | None) -> None:
        for waiter in flight.waiters:
            if waiter.done():  # it has left
                continue
            if error is None:
                waiter.set_result(value)
            else:
                waiter.set_exception(error)

    def __len__(self) -> int:
        return len(self._flights)
