"""Where the process stands: starting → ready → draining."""

from time import monotonic


class Lifecycle:
    """Shared by what starts and stops the server and what tells about it.

    Attributes:
        ready: Every model is loaded, warmed and proven; true last, false first.
        draining: Set once, by SIGTERM: answers carry `Connection: close` from then on.
    """

    _drain_began = 0.0

    def __init__(self) -> None:
        self._started = monotonic()
        self.ready = False
        self.draining = False

    def begin_drain(self) -> None:
        """Turn unready before anything else happens; idempotent."""
        self.ready = False
        if not self.draining:
            self.draining = True
            self._drain_began = monotonic()

    def drain_seconds_left(self, timeout_seconds: float) -> float:
        """Seconds left of a drain that may take `timeout_seconds` in all."""
        return max(0.0, timeout_seconds - (monotonic() - self._drain_began))

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the start, whatever the wall clock is set to."""
        return monotonic() - self._started
