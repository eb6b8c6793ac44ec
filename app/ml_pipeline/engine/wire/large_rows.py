"""Large JSON of `POST /predict`, in pieces: read as a small one is, with the same errors.

The plain way takes all that is sound and usual, at the cost of its numbers or strings. What it
refuses is looked through once more, for what is wrong with it, or for what is odd about it.
"""

from contextlib import suppress
from functools import partial
from math import prod
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from ml_pipeline.engine.signature.schema import PredictBody
from ml_pipeline.engine.signature.tensor import MOST_EXACT, Array, TensorSpec, whole_numbers
from ml_pipeline.engine.wire.duplicate_keys import refuse_json_duplicates
from ml_pipeline.engine.wire.explain import (
    explain_decode_error,
    first_unfit,
    out_of_range,
    uneven,
)
from ml_pipeline.engine.wire.json_document import walk_document
from ml_pipeline.engine.wire.json_lists import Lists, walk_lists
from ml_pipeline.engine.wire.json_numbers import (
    Text,
    decoders,
    read_numbers,
    shape_of,
)
from ml_pipeline.engine.wire.json_strings import read_flat, read_strings
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InferenceError, InvalidInput

MAX_TEXT_BYTES, MAX_TEXT_QUOTES = 4_194_304, 262_144
"""Of a JSON body whose values are strings."""

_body_decoder: msgspec.json.Decoder[PredictBody[Any]] = msgspec.json.Decoder(PredictBody[list[Any]])
_Unread = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_decoders = decoders | {"O": msgspec.json.Decoder(list[str])}


class Rows(NamedTuple):
    """What a body holds; its values are not yet held against the model's shape."""

    array: Array
    options: PredictBody[Any]


class _Plain(NamedTuple):
    """A list that is an array."""

    text: Text
    array: Array


class _Sound(NamedTuple):
    """Rows, and the text of what stands beside them, where a thing may be said twice."""

    array: Array
    options: PredictBody[Any]
    beside: bytes


def read_rows(body: bytes, spec: TensorSpec, most_rows: int) -> Steps[Rows]:
    """Read numbers or strings in JSON.

    Args:
        body: As received.
        spec: Of the input.
        most_rows: Rows that are read at all; what is wrong behind them is not sought.

    Raises:
        InferenceError: As of a small one.
        BodyTooLarge: There are too many strings, or something is too long.
    """
    if spec.dtype == "str":
        _refuse_long_texts(body)
    rows = None
    with suppress(InferenceError, *_Unread):
        read = partial(_read_plain, spec=spec, most=most_rows)
        plain, options, beside = yield from walk_document(body, "data", read, _body_decoder)
        rows = _only_once(_Sound(plain.array, options, beside))
    if rows is None:  # not within `except`, whose error would hold the body as a context
        rows = yield from _read_odd(body, spec, [most_rows, *spec.shape[1:]])
    return rows


def _refuse_long_texts(body: bytes) -> None:
    """Refuse strings of which there are too many, or too long ones.

    Raises:
        BodyTooLarge: Names the bound.
    """
    quotes = body.count(b'"') if len(body) <= MAX_TEXT_BYTES else 0
    if len(body) > MAX_TEXT_BYTES or quotes > MAX_TEXT_QUOTES:
        raise BodyTooLarge(
            f"data: expected at most {MAX_TEXT_QUOTES // 2} strings in {MAX_TEXT_BYTES} bytes, "
            f"found {f'{quotes // 2} strings' if quotes else f'{len(body)} bytes'}"
        )


def _read_plain(body: bytes, start: int, spec: TensorSpec, most: int) -> Steps[_Plain]:
    """Read rows of one shape, behind which no other bracket is.

    Raises:
        InvalidInput: They are something else, or odd.
    """
    text = Text(body, start, body.rfind(b"]", start) + 1)
    if not text.stop:
        raise InvalidInput("data: expected a list with its end, found none")
    most_values = most * prod(spec.shape[1:]) if spec.settled else None
    if spec.dtype == "str":
        reading = read_strings(text, most_values, "data")
    else:
        reading = read_numbers(text, spec.numpy_dtype, most_values, "data")
    values, skeleton, as_floats = yield from reading
    if as_floats and max(values.max(), -int(values.min())) > MOST_EXACT:
        raise InvalidInput("data: expected whole numbers that floats can tell, found others")
    shape = yield from shape_of(skeleton, len(spec.shape), "data")
    if prod(shape) != len(values):
        raise InvalidInput("data: expected lists of at least 1 value, found an empty one")
    return _Plain(text, values.reshape(shape))


def _read_odd(body: bytes, spec: TensorSpec, limits: list[int]) -> Steps[Rows]:
    """Read what is odd and good, or tell why it is bad."""
    try:
        sound = yield from _read_sound(body, spec, limits)
    except _Unread as error:
        fault = error.with_traceback(None)  # it would hold this frame, and that the body
    else:
        return _only_once(sound)
    if spec.numpy_dtype.kind in "iu" and isinstance(fault, msgspec.ValidationError):
        whole = None
        with suppress(InvalidInput, *_Unread):
            floats = TensorSpec(spec.name, "float64", spec.shape)
            sound = yield from _read_sound(body, floats, limits)
            whole = whole_numbers(sound.array, spec.numpy_dtype)
        if whole is not None:
            return _only_once(sound._replace(array=whole))
    if "of length <=" in str(fault) and not str(fault).endswith("`$.data`"):
        with suppress(*_Unread):
            any_length = [limits[0], *[-1] * (len(limits) - 1)]
            sound = yield from _read_sound(body, spec, any_length)
            spec.check_shape(sound.array.shape)
    explain_decode_error(fault, body, "JSON", cast(Any, PredictBody))


def _only_once(sound: _Sound) -> Rows:
    refuse_json_duplicates(sound.beside, keys_only_strings=True)
    return Rows(sound.array, sound.options)


def _read_sound(body: bytes, spec: TensorSpec, limits: list[int]) -> Steps[_Sound]:
    """Read a body whose types are right and whose lists are no longer than their limits.

    Raises:
        msgspec.DecodeError: It is none; as of the whole.
        InvalidInput: Its lists are empty, ragged, or a value is out of the dtype's range.
    """
    read = partial(walk_lists, kind=spec.numpy_dtype.kind, limits=limits)
    found, options, beside = yield from walk_document(body, "data", read, _body_decoder)
    array = yield from _to_array(found, spec)
    return _Sound(array, options, beside)


def _to_array(lists: Lists, spec: TensorSpec) -> Steps[Array]:
    """Make an array of lists.

    Raises:
        InvalidInput: They are empty, ragged, or a value is out of the dtype's range.
    """
    if lists.sizes[0] == 0:
        raise InvalidInput("data: expected at least 1 row, found 0")
    values, beyond = yield from _read_values(lists, spec)
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


def _read_values(lists: Lists, spec: TensorSpec) -> Steps[tuple[Array, int | None]]:
    """Read all values, and tell the first that is out of range."""
    text, start, count = lists.text, lists.text.start, 0
    values: Array = np.empty(lists.num_values, spec.numpy_dtype)
    while start < text.stop:
        yield
        flat, start = yield from read_flat(text, start, "data")
        piece = _decoders[spec.numpy_dtype.kind].decode(flat)
        if (beyond := first_unfit(piece, spec)) is not None:
            return values, count + beyond
        values[count : count + len(piece)] = piece
        count += len(piece)
    return values, None
