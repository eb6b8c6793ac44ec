"""Look-ups in Redis: what is asked in one turn of the event loop goes out as one `MGET`.

A lane is one connection with one round trip under way. What comes while all are busy waits and goes
together with the next. When to send is the `TurnCollector`'s to say, as for the batcher; but
nothing here is a task: a reply goes from the socket straight to those who asked, because a single
look-up pays for each turn of the loop in between.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

import msgspec

from ml_pipeline.cache.redis_endpoint import pack
from ml_pipeline.cache.redis_errors import RedisFailure
from ml_pipeline.cache.redis_link import RedisLink
from ml_pipeline.turn_collector import TurnCollector

MAX_KEYS = 1000
"""In one round trip: a larger one would keep others waiting."""

ROUND_TRIP_WEIGHT = 0.05
"""Of the newest in the moving average."""

Values = list[Any]


class _Question(msgspec.Struct, frozen=True, gc=False):
    """Names to look up, and who waits: values in their order, or None where nobody could ask."""

    names: Sequence[bytes]
    answer: asyncio.Future[Values | None]


class Lookups:
    """Event loop only.

    Mutable state: the questions that wait, the lanes, which of them are idle, and what is due at
    the end of a turn (`_turn`).

    Args:
        timeout_seconds: For a round trip.
        on_success: Told of each one that was answered.
        on_round_trip: Told of each one, answered or not, its operation and seconds.

    Attributes:
        round_trip_seconds: Moving average.
        lanes: Those that are connected.
    """

    def __init__(
        self,
        timeout_seconds: float,
        on_success: Callable[[], None],
        on_round_trip: Callable[[str, float], None],
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.round_trip_seconds = 0.0
        self._on_success = on_success
        self._on_round_trip = on_round_trip
        self._questions: list[_Question] = []
        self.lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._turn = TurnCollector()

    def ask(self, names: Sequence[bytes], max_wait_seconds: float) -> asyncio.Future[Values | None]:
        """Look names up, mostly with whoever asks in this turn; only while there are `lanes`.

        Args:
            names: `MAX_KEYS` at most.
            max_wait_seconds: Longer than this, or than for two round trips, nobody waits.

        Returns:
            Values in their order; None if Redis could not be asked, or not in time.
        """
        loop = self.lanes[0].loop  # asking asyncio each time is a system call (getpid)
        answer: asyncio.Future[Values | None] = loop.create_future()
        question = _Question(names, answer)
        if self._turn.at_once and self._idle and not self._questions:
            self._turn.go_at_once(self)
            self._idle.pop().look_up([question])
        else:
            self._questions.append(question)
            if self._idle:
                self._turn.schedule(self)
        if max_wait_seconds < self.timeout_seconds:
            timer = loop.call_later(max(max_wait_seconds, 0.0), _resolve, answer, None)
            answer.add_done_callback(lambda _: timer.cancel())
        return answer

    def open(self, link: RedisLink) -> "Lane":
        """Begin to use a connection."""
        lane = Lane(link, self)
        self.lanes.append(lane)
        self.idle(lane)
        return lane

    def close(self, lane: "Lane") -> None:
        """Use it no more; when no lane is left, who waits is answered that nobody could ask."""
        self.lanes.remove(lane)
        if lane in self._idle:
            self._idle.remove(lane)
        lane.close()
        if not self.lanes:
            questions, self._questions = self._questions, []
            _resolve_all(questions)

    def give_up(self, failure: RedisFailure) -> None:
        """Have every lane end: what they are connected to is not to be asked."""
        for lane in self.lanes:
            lane.fail(failure)

    def idle(self, lane: "Lane") -> None:
        """Give a lane its next round trip, at the end of this turn."""
        self._idle.append(lane)
        if self._questions:
            self._turn.schedule(self)

    def observe(self, started: float, *, answered: bool) -> None:
        """Count a round trip; `started` in `time.monotonic()` seconds."""
        seconds = monotonic() - started
        weight = ROUND_TRIP_WEIGHT if self.round_trip_seconds else 1.0
        self.round_trip_seconds += weight * (seconds - self.round_trip_seconds)
        self._on_round_trip("read", seconds)
        if answered:
            self._on_success()

    def num_waiting(self) -> int:
        """Count the questions that wait."""
        return len(self._questions)

    def may_grow(self) -> bool:
        """Whether a lane is idle; while none is, they wait for one in any case."""
        return bool(self._idle)

    def dispatch(self) -> None:
        """Send what waits, as far as there are idle lanes."""
        self._turn.unschedule()
        while self._idle and self._questions:
            self._idle.pop().look_up(self._take())

    def _take(self) -> list[_Question]:
        """Take the oldest questions, of `MAX_KEYS` names together at most."""
        count = fitting((len(question.names) for question in self._questions), MAX_KEYS)
        taken, self._questions = self._questions[:count], self._questions[count:]
        return taken


class Lane:
    """One connection, asked one thing at a time.

    Mutable state: the questions of the round trip that is under way, and when it began.

    Args:
        link: Connected.
        owner: Told when it is idle again.

    Attributes:
        loop: On which all of it happens.
        failure: Raises why no more can be asked, a RedisFailure.
    """

    def __init__(self, link: RedisLink, owner: Lookups) -> None:
        self._link = link
        self._owner = owner
        self._questions: list[_Question] = []
        self._num_names = 0
        self._started = 0.0
        self._anew: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[None] = self.loop.create_future()

    def look_up(self, questions: list[_Question]) -> None:
        """Begin a round trip; only while idle."""
        names = [name for question in questions for name in question.names]
        self._questions, self._num_names, self._started = questions, len(names), monotonic()
        command = pack(b"MGET", *names)
        if self._link.is_usable:
            self._link.begin(command, self._owner.timeout_seconds, self._end, len(names))
        else:  # Redis has hung up meanwhile
            self._anew = self.loop.create_task(self._look_up_anew(command))

    async def _look_up_anew(self, command: bytes) -> None:
        """Connect first, in the time of the round trip."""
        outcome: list[Any] | Exception
        try:
            outcome = await self._link.exchange(
                [command], 1, self._owner.timeout_seconds, self._num_names
            )
        except Exception as error:  # whatever it is, somebody waits
            outcome = error
        self._end(outcome)

    def _end(self, outcome: list[Any] | Exception) -> None:
        """Hand out what was found, or that nothing could be asked."""
        questions, self._questions = self._questions, []
        values: Any = outcome[0] if isinstance(outcome, list) else outcome
        answered = isinstance(values, list) and len(values) == self._num_names
        if answered:
            _hand_out(questions, values)
            self._owner.idle(self)
        else:
            self.fail(self._link.failure(values))  # counted before anybody goes on
            _resolve_all(questions)
        self._owner.observe(self._started, answered=answered)

    def fail(self, failure: RedisFailure) -> None:
        """Have who works with the connection learn that it is of no use."""
        if not self.failure.done():
            self.failure.set_exception(failure)

    def close(self) -> None:
        """Let go of who waits; the connection is the caller's to drop."""
        if self._anew is not None:
            self._anew.cancel()
        questions, self._questions = self._questions, []
        _resolve_all(questions)
        self.failure.cancel()


def fitting(sizes: Iterable[int], most: int) -> int:
    """Count the first whose sizes add up to `most` at most, but one in any case."""
    count = total = 0
    for size in sizes:
        total += size
        if total > most and count:
            break
        count += 1
    return count


def _hand_out(questions: list[_Question], values: Values) -> None:
    start = 0
    for question in questions:
        stop = start + len(question.names)
        _resolve(question.answer, values[start:stop])
        start = stop


def _resolve(answer: asyncio.Future[Any], value: Values | None) -> None:
    if not answer.done():  # else it has run out of time, or left
        answer.set_result(value)


def _resolve_all(questions: list[_Question]) -> None:
    """Answer those that have none yet: nobody could ask."""
    for question in questions:
        _resolve(question.answer, None)
