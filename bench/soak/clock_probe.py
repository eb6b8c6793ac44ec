"""The server under libfaketime, which Python cannot sleep under.

Run as `python -m bench.soak.clock_probe serve [MODEL]`, configured as the server is. libfaketime
0.9.10 fails clock_nanosleep(2) for the monotonic clock, by which `time.sleep` waits since Python
3.11; here it waits for an event that never comes. All that is the server's is as it ships.
"""

from __future__ import annotations

import sys
import time
from threading import Event


def _sleep(seconds: float) -> None:
    Event().wait(seconds)


if __name__ == "__main__":
    time.sleep = _sleep  # type: ignore[assignment]  # floats are all that is asked for
    from ml_pipeline.__main__ import main

    sys.exit(main())
