"""What comes in one turn of an event loop goes out together, and what comes alone at once."""

import asyncio
import weakref
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ml_pipeline.turn_collector import BUSY_FROM, TurnCollector


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop that goes round when a test says so; its clock is moved by hand."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Request(NamedTuple):
    """Which turn it came in, and its place among all."""

    turn: int
    number: int


class Batch(NamedTuple):
    """What was sent together, and in which turn."""

    turn: int
    requests: list[Request]


class Desk:
    """Sends what waits, as the batcher and the look-ups do.

    Attributes:
        collector: Under test.
        turn: Number of this turn.
        arrived: Requests by turn.
        waiting: Those that were not sent yet.
        sent: Batches in order.
        grows: Whether those of a busy turn may wait.
    """

    def __init__(self) -> None:
        self.loop = SteppedLoop()
        self.collector = TurnCollector()
        self.turn = self.num_requests = 0
        self.arrived: dict[int, list[Request]] = {}
        self.waiting: list[Request] = []
        self.sent: list[Batch] = []
        self.grows = True

    def num_waiting(self) -> int:
        return len(self.waiting)

    def may_grow(self) -> bool:
        return self.grows

    def dispatch(self) -> None:
        self.collector.unschedule()
        if self.waiting:
            self.sent.append(Batch(self.turn, self.waiting))
            self.waiting = []

    def _take(self, count: int, delay_seconds: float) -> None:
        for _ in range(count):
            request = Request(self.turn, self.num_requests)
            self.num_requests += 1
            self.arrived.setdefault(self.turn, []).append(request)
            if self.collector.at_once and not self.waiting:
                self.collector.go_at_once(self)
                self.sent.append(Batch(self.turn, [request]))
            else:
                self.waiting.append(request)
                self.collector.schedule(self, delay_seconds)

    def go_round(self, count: int = 0, delay_seconds: float = 0.0) -> None:
        """Let one turn pass: what was due at the end of the last is done, then requests come."""
        self.turn += 1
        self.loop.call_soon(self._take, count, delay_seconds)
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def hurry(self) -> None:
        """Wait for no more."""

        async def schedule_now() -> None:
            self.collector.schedule_now(self)

        self.loop.run_until_complete(schedule_now())

    def numbers(self) -> list[list[int]]:
        """What was sent together."""
        return [[request.number for request in batch.requests] for batch in self.sent]


class AnyTraffic(RuleBasedStateMachine):
    """Any number of requests in each turn; those of a busy one may or may not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.grew: dict[int, bool] = {}

    @rule(count=st.sampled_from([0, 1, 1, 1, 2, 3, 4, 7]), grows=st.booleans())
    def go_round(self, count: int, grows: bool) -> None:
        """What may wait is asked at the end of the turn before, so it is told before this one."""
        self.desk.grows = grows
        self.grew[self.desk.turn] = grows
        self.desk.go_round(count)

    @invariant()
    def all_are_sent_once_and_in_order(self) -> None:
        sent = [request for batch in self.desk.sent for request in batch.requests]
        numbers = [request.number for request in [*sent, *self.desk.waiting]]
        assert numbers == list(range(self.desk.num_requests))

    @invariant()
    def a_turn_goes_together_but_for_a_first_that_went_at_once(self) -> None:
        batch_of = {
            request: place
            for place, batch in enumerate(self.desk.sent)
            for request in batch.requests
        }
        for requests in self.desk.arrived.values():
            places = [batch_of.get(request, -1) for request in requests]
            first_batch = self.desk.sent[places[0]] if places[0] >= 0 else None
            went_at_once = first_batch is not None and first_batch.turn == requests[0].turn
            assert len(set(places[went_at_once:])) <= 1

    @invariant()
    def only_a_busy_turn_waits_for_the_next(self) -> None:
        for batch in [*self.desk.sent, Batch(self.desk.turn + 1, self.desk.waiting)]:
            turns = sorted({request.turn for request in batch.requests})
            if not turns or batch.turn - turns[0] <= 1:
                continue
            first = [request for request in batch.requests if request.turn == turns[0]]
            assert batch.turn - turns[0] == 2
            assert len(first) >= BUSY_FROM
            assert self.grew[turns[0]]

    @invariant()
    def a_busy_turn_that_may_grow_is_not_sent_alone(self) -> None:
        for batch in self.desk.sent:
            first = batch.requests[0].turn
            num_first = sum(request.turn == first for request in batch.requests)
            if num_first >= BUSY_FROM and self.grew[first]:
                assert batch.turn - first == 2

    @invariant()
    def at_once_goes_who_comes_after_one_that_came_alone(self) -> None:
        for last, batch in zip([None, *self.desk.sent], self.desk.sent, strict=False):
            first = batch.requests[0]
            came_alone = last is not None and len(self.desk.arrived[last.requests[0].turn]) == 1
            earlier = last is not None and last.turn <= first.turn > last.requests[0].turn
            expected = came_alone and earlier and last is not None and len(last.requests) == 1
            assert (batch.turn == first.turn) is expected

    def teardown(self) -> None:
        self.desk.loop.close()


AnyTraffic.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyTraffic = AnyTraffic.TestCase


@pytest.fixture
def desk() -> Desk:
    """Where nobody has come yet."""
    return Desk()


def test_a_delay_counts_from_the_first(desk: Desk) -> None:
    """Those that come while it lasts go with it, and set no delay of their own."""
    desk.go_round(1, delay_seconds=10.0)
    desk.loop.now = 9.0
    desk.go_round(3, delay_seconds=10.0)
    before = desk.numbers()
    desk.loop.now = 10.5
    desk.go_round()

    assert before == []
    assert desk.numbers() == [[0, 1, 2, 3]]
    desk.loop.close()


def test_a_hurry_takes_the_place_of_what_was_scheduled(desk: Desk) -> None:
    """What waits is sent when the turn is over, once, and the delay that was set is no more."""
    desk.go_round(2, delay_seconds=10.0)
    desk.hurry()
    desk.go_round()
    sent = desk.numbers()
    desk.loop.now = 5.0
    desk.go_round(1, delay_seconds=10.0)
    desk.loop.now = 12.0
    desk.go_round()

    assert sent == [[0, 1]]
    assert desk.numbers() == [[0, 1]]
    desk.loop.close()


def test_a_dispatch_that_comes_sooner_is_the_only_one(desk: Desk) -> None:
    """When its owner sends what waits by itself, the delay that was set is no more."""
    desk.go_round(1, delay_seconds=10.0)
    desk.dispatch()
    desk.loop.now = 5.0
    desk.go_round(1, delay_seconds=10.0)
    desk.loop.now = 12.0
    desk.go_round()
    before = desk.numbers()
    desk.loop.now = 16.0
    desk.go_round()

    assert before == [[0]]
    assert desk.numbers() == [[0], [1]]
    desk.loop.close()


def test_it_keeps_no_hold_of_what_waits() -> None:
    """Between turns its owner is freed without the garbage collector, and a model with it."""
    desk = Desk()
    desk.go_round(5)
    for _ in range(3):
        desk.go_round()
    desk.loop.close()

    left = weakref.ref(desk)
    del desk

    assert left() is None
