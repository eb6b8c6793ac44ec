"""Long `data` of the Open Inference Protocol that the short way does not take: read all the same.

Empty lists and much white space are taken, and what is wrong is told as of a short one.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn

import msgspec
import numpy as np

from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.explain import explain_decode_error
from ml_pipeline.engine.wire.infer_document import Cut
from ml_pipeline.engine.wire.infer_schema import InferBody, datatypes
from ml_pipeline.engine.wire.json_members import look_through
from ml_pipeline.engine.wire.json_numbers import PIECE_BYTES, Text
from ml_pipeline.engine.wire.json_strings import read_flat
from ml_pipeline.engine.wire.json_windows import TRUNCATED, moved
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InvalidInput

python_types: dict[str, tuple[type, ...]] = {
    "f": (float, int),
    "i": (int,),
    "u": (int,),
    "b": (bool,),
    "O": (str,),
}
"""Of the values of a tensor, by the kind of its dtype."""

_any: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[Any])
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_body = msgspec.json.Decoder(InferBody)


def check_list(text: Text) -> Steps[None]:
    """Refuse what is no JSON.

    Raises:
        MalformedRequest: As of the whole body.
    """
    try:
        found = yield from look_through(text.body, text.start)
        if found.stop != text.stop:
            _refuse_rest(text.body[found.stop : text.stop], found.stop)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, text.body, "JSON", InferBody)


def _refuse_rest(rest: bytes, place: int) -> None:
    """Raise for what stands behind a list that was closed."""
    before = b'{"":[]'
    try:
        _object.decode(before + rest)
    except msgspec.DecodeError as error:
        raise moved(error, place - len(before)) from None


def decode_document(document: bytes) -> InferBody:
    """Decode the JSON of a request.

    Raises:
        InferenceError: What is wrong with it.
    """
    try:
        return _body.decode(document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, document, "JSON", InferBody)


def decode_cut(cut: Cut) -> Steps[InferBody]:
    """Decode what is left of the JSON of a large one; errors as of the whole."""
    try:
        return _body.decode(cut.document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        fault = error.with_traceback(None)
    return (yield from _refuse_document(cut, fault))


def _refuse_document(cut: Cut, error: Exception) -> Steps[NoReturn]:
    """Raise for the first fault of a document that is none, or of a list that was cut out of it.

    Args:
        cut: The document.
        error: What its decoder raised.

    Raises:
        InferenceError: As of the whole.
    """
    left_out = 0
    for name, text in cut.lists.items():
        place = cut.document.find(name)
        try:
            _body.decode(cut.document[:place])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as found:
            if str(found) != TRUNCATED:
                break
        yield from check_list(text)
        left_out += text.stop - text.start - len(name)
    if isinstance(error, msgspec.DecodeError):
        error = moved(error, left_out)
    explain_decode_error(error, cut.document, "JSON", InferBody)


def read_odd(text: Text, shape: Sequence[int], spec: TensorSpec, field: str) -> Steps[Array]:
    """Make an array of a list that is sound JSON; as `from_json`.

    Raises:
        InvalidInput: Another number of values than the shape has, or one that does not fit.
        BodyTooLarge: There are no commas for long.
    """
    field, kind, count = f"{field}.data", spec.numpy_dtype.kind, prod(shape)
    yield from _refuse_many(text, shape, spec, field)
    array: Array = np.empty(count, spec.numpy_dtype)
    found, wrong, beyond, start = 0, "", False, text.start
    while start < text.stop:
        yield
        flat, start = yield from read_flat(text, start, field)
        values = _values(flat, kind, field)
        wrong = wrong or _wrong(values, kind, field)
        if not wrong and not beyond and found + len(values) <= count:
            try:
                array[found : found + len(values)] = np.array(values, spec.numpy_dtype)
            except (ValueError, OverflowError, RuntimeWarning):
                beyond = True
        found += len(values)
    if wrong:
        raise InvalidInput(wrong)
    if found != count:
        raise InvalidInput(f"{field}: expected {count} values for {list(shape)}, found {found}")
    if beyond:
        told = f"expected values of {datatypes[spec.dtype]}, found one out of its range"
        raise InvalidInput(f"{field}: {told}")
    return array.reshape(shape)


def _refuse_many(text: Text, shape: Sequence[int], spec: TensorSpec, field: str) -> Steps[None]:
    """Refuse more commas than there may be, before lists are made of what is between them."""
    if spec.dtype == "str":
        return
    most = prod(shape[: list(shape).index(0)] if 0 in shape else shape)
    commas = 0
    for start in range(text.start, text.stop, PIECE_BYTES * 8):
        commas += text.body.count(b",", start, min(start + PIECE_BYTES * 8, text.stop))
        if commas >= most:
            told = f"expected {prod(shape)} values for {list(shape)}, found more"
            raise InvalidInput(f"{field}: {told}")
        yield


def _values(flat: bytes, kind: str, field: str) -> list[Any]:
    """Read a flat list; whole numbers may be written as 1.0."""
    try:
        values = _any.decode(flat)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"{field}: expected a number of at most 1.8e308, found a larger one"
        ) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{field}: expected strings in UTF-8, found others") from None
    except msgspec.DecodeError:  # of which a comma was taken for one of the list
        raise _wrong_type(kind, dict, field) from None
    if kind in "iu":
        return [int(each) if type(each) is float and each.is_integer() else each for each in values]
    return values


def _wrong(values: list[Any], kind: str, field: str) -> str:
    """Say of the first value that is of another type; empty if there is none."""
    types = python_types[kind]
    for each in values:
        if type(each) not in types:
            return _wrong_type(kind, type(each), field).detail
    return ""


def _wrong_type(kind: str, found: type, field: str) -> InvalidInput:
    expected = " or ".join(each.__name__ for each in python_types[kind])
    return InvalidInput(f"{field}: expected {expected}, found {found.__name__}")
