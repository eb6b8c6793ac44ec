"""What replicas tell each other is believed where it is signed by who has the token."""

import pytest

from ml_pipeline.replicas.signature import Signature

PLACE = "ml_pipeline:reload:0"


def signature(token: str = "token") -> Signature:
    return Signature(token, lambda place: None)


def test_what_is_signed_is_read() -> None:
    """By whoever has the same token."""
    signed = signature().sign(PLACE, b"news")

    assert signature().open(PLACE, signed) == b"news"
    assert b"token" not in signed


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"news",
        b" news",
        b"0" * 64 + b" news",
        signature("another").sign(PLACE, b"news"),
        signature().sign("elsewhere", b"news"),
        signature().sign(PLACE, b"news")[:-1],
        signature().sign(PLACE, b"news") + b"!",
        signature().sign(PLACE, b"news").upper(),
        "ä".encode() * 32 + b" news",
    ],
)
def test_all_else_is_not_read(forged: bytes) -> None:
    """And counted."""
    reader = signature()

    assert reader.open(PLACE, forged) is None
    assert reader.num_refused == 1


def test_it_is_told_once() -> None:
    """Of each place, however often it happens."""
    told: list[str] = []
    reader = Signature("token", told.append)

    for place in ("a", "a", "b", "a"):
        reader.open(place, b"forged")

    assert told == ["a", "b"]
    assert reader.num_refused == 4


def test_without_a_token_all_is_read() -> None:
    """What others have signed, too."""
    plain = signature("")

    assert plain.open(PLACE, plain.sign(PLACE, b"news")) == b"news"
    assert plain.open(PLACE, signature().sign(PLACE, b"news")) == b"news"
    assert plain.num_refused == 0
