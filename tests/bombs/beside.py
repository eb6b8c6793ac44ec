"""A client beside others: asks for `/health` every 5 ms, in a process of its own.

A latency counts as far as the server worked meanwhile, by the CPU time of its process: so long it
kept the client waiting, while what it waited for a core is the machine's affair. One that is longer
than the 5 ms stands for those that would have been asked in it, too. Where it may, it goes before
all else that waits for a core, so that an answer is seen when it has come.

`python beside.py PORT PID` begins at once, ends with its standard input, and then writes the
sorted seconds as JSON: those that count, and those by the clock.
"""

import json
import os
import select
import socket
import sys
import time
from contextlib import suppress

EVERY_SECONDS = 0.005
REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def main() -> None:
    """Ask until standard input ends."""
    port, pid = map(int, sys.argv[1:])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    worked: list[float] = []
    waited: list[float] = []
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
            before, began = cpu_seconds(pid), time.perf_counter()
            connection.sendall(REQUEST)
            answer = connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"/health: expected 200, found {answer[:60]!r}")
            seconds = time.perf_counter() - began
            waited += omitted(seconds)
            worked += omitted(min(seconds, cpu_seconds(pid) - before))
    print(json.dumps([sorted(worked), sorted(waited)]))


def omitted(seconds: float) -> list[float]:
    """Give a latency, and those of requests that were due while it was waited for."""
    found = [seconds]
    while found[-1] > EVERY_SECONDS:
        found.append(found[-1] - EVERY_SECONDS)
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of another process (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


if __name__ == "__main__":
    main()
