"""A head like the one before is not parsed again, and is read as if it were."""

from hypothesis import example, given
from hypothesis import strategies as st

from ml_pipeline.fronts.http.kept_head import MAX_KEPT_BYTES, MAX_KEPT_IN_VAIN
from ml_pipeline.fronts.http.message import Request
from tests.http.parsing import new_parser, parse, requests, told
from tests.http.serving import LAST, chunked, get, post


def read(*reads: bytes) -> list[Request]:
    """Requests of one connection, by what came in each read."""
    return requests(parse(new_parser(), reads))


ONE, TWO = post(b"one"), post(b"two")
LINE = ONE.index(b"Content-Length")
PIECES = st.sampled_from(
    [
        *(ONE, TWO, post(b"three"), post(b"one", "/two?b=c"), post(b"\r\n\r\nb"), post(b"")),
        *(get("/a"), get("/b%20c", "X: y"), chunked(b"one"), get("/", version="1.0"), LAST),
        *(post(b"one", "/", "Connection: keep-alive"), post(b"one", "/", "Expect: 100-continue")),
        *(post(b"one", "/", "Connection: Upgrade", "Upgrade: h2c"), post(b"o" * 2000)),
        *(b"\r\n", b"\r\n\r\n", ONE[:20], ONE[20:], ONE[:-1], ONE[-1:], ONE[:-3], b"one", b"two"),
        *(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"x"),
    ]
)
READS = st.lists(st.lists(PIECES, min_size=1, max_size=3).map(b"".join), max_size=8)


@given(READS)
@example([ONE + b"\r\n", post(b"\r\nx"), post(b"\r\ny")])
@example([ONE, ONE[:-3] + b"\r\n", b"x" + ONE])
@example([ONE, TWO + ONE[:10], ONE[10:], TWO])
@example([ONE[:LINE], ONE[LINE:], ONE[LINE:]])
def test_it_makes_no_difference_how_the_bytes_come(reads: list[bytes]) -> None:
    """Read by read, where heads are kept, and byte by byte, where none is, requests are equal."""
    stream = b"".join(reads)
    bytes_of_it = [stream[at : at + 1] for at in range(len(stream))]

    assert told(parse(new_parser(), reads)) == told(parse(new_parser(), bytes_of_it))


def test_a_head_that_comes_again_is_not_parsed_again() -> None:
    """Its headers are those of the last request, the body is its own."""
    first, second, third = read(ONE, TWO, ONE)

    assert second.fields is first.fields
    assert third.fields is first.fields
    assert [first.body, second.body, third.body] == [b"one", b"two", b"one"]


def test_another_length_is_another_head() -> None:
    """A body of another length comes with another head, which is parsed."""
    first, second = read(ONE, post(b"three"))

    assert second.fields is not first.fields
    assert second.body == b"three"


def test_large_heads_are_not_kept() -> None:
    """What an idle connection keeps is bounded."""
    large = post(b"one", "/", "X: " + "y" * MAX_KEPT_BYTES)

    first, second = read(large, large)

    assert second.fields is not first.fields


def test_a_client_that_never_says_the_same_is_parsed_from_then_on() -> None:
    """After some heads that were kept in vain no more are."""
    unlike = [get("/", f"X-Request-ID: {number}") for number in range(MAX_KEPT_IN_VAIN)]

    *_, first, second = read(*unlike, ONE, ONE)

    assert second.fields is not first.fields
