"""Answers of `POST /predict/batch`: those of the members side by side, in pieces if long."""

from collections.abc import Iterable

import msgspec

from ml_pipeline.engine.signature.schema import BatchResponse
from ml_pipeline.engine.wire.codec import WireFormat, encode
from ml_pipeline.engine.wire.long_answer import PIECE_BYTES, gathered
from ml_pipeline.engine.wire.turns import Steps

MEMBERS_A_PIECE = 256
"""In 0.1 ms, or in 1 ms where each has failed."""

NOTHING = msgspec.Raw(b"\xc0")
"""In MessagePack, in one byte."""


def write_batch(members: Iterable[msgspec.Raw], wire_format: WireFormat) -> Steps[list[bytes]]:
    """Write a whole answer; a long one is in pieces, which nobody joins.

    Args:
        members: The answer of each, made as it is asked for.
        wire_format: Theirs.
    """
    results: list[msgspec.Raw] = []
    for result in members:
        results.append(result)
        if len(results) % MEMBERS_A_PIECE == 0:
            yield
    if sum(map(len, results)) <= PIECE_BYTES:
        return [encode(BatchResponse(results), wire_format)]
    opening, between, closing = b'{"results":[', b",", b"]}"
    if wire_format is WireFormat.MSGPACK:
        places = BatchResponse([NOTHING] * len(results))
        opening, between, closing = encode(places, wire_format)[: -len(results)], b"", b""
    pieces = yield from gathered(results, between)
    return [opening, *pieces, closing]
