"""Requests that are due at fixed times, whether those before are answered or not.

Latency counts from when a request was due: what a generator that is late adds is in it, and told.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bench.soak.client import Answer, Connection

REFUSED = 503


class Outcome(NamedTuple):
    """What became of a request.

    Attributes:
        due: On the clock of `time.perf_counter()`, as the next two are.
        sent: Its first byte.
        ended: Its answer's last byte.
        status: Of the answer; 0 if there was none.
        right: Whether a 200 said what it must.
        retry_after: Seconds, as told; None if nothing was.
        tries: How many there were before it: who obeys comes again.
    """

    due: float
    sent: float
    ended: float
    status: int
    right: bool
    retry_after: int | None
    tries: int

    @property
    def seconds(self) -> float:
        """From when it was due to its answer."""
        return self.ended - self.due


class OpenLoop:
    """Sends over as many connections as it takes, all to one port.

    Args:
        port: Of the server.
        requests: Taken one after the other, over and over.
        is_right: Whether an answer to one of them, by its index, says what it must.

    Attributes:
        outcomes: So far, retries among them.
    """

    def __init__(
        self, port: int, requests: Sequence[bytes], is_right: Callable[[int, Answer], bool]
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._port = port
        self._requests = requests
        self._is_right = is_right
        self._idle: list[Connection] = []

    async def send(self, rate: float, seconds: float, *, tries: int = 1) -> float:
        """Send so many a second for so long, and wait for the answers.

        Args:
            rate: Requests a second.
            seconds: How long new ones come.
            tries: Who is refused waits as it was told and comes again, so often in all.

        Returns:
            When the last was due.
        """
        began, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as clients:
            while (due := began + number / rate) < began + seconds:
                if (early := due - time.perf_counter()) > 0.0:
                    await asyncio.sleep(early)
                clients.create_task(self._be_a_client(number, due, tries))
                number += 1
        return due

    async def _be_a_client(self, number: int, due: float, tries: int) -> None:
        for made in range(tries):
            outcome = await self._ask(number % len(self._requests), due, made)
            self.outcomes.append(outcome)
            if outcome.status != REFUSED or outcome.retry_after is None:
                break
            due = outcome.ended + outcome.retry_after
            if made + 1 < tries:
                await asyncio.sleep(due - time.perf_counter())

    async def _ask(self, index: int, due: float, tries: int) -> Outcome:
        connection = self._idle.pop() if self._idle else await Connection.open(self._port)
        sent = time.perf_counter()
        try:
            answer = await connection.ask(self._requests[index])
        except (ConnectionError, TimeoutError):
            connection.close()
            return Outcome(due, sent, time.perf_counter(), 0, False, None, tries)
        ended = time.perf_counter()
        self._idle.append(connection)
        told = answer.headers.get("retry-after", "")
        return Outcome(
            due,
            sent,
            ended,
            answer.status,
            answer.status == 200 and self._is_right(index, answer),
            int(told) if told.isdigit() else None,
            tries,
        )

    def close(self) -> None:
        """Hang up."""
        for connection in self._idle:
            connection.close()


def percentile(values: Iterable[float], share: float) -> float:
    """Give the value that so large a share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0
