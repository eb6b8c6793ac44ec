"""Large arrays → JSON, a piece at a time: the same bytes as in one go."""

import os
from collections.abc import Sequence

import msgspec

from ml_pipeline.engine.signature.tensor import Array
from ml_pipeline.engine.wire.turns import Steps

VALUES_A_PIECE = 4096
"""Numbers as lists and then as text, 0.2 ms of short ones and 1 ms of the longest."""

HEAVY_VALUES = 16_384
"""An answer of more is written in pieces."""

PLACE = msgspec.Raw(b'"%b"' % os.urandom(16).hex().encode())
"""Stands for a list that is long; nobody can have known it."""

_encoder = msgspec.json.Encoder()


def is_heavy_answer(arrays: Sequence[Array]) -> bool:
    """Tell whether to write these in one go would keep the event loop for more than 5 ms."""
    return sum(array.size for array in arrays) > HEAVY_VALUES


def write_lists(array: Array) -> Steps[list[bytes]]:
    """Write an array as nested lists; gives the pieces of the text."""
    pieces: list[bytes] = []
    yield from _write(array, pieces)
    return pieces


def fill_in(document: bytes, lists: Sequence[list[bytes]]) -> list[bytes]:
    """Put lists where a document has `PLACE`, in their order; gives the pieces, none copied."""
    parts = document.split(PLACE)
    filled = [parts[0]]
    for pieces, part in zip(lists, parts[1:], strict=True):
        filled += [*pieces, part]
    return filled


def _write(array: Array, pieces: list[bytes]) -> Steps[None]:
    if max(array.size, len(array)) <= VALUES_A_PIECE:
        pieces.append(_encoder.encode(array.tolist()))
        yield
        return
    rows = max(VALUES_A_PIECE * len(array) // max(array.size, len(array)), 1)
    opening = b"["
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        pieces.append(opening)
        opening = b","
        if part.size > VALUES_A_PIECE:  # one row
            yield from _write(part[0], pieces)
        else:
            pieces.append(_encoder.encode(part.tolist())[1:-1])
            yield
    pieces.append(b"]")
