"""The requests of one scenario in the order they are sent, and the moment each is due.

One `Traffic` is shared by all users of a scenario: who is free takes the next due time, so that
requests are due whether those before them are answered or not (no coordinated omission).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

import gevent
import gevent.event
import msgspec
import numpy as np
from gevent.pool import Pool
from geventhttpclient import HTTPClient

from bench.request import AnswerError
from bench.scenarios import Ask, Closed, Open, Scenario
from bench.suite.messages import Array, Message, Oracle, draw_rows, encode, expect, headers
from bench.suite.record import Record

NUM_DRAWN = 50_000
"""Messages drawn beforehand and sent round and round: a draw costs more than a look into a list."""
PRIMING_CLIENTS = 8
PREDICT, SAMPLE = "/predict", "/sample"


class Traffic:
    """What is sent in one scenario, and what came of it.

    Args:
        scenario: Which one.
        messages: By share and kind.
        seconds: How long, or None for ever.
        rates: Requests a second; for `Closed` none.
    """

    def __init__(
        self,
        scenario: Scenario,
        messages: Sequence[tuple[float, Sequence[Message]]],
        seconds: float | None,
        rates: Sequence[float],
    ) -> None:
        self.record = Record()
        self._scenario = scenario
        self._messages = itertools.cycle(draw(messages))
        self._due = due_times(rates, seconds or scenario.seconds, for_ever=seconds is None)
        self._end = seconds or float("inf")
        self._begin = 0.0
        self._started = gevent.event.Event()

    @property
    def users(self) -> int:
        """Users it takes."""
        arrivals = self._scenario.arrivals
        return arrivals.clients if isinstance(arrivals, Closed) else arrivals.connections

    def begin(self) -> None:
        """Let the time begin: who waits in `next` goes on."""
        self._begin = time.perf_counter()
        self._started.set()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._begin

    def next(self) -> tuple[Message, float] | None:
        """Wait until the next request is due; return it and when that was, or None at the end."""
        self._started.wait()
        if isinstance(self._scenario.arrivals, Closed):
            due = self.seconds
        else:
            due = next(self._due, float("inf"))
        if due >= self._end:
            return None
        if (wait := due - self.seconds) > 0:
            gevent.sleep(wait)
        return next(self._messages), due

    def judge(self, message: Message, status: int, retry_after: str | None, body: bytes) -> str:
        """Return what is wrong with an answer, or nothing."""
        if status not in self._scenario.statuses:
            return f"status {status}: {body[:200]!r}"
        if status == 503 and not retry_after:
            return "status 503 without Retry-After"
        if status == 503 and b'"overloaded"' not in body:
            return f"status 503, and not by a replica: {body[:200]!r}"
        if status == 200 and not message.is_answered_by(body):
            return f"wrong answer: {body[:200]!r}"
        return ""


class Primer:
    """Learns from a server what it answers to each message, before it is measured.

    Args:
        url: Of the API.
        oracle: Asked too, where the model's file is at hand.

    Raises:
        AnswerError: There is no API of ours at this URL.
    """

    def __init__(self, url: str, oracle: Oracle | None = None) -> None:
        parts = urlsplit(url)
        self._prefix = parts.path.rstrip("/")
        self._client = HTTPClient.from_url(url, concurrency=PRIMING_CLIENTS)
        self._oracle = oracle
        self._known: dict[Ask, list[Message]] = {}
        self.record = Record()
        self._sample = self._ask_for_sample()

    def messages(self, ask: Ask) -> list[Message]:
        """Return every message of `ask`.

        Raises:
            AnswerError: The server does not answer one, or not what the oracle says.
        """
        if ask not in self._known:
            rows = draw_rows(ask, self._sample)
            pool = Pool(PRIMING_CLIENTS)
            self._known[ask] = list(pool.imap(lambda some: self._learn(ask, some), rows))
        return self._known[ask]

    def _ask_for_sample(self) -> Array:
        """Return rows that fit the model, float64 [B, F]."""
        path = f"{self._prefix}{SAMPLE}"
        try:
            answer = self._client.get(path)
            content = bytes(answer.read())
            if answer.status_code == 200:
                return np.asarray(msgspec.json.decode(content)["data"], dtype=np.float64)
        except (OSError, HTTPException, msgspec.MsgspecError, LookupError, TypeError) as error:
            raise AnswerError(f"{path}: {error}") from error
        raise AnswerError(f"{path} answered {answer.status_code}: {content[:200]!r}")

    def _learn(self, ask: Ask, rows: Array) -> Message:
        plain = msgspec.structs.replace(ask, timeout_ms=0)  # a deadline is for the measurement
        given = headers(plain)
        body = encode(ask, rows, use_cache=False)
        answer = self._client.post(f"{self._prefix}{PREDICT}", body, given)
        content = bytes(answer.read())
        cache = str(answer.get("x-cache", ""))
        self.record.add(0.0, 0.0, 0.0, status=answer.status_code, cache=cache)
        if answer.status_code != 200:
            raise AnswerError(f"{PREDICT} answered {answer.status_code}: {content[:200]!r}")
        expected = expect(content, ask)
        if self._oracle is not None:
            self._oracle.confirm(rows, expected)
        return Message(ask, encode(ask, rows, use_cache=ask.use_cache), headers(ask), expected)


def due_times(rates: Sequence[float], seconds: float, *, for_ever: bool = False) -> Iterator[float]:
    """Yield when requests are due, in seconds: each rate for an equal share of the time."""
    share = seconds / len(rates) if rates else 0.0
    turns = itertools.count() if for_ever else range(1)
    for turn in turns:
        for number, rate in enumerate(rates):
            begin = turn * seconds + number * share
            for request in range(round(rate * share)):
                yield begin + request / rate


def draw(kinds: Sequence[tuple[float, Sequence[Message]]]) -> list[Message]:
    """Return messages in a random order that keeps to shares and skews; the same each time."""
    generator = np.random.default_rng(seed=11)
    shares = np.array([share for share, _ in kinds])
    queues: list[Iterator[Message]] = []
    for _, messages in kinds:
        ranks = np.arange(1, len(messages) + 1, dtype=np.float64)
        weights = ranks ** -messages[0].ask.skew
        chosen = generator.choice(len(messages), NUM_DRAWN, p=weights / weights.sum())
        queues.append(map(messages.__getitem__, chosen.tolist()))
    order = generator.choice(len(kinds), NUM_DRAWN, p=shares / shares.sum())
    return [next(queues[kind]) for kind in order.tolist()]


def rates_of(arrivals: Open | Closed, reached: float = 1.0) -> tuple[float, ...]:
    """Return the requests a second of open arrivals, where they are multiples of `reached`."""
    if isinstance(arrivals, Closed):
        return ()
    factor = reached if arrivals.times_of else 1.0
    return tuple(rate * factor for rate in arrivals.rates)
