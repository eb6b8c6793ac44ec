"""When requests are due, which they are, and what counts as a fault."""

import itertools
from collections import Counter

import msgspec
import pytest

from bench.scenarios import STANDARD, Ask, Closed, Open, Scenario
from bench.suite.messages import Message, expect
from bench.suite.traffic import NUM_DRAWN, draw, due_times, rates_of
from tests.bench.driver import Driven, drive_at
from tests.bench.little_server import DROP, LittleServer, Reply

BODIES = 10
SCENARIO = Scenario(
    name="made_up",
    text="",
    mix=((1.0, Ask(bodies=BODIES)),),
    arrivals=Open(rates=(100.0,), connections=20),
    servers=STANDARD,
)
STALLED_AT, STALL_SECONDS = 1.5, 1.0
EXPECTED = expect(b'{"predictions":[1],"model_info":{}}', Ask())
FAULTS = {
    "a wrong answer": (Reply(200, {"predictions": [-1.0]}), "wrong answer"),
    "a wrong status": (Reply(500, {"detail": "no"}), "status 500"),
    "a refusal that was not allowed": (Reply(504, {}), "status 504"),
    "no Retry-After": (Reply(503, {}), "503 without Retry-After"),
    "a dropped connection": (DROP, "no answer"),
}


@pytest.fixture(scope="module")
def stalled() -> Driven:
    """Give 4 s at 100 requests/s, of which the server stood still for one."""
    number = BODIES + round(STALLED_AT * 100)
    with LittleServer(stall=number, stall_seconds=STALL_SECONDS) as server:
        return drive_at(server.url, SCENARIO, seconds=4)


@pytest.fixture(scope="module")
def spoilt() -> Driven:
    """Give 1 s at 100 requests/s, in which each fault happened once."""
    scenario = msgspec.structs.replace(SCENARIO, statuses=frozenset({200, 503}))
    faults = {BODIES + 20 + n: reply for n, (reply, _) in enumerate(FAULTS.values())}
    with LittleServer(faults.get) as server:
        return drive_at(server.url, scenario, seconds=1)


def messages(number: int, skew: float = 0.0) -> list[Message]:
    """Give messages that are told apart by their bodies."""
    ask = Ask(skew=skew)
    return [Message(ask, f"{skew} {rank}".encode(), {}, EXPECTED) for rank in range(number)]


def test_requests_are_due_at_fixed_times() -> None:
    """Four a second are due each quarter of it, the first at once."""
    assert list(due_times((4.0,), 1.0)) == [0.0, 0.25, 0.5, 0.75]


def test_each_rate_has_an_equal_share_of_the_time() -> None:
    """Two rates in two seconds: a second each, the later one evenly spaced from its beginning."""
    assert list(due_times((2.0, 4.0), 2.0)) == [0.0, 0.5, 1.0, 1.25, 1.5, 1.75]


def test_a_day_without_end_begins_again() -> None:
    """For ever, the rates follow each other round and round."""
    times = list(itertools.islice(due_times((2.0, 4.0), 2.0, for_ever=True), 9))

    assert times[6:] == [2.0, 2.5, 3.0]


def test_nothing_is_due_without_a_rate() -> None:
    """Closed arrivals have no times, and a rate of 0 has no requests."""
    assert list(due_times((), 10.0)) == list(due_times((0.0,), 10.0)) == []


def test_rates_may_be_multiples_of_what_another_scenario_reached() -> None:
    """Three times 200 are 600, and where no scenario is named, 3 stays 3."""
    assert rates_of(Open(rates=(3.0,), times_of="capacity"), 200.0) == (600.0,)
    assert rates_of(Open(rates=(3.0,)), 200.0) == (3.0,)
    assert rates_of(Closed(clients=1)) == ()


