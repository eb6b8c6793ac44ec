"""A circuit breaker: after a few failures in a row nobody asks any more; a probe asks for all.

    closed ── 3 failures in a row ──▶ open ── pause ──▶ half_open ── probe answers ──▶ closed
                                        ▲                   │
                                        └── probe fails ────┘

Pauses double from `FIRST_PAUSE_SECONDS` to `LONGEST_PAUSE_SECONDS` with jitter, so that replicas
do not come back as one; a success of real use, or a while without an outage, makes them short
again, not that a probe was answered.
The pattern is Nygard's (Release It!), the jitter AWS's "equal jitter" (Exponential Backoff And
Jitter). Requests never serve as probes, and pay one attribute look-up.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal

FAILURES_TO_OPEN = 3
"""In a row: one slow answer or one lost connection is no outage."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
"""Of an outage of seconds little is lost, one of hours costs a connection attempt in 5 s."""

State = Literal["closed", "open", "half_open"]
Sleep = Callable[[float], Awaitable[object]]


class CircuitBreaker:
    """Event loop only; open until `start`.

    Args:
        probe: Tries once, within a time of its own; raises if it cannot.
        on_change: Told of each closing and opening, with the reason.
        sleep: Waits for seconds.

    Attributes:
        closed: Whether to ask.
        state: As metrics tell it.
        reason: Why it is not closed; empty when it is.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        on_change: Callable[[bool, str], None],
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._probe = probe
        self._on_change = on_change
        self._sleep = sleep
        self.closed = False
        self.state: State = "open"
        self.reason = "not connected yet"
        self._failures = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._probing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Probe once; if that fails, go on probing in the background."""
        found = await self._try()
        self._on_change(found, self.reason)
        if not found:
            self._probing = asyncio.create_task(self._keep_trying())

    def succeed(self) -> None:
        """Count a success of real use."""
        self._failures = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def hold(self) -> None:
        """Take note that it has been closed for a while: the next outage is another one."""
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def fail(self, reason: str) -> None:
        """Count a failure of real use."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open at once: it is known that there is no use in asking."""
        if self.closed:
            self.closed, self.state, self.reason = False, "open", reason
            self._closing.clear()
            self._on_change(False, reason)
            self._probing = asyncio.create_task(self._keep_trying())

    async def wait_closed(self) -> None:
        """Wait until it is worth asking."""
        await self._closing.wait()

    async def _keep_trying(self) -> None:
        while True:
            await self._sleep(self._pause_seconds * (0.5 + 0.5 * random.random()))
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            if await self._try():
                self._on_change(True, "")
                return

    async def _try(self) -> bool:
        self.state = "half_open"
        try:
            await self._probe()
        except Exception as error:  # whatever it is, the probe has failed
            self.state, self.reason = "open", str(error)
            return False
        self.closed, self.state, self.reason = True, "closed", ""
        self._failures = 0
        self._closing.set()
        return True

    async def aclose(self) -> None:
        """Stop probing; idempotent."""
        self.closed, self.state = False, "open"
        self._closing.clear()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
