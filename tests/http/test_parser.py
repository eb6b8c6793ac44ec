"""Bytes in, events out: what a parser tells, when, and where it pauses."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ml_pipeline.errors import BodyTooLarge, NotReady
from ml_pipeline.fronts.http.events import Event, Signal
from ml_pipeline.fronts.http.message import Request
from ml_pipeline.fronts.http.parser import PIECE_BYTES, Parser
from tests.http.parsing import new_parser, parse, told
from tests.http.serving import chunked, get, post
from tests.http.streams import NOISE, cut


def only_request(events: list[Event]) -> Request:
    """The one event, which is a request."""
    (event,) = events
    assert isinstance(event, Request)
    return event


def test_a_request_is_whole() -> None:
    """All that was sent of it stands in it, and who sent it when."""
    parser = Parser(("127.0.0.1", 7), 1000)

    request = only_request(parser.receive(post(b"body", "/a%20b?c=d", "X: y"), 5.0))

    assert (request.method, request.path, request.query_string) == ("POST", "/a b", b"c=d")
    assert (request.fields[b"x"], request.body) == (b"y", b"body")
    assert (request.client, request.started) == (("127.0.0.1", 7), 5.0)


def test_a_request_has_started_with_its_first_byte() -> None:
    """However late its end comes; one that begins behind it has a time of its own."""
    parser = new_parser()
    first, second = post(b"body"), get("/b")

    parser.receive(first[:1], 1.0)
    parser.receive(first[1:-1], 2.0)
    one = only_request(parser.receive(first[-1:], 3.0))
    two = only_request(parser.receive(second, 4.0))

    assert (one.started, two.started) == (1.0, 4.0)


def test_a_request_that_has_begun_is_told_of_once() -> None:
    """With the piece that holds its first byte, unless that holds its end as well."""
    parser = new_parser()
    sent = post(b"body")

    begun = parser.receive(sent[:1], 1.0)
    later = [parser.receive(sent[at : at + 1], float(at + 1)) for at in range(1, len(sent) - 1)]
    ended = parser.receive(sent[-1:] + sent[:9], 1e6)

    assert begun == [Signal.BEGUN]
    assert later == [[]] * (len(sent) - 2)
    assert [type(event) for event in ended] == [Request, Signal]


def test_a_client_that_waits_to_be_told_is_told_of_before_its_body() -> None:
    """The signal comes with the head; of HTTP/1.0 there is none."""
    head, body = post(b"body", "/", "Expect: 100-continue").split(b"\r\n\r\n")
    old = head.replace(b"HTTP/1.1", b"HTTP/1.0")

    assert new_parser().receive(head + b"\r\n\r\n", 1.0) == [Signal.CONTINUE, Signal.BEGUN]
    assert new_parser().receive(head + b"\r\n\r\n" + body, 1.0)[0] is Signal.CONTINUE
    assert new_parser().receive(old + b"\r\n\r\n", 1.0) == [Signal.BEGUN]


def test_a_long_read_is_parsed_request_by_request() -> None:
    """Each `go_on` brings one, and there is more until the last."""
    num = PIECE_BYTES // len(get("/00000")) + 1
    parser = new_parser()

    found = [only_request(parser.receive(b"".join(get(f"/{i:05}") for i in range(num)), 1.0))]
    while parser.has_unread:
        found.append(only_request(parser.go_on(2.0)))

    assert [request.path for request in found] == [f"/{i:05}" for i in range(num)]
    assert [request.started for request in found] == [1.0] + [2.0] * (num - 1)


def test_a_large_body_is_one_piece() -> None:
    """Of a long read a head is parsed, and then all of its body."""
    parser = Parser(("", 0), 100_000)

    events = parser.receive(post(b"x" * 100_000), 1.0)

    assert events == [Signal.BEGUN]
    assert parser.has_unread
    assert len(only_request(parser.go_on(2.0)).body) == 100_000


def test_a_body_is_refused_as_soon_as_it_is_too_large() -> None:
    """By what its head says, or by the chunk that is one too many: its end is not waited for."""
    announced = post(b"x" * 1001)[:-1001]
    in_chunks = chunked(*[b"x" * 100] * 11, end=b"")

    by_head = parse(new_parser(), [announced])
    by_chunk = parse(new_parser(), [in_chunks[:-110], in_chunks[-110:]])

    for events in (by_head, by_chunk):
        assert isinstance(events[-1], Request)
        assert isinstance(events[-1].fault, BodyTooLarge)
        assert not events[-1].keep_alive


def test_nothing_is_read_behind_what_is_refused() -> None:
    """Neither of the same read nor of later ones."""
    parser = new_parser()

    refused = only_request(parser.receive(b"BREW / HTTP/1.1\r\n\r\n" + get("/smuggled"), 1.0))

    assert refused.fault is not None
    assert parser.receive(get("/smuggled"), 2.0) == []


def test_half_a_request_may_be_given_up() -> None:
    """One whose head has been read is refused; half a head is none."""
    half = new_parser()
    half.receive(post(b"body")[:-1], 1.0)
    beginning = new_parser()
    beginning.receive(post(b"body")[:9], 1.0)

    assert (half.is_half_read, beginning.is_half_read) == (True, False)
    assert isinstance(only_request(half.refuse_half_read()).fault, NotReady)
    assert not half.is_half_read


def test_a_closed_parser_has_nothing_unread() -> None:
    """What came and was not parsed is dropped."""
    parser = new_parser()
    parser.receive(get("/a") * 1000, 1.0)
    assert parser.has_unread

    parser.close()

    assert not parser.has_unread


@settings(max_examples=300, deadline=None, derandomize=True)
@given(NOISE, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_it_makes_no_difference_where_noise_is_cut(noise: bytes, places: list[int]) -> None:
    """Whatever comes in whatever pieces is the same requests, and the same fault, one at most."""
    whole, faults = told_and_refused(parse(new_parser(), [noise + b"\r\n"]))
    pieces = cut(noise + b"\r\n", places)

    assert told_and_refused(parse(new_parser(), pieces)) == (whole, faults)
    assert len(faults) <= 1


def told_and_refused(events: list[Event]) -> tuple[list[dict[str, Any]], list[str]]:
    """Whole requests, and faults; what is known of a refused request depends on what had come."""
    found = told(events)
    whole = [each for each in found if each["fault"] is None]
    return whole, [each["fault"] for each in found if each["fault"] is not None]
