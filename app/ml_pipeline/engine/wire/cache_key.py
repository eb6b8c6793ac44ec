"""What makes two requests the same: a digest over everything that decides the answer.

Nothing else goes in: no header, no request id, no spelling of the JSON. Keys are made of the
decoded tensor, so `1`, `1.0` and white space meet in one entry. `-0.0` and `0.0` differ in their
bytes and are kept apart; NaN never gets here.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from ml_pipeline.engine.signature.tensor import Tensors
from ml_pipeline.engine.wire.turns import Steps

KEY_VERSION = b"2"
"""Counts up when the meaning of a key or its answer changes, so that old entries in a shared cache
are missed."""


PIECE = 1_048_576
"""Bytes that are digested in one go, in 0.5 to 2 ms."""

STRINGS_A_PIECE = 4096
"""Written out in one go, in 0.3 ms of short ones."""

CHARACTERS_A_PIECE = 65_536
"""Likewise, at 4 to 6 ns each."""


def identity(*parts: str) -> bytes:
    """Digest what a model contributes to each of its keys, 32 bytes; made once, at load.

    Args:
        parts: Model name, version, digest of its files, and the options that change results.
    """
    return sha256(KEY_VERSION + b"".join(_sized(part.encode()) for part in parts)).digest()


def cache_key(identity: bytes, inputs: Tensors, answer_format: bytes) -> bytes:
    """Digest one request, 32 bytes.

    SHA-256, because answers are shared between clients and a collision made on purpose would be
    a wrong answer for somebody. 1.5 µs for a row of 10, 1 ms for 600 kB (`python -m bench micro`).

    Args:
        identity: The model's contribution.
        inputs: Checked arrays by input name, any order.
        answer_format: Names what is stored: the requested outputs and their encoding.
    """
    parts = [_beginning(identity, answer_format)]
    for name in sorted(inputs) if len(inputs) > 1 else inputs:
        array = inputs[name]
        # Strings live in object arrays, which have no buffer: their values are written out.
        body = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
        parts += (_header(name, array.dtype, array.shape), _size(len(body)), body)
    return sha256(b"".join(parts)).digest()


def cache_key_in_steps(identity: bytes, inputs: Tensors, answer_format: bytes) -> Steps[bytes]:
    """Digest one request of many values: the same key."""
    digest = sha256(_beginning(identity, answer_format))
    for name in sorted(inputs):
        array = inputs[name]
        pieces: Sequence[bytes | memoryview] = ()
        if array.dtype.hasobject:
            pieces = yield from _texts(array)
        elif array.size:
            pieces = [np.ascontiguousarray(array).reshape(-1).data.cast("B")]
        digest.update(_header(name, array.dtype, array.shape) + _size(sum(map(len, pieces))))
        for piece in pieces:
            for start in range(0, len(piece), PIECE):
                digest.update(memoryview(piece)[start : start + PIECE])
                yield
    return digest.digest()


def _texts(strings: Any) -> Steps[list[bytes]]:
    """Give `repr` of nested lists of strings, or of one string, in pieces.

    Args:
        strings: `[n, …]`, or a string.
    """
    if isinstance(strings, str):
        return (yield from _characters(strings))
    if strings.size <= STRINGS_A_PIECE:
        yield
        if sum(map(len, strings.flat)) <= CHARACTERS_A_PIECE:
            return [repr(strings.tolist()).encode()]
        rows = len(strings) // 16 or 1
    else:
        rows = STRINGS_A_PIECE * len(strings) // strings.size or 1
    pieces: list[bytes] = []
    for start in range(0, len(strings), rows):
        pieces.append(b", " if start else b"[")
        if rows == 1:
            pieces += yield from _texts(strings[start])
        else:
            part = yield from _texts(strings[start : start + rows])
            part[0] = part[0][1:]
            part[-1] = part[-1][:-1]  # which may be the same
            pieces += part
    pieces.append(b"]")
    return pieces


def _characters(text: str) -> Steps[list[bytes]]:
    """Give `repr` of a string in pieces: each is told by a quote behind it which one to use."""
    own, other = ('"', "'") if "'" in text and '"' not in text else ("'", '"')
    pieces = [own.encode()]
    for start in range(0, len(text), CHARACTERS_A_PIECE):
        piece = text[start : start + CHARACTERS_A_PIECE]
        pieces.append(repr(piece + other)[1:-2].encode())
        yield
    pieces.append(own.encode())
    return pieces


# Of either few different ones are ever seen.


@lru_cache(maxsize=1024)
def _beginning(identity: bytes, answer_format: bytes) -> bytes:
    return identity + _sized(answer_format)


@lru_cache(maxsize=1024)
def _header(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Write down what the bytes of a tensor mean."""
    return _sized(f"{name}\0{dtype.str}\0{shape}".encode())


def _sized(part: bytes) -> bytes:
    """Prefix a part with its length, so that no two lists of parts run together the same way."""
    return _size(len(part)) + part


def _size(num_bytes: int) -> bytes:
    return num_bytes.to_bytes(8, "little")
