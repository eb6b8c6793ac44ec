"""Where the process stands: starting → ready → draining."""

from time import time


class Lifecycle:
    """Shared by what starts and stops the server and what tells about it.

    Attributes:
        started: Unix seconds of the start.
        ready: Every model is loaded, warmed and proven; true last, false first.
        draining: Set once, by SIGTERM: answers carry `Connection: close` from then on.
    """

    def __init__(self) -> None:
        self.started = time()
        self.ready = False
        self.draining = False

    def begin_drain(self) -> None:
        """Turn unready before anything else happens; idempotent."""
        self.ready = False
        self.draining = True

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the start."""
        return time() - self.started
