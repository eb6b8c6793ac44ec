"""Large JSON of `POST /predict` that the short way does not take: read as a small one is.

It may be odd and good, such as with a key that is escaped, or bad: then it is told why in the words
of a small one. That takes twice as long, so `large_rows.py` is asked first.
"""

import re
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from app.engine.duplicate_keys import refuse_json_duplicates
from app.engine.explain import explain_decode_error, is_in_range, out_of_range, uneven
from app.engine.json_document import walk_document
from app.engine.json_lists import Lists
from app.engine.json_numbers import PIECE_BYTES, decoders
from app.engine.json_windows import walk_lists
from app.engine.large_rows import Rows
from app.engine.schema import PredictBody
from app.engine.tensor import Array, TensorSpec, whole_numbers
from app.engine.turns import Steps
from app.errors import InvalidInput

_commas = re.compile(rb",,+")
_body_decoder: msgspec.json.Decoder[PredictBody[Any]] = msgspec.json.Decoder(PredictBody[list[Any]])


class _Walked(NamedTuple):
    """A body that is sound: its rows, what stands beside them, and the text of that."""

    lists: Lists
    options: PredictBody[Any]
    beside: bytes


_Unread = (msgspec.DecodeError, UnicodeDecodeError)


def read_odd_rows(body: bytes, spec: TensorSpec, most_rows: int) -> Steps[Rows]:
    """Read numbers in JSON.

    Args:
        body: As received.
        spec: Of the input, with numbers.
        most_rows: Rows that are read at all.

    Raises:
        InferenceError: As of a small one.
    """
    kind, limits = spec.numpy_dtype.kind, [most_rows, *spec.shape[1:]]
    try:
        walked = yield from _walk(body, kind, limits)
    except _Unread as error:
        fault = error.with_traceback(None)  # it would hold this frame, and that the body
    else:
        array = yield from _read(walked.lists, spec)
        refuse_json_duplicates(walked.beside, keys_only_strings=True)
        return Rows(array, walked.options)
    if kind in "iu" and isinstance(fault, msgspec.ValidationError):
        rows = yield from _read_whole_floats(body, spec, limits)
        if rows is not None:
            return rows
    if "of length <=" in str(fault):
        with suppress(*_Unread):
            walked = yield from _walk(body, kind, [most_rows, *[-1] * (len(limits) - 1)])
            array = yield from _read(walked.lists, spec)
            spec.check_shape(array.shape)
    explain_decode_error(fault, body, "JSON", cast(Any, PredictBody))


def _read_whole_floats(body: bytes, spec: TensorSpec, limits: list[int]) -> Steps[Rows | None]:
    """Read integers of which one is written as 1.0; None if that is not what is wrong."""
    try:
        walked = yield from _walk(body, "f", limits)
        array = yield from _read(walked.lists, TensorSpec(spec.name, "float64", spec.shape))
    except (*_Unread, InvalidInput):
        return None
    if (whole := whole_numbers(array, spec.numpy_dtype)) is None:
        return None
    refuse_json_duplicates(walked.beside, keys_only_strings=True)
    return Rows(whole, walked.options)


def _walk(body: bytes, kind: str, limits: list[int]) -> Steps[_Walked]:
    """Look through a body.

    Raises:
        msgspec.DecodeError: As of the whole.
        BodyTooLarge: What stands beside the rows is too long.
    """
    read = partial(walk_lists, kind=kind, limits=limits)
    lists, options, beside = yield from walk_document(body, "data", read, _body_decoder)
    return _Walked(lists, options, beside)


def _read(lists: Lists, spec: TensorSpec) -> Steps[Array]:
    """Make an array of lists.

    Raises:
        InvalidInput: They are empty, ragged, or a value is out of the dtype's range.
    """
    if lists.sizes[0] == 0:
        raise InvalidInput("data: expected at least 1 row, found 0")
    values, beyond = yield from _read_values(lists, spec.numpy_dtype)
    ragged = lists.ragged
    if ragged is not None and (beyond is None or ragged.num_before <= beyond):
        raise InvalidInput(uneven(ragged.path, ragged.wanted, ragged.found))
    if beyond is not None:
        sizes = [-1] * len(spec.shape)
        text = lists.text
        again = yield from walk_lists(text.body, text.start, spec.numpy_dtype.kind, sizes, beyond)
        raise InvalidInput(out_of_range(again.path, spec))
    if not lists.even:
        raise InvalidInput(f"data: expected values of {spec.dtype}, found others")
    return values.reshape(lists.sizes)


def _read_values(lists: Lists, dtype: np.dtype[Any]) -> Steps[tuple[Array, int | None]]:
    """Read all values, and tell the first that is out of range."""
    body, start, end = lists.text
    values: Array = np.empty(lists.num_values, dtype)
    count = 0
    while start < end:
        yield
        stop = body.find(b",", start + PIECE_BYTES, end)
        stop = end if stop < 0 else stop
        flat = _commas.sub(b",", body[start:stop].translate(None, b"[] \t\r\n")).strip(b",")
        piece = decoders[dtype.kind].decode(b"[%b]" % flat)
        try:
            values[count : count + len(piece)] = np.array(piece, dtype)
        except (ValueError, OverflowError, RuntimeWarning):
            beyond = [index for index, value in enumerate(piece) if not is_in_range(value, dtype)]
            return values, count + beyond[0]
        count += len(piece)
        start = stop
    return values, None
