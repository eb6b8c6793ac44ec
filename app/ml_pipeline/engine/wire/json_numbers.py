"""Large JSON lists of numbers → one flat array, a piece at a time.

msgspec would hold the event loop for as long as a body is long, and its lists take 30 times the
bytes of the body; here a piece of it is taken at a comma, its brackets are blanked, and what is
left is a list of numbers. What the brackets said is kept: a *skeleton*, the text without its
numbers, such as `[[,],[,]]` for two rows of two. A text is what it seems if its numbers read as a
list, its brackets and commas stand where they may, and its skeleton is that of a shape.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import Array, whole_numbers
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InvalidInput

PIECE_BYTES = 16_384
"""Of text; numbers of it are read in 0.1 to 0.5 ms."""

MOST_PIECE_BYTES = 8 * PIECE_BYTES
"""With the last number, or all the brackets at the end."""

WORDS = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "b": "booleans"}
decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "f": msgspec.json.Decoder(list[float]),
    "i": msgspec.json.Decoder(list[int]),
    "u": msgspec.json.Decoder(list[int]),
    "b": msgspec.json.Decoder(list[bool]),
}
"""Of flat lists, by the kind of the dtype."""

COMPARED_BYTES = 1_048_576
"""Of a skeleton in one go."""

_opening = re.compile(rb"\[*")
_blank = bytes.maketrans(b"[]", b"  ")
_spaces = b" \t\r\n"
_in_values = {kind: b"0123456789+-.eE" for kind in "fiu"} | {"b": b"truefals"}
_to_zeros = {kind: bytes.maketrans(own, b"0" * len(own)) for kind, own in _in_values.items()}


class Text(NamedTuple):
    """A list in a body, from its first bracket to behind its last: no copy."""

    body: bytes
    start: int
    stop: int


class Numbers(NamedTuple):
    """What a text holds: its values in their order, and the text without them.

    Attributes:
        as_floats: Whether some are integers that are written as 1.0.
    """

    values: Array
    skeleton: bytes
    as_floats: bool = False


def read_numbers(
    text: Text,
    dtype: np.dtype[Any],
    most: int | None,
    field: str,
    piece_bytes: int = PIECE_BYTES,
) -> Steps[Numbers]:
    """Read lists of numbers, nested anyhow.

    Args:
        text: JSON.
        dtype: Of the values; no strings.
        most: Values that there may be; None = any number.
        field: What the caller calls it.
        piece_bytes: Least of it that is read in one go.

    Raises:
        InvalidInput: It is something else, there are more, or one is out of the dtype's range.
    """
    skeleton: list[bytes] = []
    body, start, end = text
    room = (end - start) // 2 + 1  # for as many as there can be; memory is taken as it is filled
    if most is not None:
        room = min(room, most)
    values: Array = np.empty(room, dtype)
    count, as_floats = 0, False
    while start <= end:
        yield
        stop = body.find(b",", start + piece_bytes, min(start + MOST_PIECE_BYTES, end))
        if stop < 0 and end <= start + MOST_PIECE_BYTES:
            stop = end
        if stop < 0:
            raise InvalidInput(
                f"{field}: expected a comma in {MOST_PIECE_BYTES - PIECE_BYTES} bytes, found none"
            )
        array, frame, floats = _read_piece(body[start:stop], dtype, field, start)
        as_floats |= floats
        if not len(array) and stop - start < end - text.start:
            raise InvalidInput(f"{field}: expected values between commas, found none")
        if count + len(array) > room:
            raise InvalidInput(f"{field}: expected at most {most} values, found more")
        values[count : count + len(array)] = array
        count += len(array)
        skeleton.append(frame)
        start = stop + 1
    yield
    return Numbers(values[:count], b",".join(skeleton), as_floats)


def _read_piece(piece: bytes, dtype: np.dtype[Any], field: str, place: int) -> Numbers:
    """Read from one comma to another."""
    kind = dtype.kind
    frame = piece.translate(_to_zeros[kind], _spaces)
    flat = b"[%b]" % piece.translate(_blank)
    as_floats = False
    try:
        values = decoders[kind].decode(flat)
    except (msgspec.DecodeError, UnicodeDecodeError):
        as_floats = kind in "iu"
        values = _whole_floats(flat, dtype) if as_floats else None
    if values is None or is_no_json(frame):
        raise InvalidInput(
            f"{field}: expected lists of {WORDS[kind]}, found something else in its bytes {place} "
            f"to {place + len(piece)}"
        )
    try:
        return Numbers(np.array(values, dtype), frame.translate(None, b"0"), as_floats)
    except (ValueError, OverflowError, RuntimeWarning):
        raise InvalidInput(
            f"{field}: expected values of {dtype.name}, found one out of its range in its bytes "
            f"{place} to {place + len(piece)}"
        ) from None


def is_no_json(frame: bytes) -> bool:
    """Tell whether brackets and commas stand where they may not, by the frame of one piece.

    It is what stands between two commas, and its numbers are sound if its brackets are left out.
    """
    return (
        frame[:1] == b"]"
        or frame[-1:] == b"["
        or any(pair in frame for pair in (b"0[", b"]0", b"][", b"[,", b",]"))
    )


def _whole_floats(flat: bytes, dtype: np.dtype[Any]) -> Array | None:
    """Read integers that are written as 1.0; None if that is not what they are."""
    try:
        return whole_numbers(decoders["f"].decode(flat), dtype)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def skeleton_of(shape: Sequence[int]) -> bytes:
    """Give the text of an array without its values."""
    text = b""
    for size in reversed(shape):
        text = b"[%b]" % ((text + b",") * (size - 1) + text if size else b"")
    return text


def shape_of(skeleton: bytes, rank: int, field: str) -> Steps[list[int]]:
    """Tell the shape of lists that are of one length at each depth.

    A list of one value cannot be told from an empty one: the number of values tells that.

    Raises:
        InvalidInput: They are not, or are nested otherwise than `rank` deep.
    """
    found = _opening.match(skeleton).end()  # type: ignore[union-attr]  # it matches nothing, too
    if found != rank:
        raise InvalidInput(f"{field}: expected lists nested {rank} deep, found {found}")
    sizes = _sizes_of_first(skeleton, rank)
    if sizes is not None:
        row = skeleton_of(sizes[1:]) + b","
        rows = row * max(COMPARED_BYTES // len(row), 1)
        start, stop = 1, len(skeleton) - 1
        while start < stop and skeleton.startswith(rows[: stop - start], start):
            start += len(rows)
            yield
        if start >= stop and skeleton.endswith(b"]"):
            return sizes
    raise InvalidInput(f"{field}: expected lists of one length in all rows, found others")


def _sizes_of_first(skeleton: bytes, rank: int) -> list[int] | None:
    """Tell the sizes of the first list of each depth; None where it is of no one length itself."""
    sizes: list[int] = []
    length = 0  # of the text of one member
    for depth in range(1, rank + 1):
        end = skeleton.find(b"]" * depth) + depth if depth < rank else len(skeleton)
        whole = end - (rank - depth)  # of the first list of this depth, with its brackets
        size, rest = divmod(whole - 1, length + 1)
        if end < depth or rest or size < 1:
            return None
        sizes.insert(0, size)
        length = whole
    return sizes


def is_balanced(skeleton: bytes) -> Steps[bool]:
    """Tell whether every bracket is closed, and the first one last."""
    depth, begun = 0, False
    for start in range(0, len(skeleton), PIECE_BYTES):
        brackets = skeleton[start : start + PIECE_BYTES].translate(None, b",")
        if brackets:
            if begun and depth == 0:
                return False  # closed before
            steps = 92 - np.frombuffer(brackets, np.uint8).astype(np.int64)  # `[` is 91, `]` is 93
            depths = depth + np.cumsum(steps)
            if depths[-1] < 0 or (len(depths) > 1 and depths[:-1].min() <= 0):
                return False
            depth, begun = int(depths[-1]), True
        yield
    return depth == 0
