"""Replies are bounded by what was asked for, before anything is made of them."""

import itertools
from time import monotonic

import pytest

from ml_pipeline.cache.redis_reader import MAX_VALUE_BYTES, BoundedReader, ReplyTooLarge

BOMBS = [
    b"*2000000000\r\n",
    b">2000000000\r\n",
    b"~2000000000\r\n",
    b"%2000000000\r\n",
    b"|2000000000\r\n",
    b"*1\r\n*2000000000\r\n",
    b"*1\r\n~2000000000\r\n",
    b"*2\r\n$2\r\nab\r\n*2000000000\r\n",
    b"*2\r\n$2\r\n\r\n\r\n*2000000000\r\n",
    b"*2\r\n_\r\n>2000000000\r\n",
    b">1\r\n$3\r\nabc\r\n*2000000000\r\n",
    b"+OK\r\n*2000000000\r\n",
    b"*1\r\n*65\r\n",
    b"*1000\r\n",
]
SOUND = [
    b"*2\r\n$2\r\nab\r\n_\r\n",
    b"*2\r\n$15\r\n\r\n*2000000000\r\n\r\n$15\r\n\r\n>2000000000\r\n\r\n",
    b"*2\r\n*64\r\n" + b":1\r\n" * 64 + b"_\r\n",
    b"*2\r\n$-1\r\n$0\r\n\r\n",
    b"*-1\r\n",
    b"-ERR *2000000000\r\n",
    b"%1\r\n+a\r\n*1\r\n_\r\n",
]


def cuts(reply: bytes) -> list[list[bytes]]:
    """The reply whole, byte by byte, and in two and three pieces, however cut."""
    places = range(1, min(len(reply), 24))
    two = [[reply[:at], reply[at:]] for at in places]
    three = [[reply[:a], reply[a:b], reply[b:]] for a, b in itertools.combinations(places, 2)]
    return [[reply], [bytes([byte]) for byte in reply], *two, *three]


def read(reader: BoundedReader, pieces: list[bytes]) -> list[object]:
    """Feed the pieces, one after the other; give the replies."""
    replies = []
    for piece in pieces:
        reader.feed(piece)
        replies.append(reader.gets())
    return [reply for reply in replies if reply is not False]


@pytest.mark.parametrize("bomb", BOMBS)
def test_more_than_was_asked_for_is_refused_at_once(bomb: bytes) -> None:
    """However it comes in pieces, nothing is made of it and nothing waited for."""
    started = monotonic()
    for pieces in cuts(bomb):
        reader = BoundedReader()
        reader.expect(2)
        with pytest.raises(ReplyTooLarge):
            read(reader, pieces)

    assert monotonic() - started < 5.0  # one list of so many takes 12 s


@pytest.mark.parametrize("reply", SOUND)
def test_what_was_asked_for_is_read(reply: bytes) -> None:
    """Values may look like headers: they are passed over."""
    for pieces in cuts(reply):
        reader = BoundedReader()
        reader.expect(2)

        assert len(read(reader, pieces)) == 1
        assert not reader.midway


def test_a_thousand_values_may_be_asked_for() -> None:
    """As many as are looked up together."""
    reader = BoundedReader()
    reader.expect(1000)
    reader.feed(b"*1000\r\n" + b"_\r\n" * 1000)

    assert reader.gets() == [None] * 1000


def test_a_value_that_is_too_large_is_refused_with_its_second_piece() -> None:
    """A plain reply is not followed before it is seen to go on."""
    reader = BoundedReader()
    reader.expect(1)
    read(reader, [b"*1\r\n$%d\r\n" % (MAX_VALUE_BYTES + 1)])

    with pytest.raises(ReplyTooLarge, match=f"announces {MAX_VALUE_BYTES + 1} bytes"):
        reader.feed(b"x")


def test_a_header_without_end_is_refused() -> None:
    """Nothing is collected without bound."""
    reader = BoundedReader()

    with pytest.raises(ReplyTooLarge, match="line of more than"):
        read(reader, [b"+" + b"x" * 1000] * 100)
