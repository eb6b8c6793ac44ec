"""What is sealed opens again; what is altered, cut short, foreign or another's does not."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_pipeline.cache.envelope import MAGIC, seal, unseal

KEY, OTHER = b"k" * 32, b"o" * 32
JSON, MSGPACK = b"application/json", b"application/msgpack"
EXPIRES, LIFETIME = 1_800_000_000, 3600
LAST_SECOND = 2**32 - 1

SEALED = seal(KEY, b"answer", JSON, EXPIRES, LIFETIME)

keys = st.binary(min_size=32, max_size=32)
content_types = st.sampled_from([JSON, MSGPACK, b"application/octet-stream", b""])


@given(keys, st.binary(max_size=2000), content_types, st.integers(0, LAST_SECOND))
def test_what_is_sealed_opens(key: bytes, value: bytes, content_type: bytes, expires: int) -> None:
    """Any value comes back byte for byte, with its expiry and its lifetime."""
    sealed = seal(key, value, content_type, expires, LIFETIME)

    assert unseal(key, sealed, content_type) == (value, expires, LIFETIME)


def test_bytes_are_as_documented() -> None:
    """Magic, checksum of the key and of all that follows, times, content type, newline, value."""
    times = EXPIRES.to_bytes(4, "little") + LIFETIME.to_bytes(4, "little")
    body = times + b"application/json\nanswer"
    checksum = crc32(KEY + body).to_bytes(4, "little")

    assert b"mlp2" + checksum + body == SEALED


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_altered_byte_does_not_open(position: int) -> None:
    """Whichever bit of whichever byte is flipped, nothing is given back."""
    for bit in range(8):
        altered = bytearray(SEALED)
        altered[position] ^= 1 << bit

        assert unseal(KEY, bytes(altered), JSON) is None


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_cut_short_does_not_open(length: int) -> None:
    """A part of a value is no value, and neither are no bytes."""
    assert unseal(KEY, SEALED[:length], JSON) is None


def test_prolonged_does_not_open() -> None:
    """Bytes that somebody appended spoil the whole."""
    assert unseal(KEY, SEALED + b"\x00", JSON) is None


def test_value_of_another_key_does_not_open() -> None:
    """A value that was copied to another key is not that key's."""
    assert unseal(OTHER, SEALED, JSON) is None


@pytest.mark.parametrize("content_type", [MSGPACK, b"application/jso", b"application/jsonx", b""])
def test_value_of_another_content_type_does_not_open(content_type: bytes) -> None:
    """What was sealed as one content type is given back as no other, be it a part of it."""
    assert unseal(KEY, SEALED, content_type) is None


@given(st.binary(max_size=100))
def test_foreign_value_does_not_open(foreign: bytes) -> None:
    """What another program wrote is not given back."""
    assert unseal(KEY, foreign, JSON) is None


def test_other_format_does_not_open() -> None:
    """A value of a later format is left alone, however well it is sealed."""
    assert MAGIC == b"mlp2"
    assert unseal(KEY, b"mlp3" + SEALED[4:], JSON) is None


def test_first_and_last_second_are_kept() -> None:
    """Expiry and lifetime hold any 32 bits."""
    for number in (0, LAST_SECOND):
        assert unseal(KEY, seal(KEY, b"", JSON, number, number), JSON) == (b"", number, number)
