"""Large MessagePack of `POST /predict`: rows of float64, which Python's clients make of floats.

Each number has nine bytes and each row as many as the first, so they are taken by their places, all
at once: a quarter of the CPU of reading them one by one. Lists of anything else have a bound that
is read in about 5 ms. A raw tensor needs no reading. Source: the MessagePack specification.
"""

from typing import Any, cast

import msgspec
import numpy as np

from ml_pipeline.engine.signature.schema import PredictBody
from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.duplicate_keys import refuse_msgpack_duplicates
from ml_pipeline.engine.wire.explain import explain_decode_error
from ml_pipeline.engine.wire.large_rows import Rows
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest

MAX_PACKED_BYTES = 131_072
"""Of lists in which a byte may be a number or a list: 40 to 70 ns each
(`python -m bench micro`)."""

PIECE_BYTES = 131_072
"""Of rows, taken in 0.3 ms."""

DATA, TENSOR, FLOAT64 = b"data", 0x83, 0xCB
NUMBER_BYTES = 9

_options: msgspec.msgpack.Decoder[PredictBody[None]] = msgspec.msgpack.Decoder(PredictBody[None])


def find_data(body: bytes | msgspec.Raw) -> tuple[int, bool]:
    """Tell where the value of `data` begins, and whether it is a tensor.

    Raises:
        MalformedRequest: It is no map of what `POST /predict` takes.
    """
    start = bytes(memoryview(body)[:80])
    place = start.find(DATA, 0, 64) + len(DATA)
    if not 0x81 <= start[0] <= 0x83 or place < len(DATA):  # a map of one to three
        raise MalformedRequest("body: expected MessagePack of a map with data, found another")
    return place, start[place] == TENSOR


def refuse_long_lists(body: bytes | msgspec.Raw) -> None:
    """Refuse lists that would be read in one go, and for too long.

    Raises:
        BodyTooLarge: Names the bound.
        MalformedRequest: As `find_data`.
    """
    _, is_tensor = find_data(body)
    if not is_tensor:
        raise BodyTooLarge(
            f"data: expected lists of at most {MAX_PACKED_BYTES} bytes, rows of float64, or a "
            f"tensor (dtype, shape, data), found {len(body)} bytes of another kind"
        )


def refuse_many_rows(body: bytes | msgspec.Raw, max_rows: int) -> None:
    """Refuse lists that say that they are too many, before they are made, at 160 ns each.

    Raises:
        InvalidInput: They do.
    """
    try:
        place, is_tensor = find_data(body)
    except MalformedRequest:
        return  # whoever reads it tells why
    header = bytes(memoryview(body)[place : place + 5])
    if is_tensor or header[:1] not in (b"\xdc", b"\xdd"):
        return
    num_rows, _ = _read_header(header, 0)
    if num_rows > max_rows:
        raise InvalidInput(f"data: expected at most {max_rows} rows, found {num_rows}")


def read_packed_rows(body: bytes, spec: TensorSpec, max_rows: int) -> Steps[Rows]:
    """Read rows of float64.

    Args:
        body: As received, with lists.
        spec: Of the input, `[b, F]`.
        max_rows: Most rows in one request.

    Raises:
        BodyTooLarge: There is something else in them.
        InvalidInput: There are too many rows, or a value is out of the dtype's range.
    """
    place, _ = find_data(body)
    num_rows, start = _read_header(body, place)
    if num_rows > max_rows:
        raise InvalidInput(f"data: expected at most {max_rows} rows, found {num_rows}")
    width, first = _read_header(body, start)
    header, stride = body[start:first], first - start + width * NUMBER_BYTES
    if spec.shape[1] not in (-1, width):
        raise InvalidInput(
            f"data: expected {spec.shape[1]} features in each row, found {width} in the first"
        )
    end = start + num_rows * stride
    if not width or end > len(body):
        refuse_long_lists(body)
    values: Array = np.empty((num_rows, width), spec.numpy_dtype)
    rows_a_piece = max(PIECE_BYTES // stride, 1)
    for row in range(0, num_rows, rows_a_piece):
        yield
        count = min(rows_a_piece, num_rows - row)
        piece = np.frombuffer(body, np.uint8, count * stride, start + row * stride)
        block = piece.reshape(count, stride)
        marks, numbers = block[:, : len(header)], block[:, len(header) :]
        numbers = numbers.reshape(count, width, NUMBER_BYTES)
        if np.any(marks != np.frombuffer(header, np.uint8)) or np.any(numbers[:, :, 0] != FLOAT64):
            refuse_long_lists(body)
        try:
            values[row : row + count] = numbers[:, :, 1:].copy().view(">f8")[:, :, 0]
        except RuntimeWarning:
            raise InvalidInput(
                f"data: expected values of {spec.dtype}, found one out of its range in the rows "
                f"{row} to {row + count - 1}"
            ) from None
    yield
    return Rows(values, _read_options(body[:place] + b"\xc0" + body[end:]))


def _read_header(body: bytes, start: int) -> tuple[int, int]:
    """Read the header of a list: its length, and where its first member begins."""
    kind = body[start] if start < len(body) else 0
    if 0x90 <= kind <= 0x9F:
        return kind & 0x0F, start + 1
    size = {0xDC: 2, 0xDD: 4}.get(kind, 0)
    if not size or start + size >= len(body):
        refuse_long_lists(body)
    return int.from_bytes(body[start + 1 : start + 1 + size], "big"), start + 1 + size


def _read_options(document: bytes) -> PredictBody[Any]:
    try:
        found = _options.decode(document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, document, "MSGPACK", cast(Any, PredictBody))
    refuse_msgpack_duplicates(document)
    return found
