"""Clients of Nginx that ask all the time, keep their connections, and check each answer.

They do what HTTP asks of a client and no more: one that was told `Connection: close`, or finds its
idle connection closed before it writes, opens another. Nothing is ever sent a second time, so each
request that Nginx or a replica loses is a fault. A 503 that says when to come again is one too,
but for as many as a test allows: whoever was being answered by a replica that was killed.
"""

import asyncio
import random
import time
from threading import Thread

import uvloop

from tests.faults.load import NUM_KNOWN, questions

NUM_CLIENTS = 16
PAUSES_SECONDS = (0.0, 0.01, 0.05, 0.3)
"""Longest pause between an answer and the next request, by turns: busy clients and idle ones."""

ANSWER_SECONDS = 15.0
LONGEST_SECONDS = 120.0
MAX_FAULTS = 20


class StackLoad:
    """Asks from the start of a `with` block to its end.

    Args:
        port: Of Nginx.
        refusals_allowed: So many answers of 503 with a `Retry-After` are no fault.

    Attributes:
        faults: What went wrong, in words.
        num_refused: Such answers so far.
        num_answers: Right answers so far.
        slowest_seconds: Of one answer.
    """

    def __init__(self, port: int, *, refusals_allowed: int = 0) -> None:
        self.faults: list[str] = []
        self.num_answers = self.num_refused = 0
        self._refusals_allowed = refusals_allowed
        self.slowest_seconds = 0.0
        self._port = port
        self._stopping = False
        self._random = random.Random(1)
        self._thread = Thread(target=self._run, name="load")

    def __enter__(self) -> "StackLoad":
        questions()
        self._thread.start()
        self.go_on(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def go_on(self, seconds: float) -> None:
        """Let it run."""
        time.sleep(seconds)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._ask_all())

    async def _ask_all(self) -> None:
        pauses = [PAUSES_SECONDS[number % len(PAUSES_SECONDS)] for number in range(NUM_CLIENTS)]
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(*(self._client(pause) for pause in pauses))
        except TimeoutError:
            self._blame("the test did not end")

    async def _client(self, longest_pause: float) -> None:
        while not self._stopping:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await self._ask(reader, writer, longest_pause)
            except (OSError, EOFError, TimeoutError) as error:
                self._blame(repr(error))
            finally:
                writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, longest_pause: float
    ) -> None:
        """Ask over one connection until it is at its end."""
        while not self._stopping and not reader.at_eof():
            async with asyncio.timeout(ANSWER_SECONDS):
                if await self._exchange(reader, writer):
                    return
            await asyncio.sleep(longest_pause * self._random.random())

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Ask once; whether the client was told to go."""
        row, sent = self._random.randrange(NUM_KNOWN), time.monotonic()
        request = questions().requests[row].replace(b" /predict ", b" /api/predict ")
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(headers[b"content-length"]))
        if not head.startswith(b"http/1.1 200 "):
            self.num_refused += head.startswith(b"http/1.1 503 ") and b"retry-after" in headers
            if self.num_refused > self._refusals_allowed or not head.startswith(b"http/1.1 503 "):
                self._blame(f"not 200: {head!r} {body!r}")
        elif questions().model_of(row, body) is None:
            self._blame(f"wrong: {head!r} {body!r}")
        else:
            self.num_answers += 1
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - sent)
        return headers[b"connection"] == b"close"

    def _blame(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)
