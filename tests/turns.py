"""How long the turns of the event loop are, that a test runs in."""

import asyncio
import time


class Turns:
    """Measures until it is stopped, in CPU seconds of its thread: what others do does not count.

    Attributes:
        num: Turns so far.
        longest: Of them.
    """

    def __init__(self) -> None:
        self.num, self.longest = 0, 0.0
        self._loop = asyncio.get_running_loop()
        self._last = time.thread_time()
        self._beat()

    def _beat(self) -> None:
        now = time.thread_time()
        self.num += 1
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self._handle = self._loop.call_soon(self._beat)

    def stop(self) -> None:
        """Measure no more."""
        self.longest = max(self.longest, time.thread_time() - self._last)
        self._handle.cancel()
