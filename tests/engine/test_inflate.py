"""Compressed bodies: what they are, and how far they may grow."""

import gzip
import os
import zlib
from collections.abc import Callable

import pytest

from ml_pipeline.engine.wire.inflate import FREE_BYTES, MAX_RATIO, PIECE_BYTES, inflate
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.errors import BodyTooLarge, MalformedRequest, UnsupportedMediaType

MOST = 64 * 1024 * 1024


def of_ratio(ratio: int, size: int) -> bytes:
    """A gzip of `size` bytes that is about so many times smaller."""
    return gzip.compress((os.urandom(1000) + b"\0" * 1000 * (ratio - 1)) * (size // 1000 // ratio))


@pytest.mark.parametrize("encoding", [b"gzip", b"GZip ", b"deflate", b"identity"])
@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 3 * PIECE_BYTES + 1])
def test_what_was_compressed_comes_back(encoding: bytes, size: int) -> None:
    """Of any length, and the same byte for byte."""
    plain = os.urandom(size)
    packers: dict[bytes, Callable[[bytes], bytes]]
    packers = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"identity": bytes}

    assert at_once(inflate(packers[encoding.strip().lower()](plain), encoding, MOST)) == plain


def test_the_loop_gets_a_turn_after_each_piece() -> None:
    """However little of what was sent makes it."""
    steps = inflate(gzip.compress(b"0" * FREE_BYTES), b"gzip", MOST)

    assert len(list(steps)) >= FREE_BYTES // PIECE_BYTES - 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        gzip.compress(b"{}")[:-4],
        gzip.compress(os.urandom(3 * PIECE_BYTES))[: 2 * PIECE_BYTES],
        gzip.compress(b"{}") + b"more",
        gzip.compress(b"{}") * 2 + gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}") + b"\0" * 2 * PIECE_BYTES,
        gzip.compress(b"{}")[:-8] + b"\1" * 8,
        zlib.compress(b"{}"),
    ],
    ids=[
        "empty",
        "none",
        "cut",
        "cut-late",
        "more",
        "cut-member",
        "much-more",
        "checksum",
        "deflate",
    ],
)
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    """Also what is cut off, and what goes on behind its end."""
    with pytest.raises(MalformedRequest, match="expected gzip, found something else"):
        at_once(inflate(body, b"gzip", MOST))


@pytest.mark.parametrize("count", [2, 5958, 5959, 20_000])
def test_a_gzip_may_have_members(count: int) -> None:
    """As RFC 1952 has it, wherever the pieces end that they are read in."""
    assert at_once(inflate(gzip.compress(b"{}") * count, b"gzip", MOST)) == b"{}" * count


def test_members_are_bounded_together() -> None:
    """However little each of them holds."""
    body = gzip.compress(b"0" * FREE_BYTES) * 8

    with pytest.raises(BodyTooLarge, match=f"at most {MAX_RATIO} times what was sent"):
        at_once(inflate(body, b"gzip", MOST))
    with pytest.raises(BodyTooLarge, match="at most 9 bytes when decompressed"):
        at_once(inflate(gzip.compress(b"{}") * 5, b"gzip", 9))


def test_a_deflate_has_no_members() -> None:
    """RFC 1950 knows one stream."""
    with pytest.raises(MalformedRequest, match="expected deflate, found something else"):
        at_once(inflate(zlib.compress(b"{}") * 2, b"deflate", MOST))


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"x-gzip", b""])
def test_other_codings_are_refused(encoding: bytes) -> None:
    """Those that were applied twice, too."""
    with pytest.raises(UnsupportedMediaType, match="expected gzip or deflate"):
        at_once(inflate(b"{}", encoding, MOST))


def test_bytes_have_a_bound() -> None:
    """To the byte, and named."""
    body = gzip.compress(os.urandom(5000))

    assert len(at_once(inflate(body, b"gzip", 5000))) == 5000
    with pytest.raises(BodyTooLarge, match="at most 4999 bytes when decompressed, found more"):
        at_once(inflate(body, b"gzip", 4999))


def test_the_ratio_has_a_bound() -> None:
    """Beyond 1 MiB: what costs a client nothing to send costs next to nothing to read."""
    size = 4 * FREE_BYTES
    welcome, greedy = of_ratio(MAX_RATIO // 2, size), of_ratio(MAX_RATIO * 2, size)

    assert len(at_once(inflate(welcome, b"gzip", MOST))) > FREE_BYTES
    with pytest.raises(BodyTooLarge, match=f"at most {MAX_RATIO} times what was sent"):
        at_once(inflate(greedy, b"gzip", MOST))


def test_a_short_body_may_be_all_alike() -> None:
    """A picture of zeros is no bomb."""
    body = gzip.compress(b"0," * (FREE_BYTES // 2))

    assert len(body) < FREE_BYTES / MAX_RATIO
    assert len(at_once(inflate(body, b"gzip", MOST))) == FREE_BYTES