def test_a_draw_keeps_to_the_shares() -> None:
    """Of two kinds, 7 of 10 requests are of the first."""
    drawn = draw([(0.7, messages(5)), (0.3, messages(5, skew=1.0))])

    first = sum(message.ask.skew == 0.0 for message in drawn)
    assert len(drawn) == NUM_DRAWN
    assert first / NUM_DRAWN == pytest.approx(0.7, abs=0.01)


def test_a_draw_keeps_to_the_skew() -> None:
    """With an exponent of 1 the first body is sent twice as often as the second."""
    bodies = Counter(message.body for message in draw([(1.0, messages(100, skew=1.0))]))

    first, second, third = (bodies[f"1.0 {rank}".encode()] for rank in range(3))
    assert first / second == pytest.approx(2.0, rel=0.1)
    assert first / third == pytest.approx(3.0, rel=0.1)


def test_without_a_skew_all_bodies_are_alike() -> None:
    """Each of ten is a tenth, and a second draw is the same."""
    drawn = draw([(1.0, messages(10))])

    bodies = Counter(message.body for message in drawn)
    assert [bodies[body] / NUM_DRAWN for body in bodies] == pytest.approx([0.1] * 10, abs=0.01)
    assert drawn == draw([(1.0, messages(10))])


def test_a_stall_is_in_the_latency_of_all_that_were_due_meanwhile(stalled: Driven) -> None:
    """No coordinated omission: a server that stands still for 1 s delays 100 requests, not 20."""
    end = STALLED_AT + STALL_SECONDS
    waits = {
        due: (latency, end - due)
        for due, latency in zip(stalled.due, stalled.latency, strict=True)
        if STALLED_AT + 0.1 <= due <= end - 0.1
    }

    assert len(waits) > 75
    assert {due: pair for due, pair in waits.items() if pair[0] < pair[1] - 0.1} == {}


def test_a_late_server_does_not_delay_when_requests_are_due(stalled: Driven) -> None:
    """Each is due when it would have been, and all are sent."""
    assert sorted(stalled.due) == pytest.approx([request / 100 for request in range(400)])
    assert stalled.outcome.num_faults == 0


def test_a_request_that_finds_no_free_connection_is_late(stalled: Driven) -> None:
    """The generator's own delay is told apart, and is part of the latency."""
    both = zip(stalled.late, stalled.latency, strict=True)

    assert stalled.outcome.late_p99_ms > 300
    assert [late for late, latency in both if late > latency] == []


def test_a_closed_scenario_ends() -> None:
    """Clients stop at the end of the time, each with the answer to its last request."""
    closed = msgspec.structs.replace(SCENARIO, arrivals=Closed(clients=4))

    with LittleServer() as server:
        found = drive_at(server.url, closed, seconds=2)

    assert found.outcome.statuses == {"200": len(found.due)}
    assert max(found.due) < 2.0
    assert found.outcome.num_faults == 0
    assert found.outcome.by_cache.keys() == {"miss"}


@pytest.mark.parametrize("words", [words for _, words in FAULTS.values()], ids=FAULTS)
def test_a_wrong_answer_is_told_in_words(spoilt: Driven, words: str) -> None:
    """Each kind of fault says what it was."""
    assert len([fault for fault in spoilt.outcome.faults if words in fault]) == 1


def test_every_wrong_answer_is_counted(spoilt: Driven) -> None:
    """What was wrong counts once, and the rest is sent all the same."""
    assert spoilt.outcome.num_faults == len(FAULTS)
    assert len(spoilt.due) == 100


def test_a_refusal_that_is_allowed_is_none() -> None:
    """503 with Retry-After is right where the scenario says so, and is told by itself."""
    scenario = msgspec.structs.replace(SCENARIO, statuses=frozenset({200, 503}))
    refusal = Reply(503, {"code": "overloaded"}, {"Retry-After": "1"})

    with LittleServer(lambda number: refusal if number >= BODIES + 50 else None) as server:
        found = drive_at(server.url, scenario, seconds=1)

    assert found.outcome.num_faults == 0
    assert found.outcome.statuses == {"200": 50, "503": 50}
    assert found.outcome.refused is not None
