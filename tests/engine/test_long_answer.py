"""Answers in pieces: what is joined, what is not, and that the event loop goes on meanwhile."""

import time

import msgspec
import pytest

from ml_pipeline.engine.signature.schema import BatchResponse
from ml_pipeline.engine.wire.batch_answer import MEMBERS_A_PIECE, write_batch
from ml_pipeline.engine.wire.codec import WireFormat, encode
from ml_pipeline.engine.wire.long_answer import LONG_BYTES, PIECE_BYTES, cut, gathered, joined
from ml_pipeline.engine.wire.turns import at_once
from tests.turns import Turns


@pytest.mark.parametrize("count", [0, 1, 3, LONG_BYTES // 100 + 1])
async def test_pieces_are_joined(count: int) -> None:
    """Whether by a thread or not."""
    pieces = [b"%100d" % number for number in range(count)]

    assert await joined(pieces) == b"".join(pieces)


async def test_long_pieces_are_joined_beside_the_event_loop() -> None:
    """Its turns meanwhile are a fraction of what the copy takes."""
    pieces = [bytes(LONG_BYTES) for _ in range(64)]
    held, copied = [], []
    for _ in range(5):
        began = time.thread_time()
        b"".join(pieces)
        copied.append(time.thread_time() - began)
        turns = Turns()
        await joined(pieces)
        turns.stop()
        held.append(turns.longest)

    assert min(held) < min(copied) / 2


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 3 * PIECE_BYTES + 1])
def test_a_buffer_is_cut(size: int) -> None:
    """To pieces that are bytes, each a step."""
    steps = list(cut(memoryview(bytes(size))))

    pieces = at_once(cut(b"x" * size))

    assert b"".join(pieces) == b"x" * size
    assert len(steps) == len(pieces) == -(-size // PIECE_BYTES)


@pytest.mark.parametrize("size", [1, 1000, PIECE_BYTES, PIECE_BYTES + 1])
@pytest.mark.parametrize("count", [0, 1, 2, 600])
def test_short_pieces_are_gathered(size: int, count: int) -> None:
    """With what stands between any two."""
    pieces = [b"x" * size] * count

    found = at_once(gathered(iter(pieces), b","))

    assert b"".join(found) == b",".join(pieces)
    assert len(found) <= 2 * (size * count // PIECE_BYTES + 1)


@pytest.mark.parametrize("wire_format", WireFormat)
@pytest.mark.parametrize("count", [1, 20, MEMBERS_A_PIECE, 3000, 70_000])
def test_a_batch_is_what_it_is_in_one_go(wire_format: WireFormat, count: int) -> None:
    """Also where it is long, and then in pieces."""
    dump = msgspec.json.encode if wire_format is WireFormat.JSON else msgspec.msgpack.encode
    members = [msgspec.Raw(dump({"n": number, "text": "x" * 200})) for number in range(count)]

    steps = write_batch(iter(members), wire_format)
    num_steps = sum(1 for _ in write_batch(iter(members), wire_format))

    assert b"".join(at_once(steps)) == encode(BatchResponse(members), wire_format)
    assert num_steps >= count // MEMBERS_A_PIECE
