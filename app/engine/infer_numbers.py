"""Long `data` of the Open Inference Protocol that the short way does not take: read all the same.

Empty lists and much white space are taken, and what is wrong is told as of a short one.
"""

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NoReturn

import msgspec
import numpy as np

from app.engine.explain import explain_decode_error
from app.engine.infer_document import Cut
from app.engine.infer_schema import InferBody, datatypes
from app.engine.json_members import walk_members
from app.engine.json_numbers import PIECE_BYTES, Text
from app.engine.json_windows import TRUNCATED
from app.engine.tensor import Array, TensorSpec
from app.engine.turns import Steps
from app.errors import InvalidInput

_any: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[Any])
_types: dict[str, tuple[type, ...]] = {
    "f": (float, int),
    "i": (int,),
    "u": (int,),
    "b": (bool,),
    "O": (str,),
}
_byte = re.compile(r"\(byte (\d+)\)")
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_body = msgspec.json.Decoder(InferBody)
_commas = re.compile(rb",,+")


def check_list(text: Text) -> Steps[None]:
    """Refuse what is no JSON.

    Raises:
        MalformedRequest: As of the whole body.
    """
    try:
        members = yield from walk_members(text.body, text.start, None)
        if members.text.stop != text.stop:
            _refuse_rest(text.body[members.text.stop : text.stop], members.text.stop)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, text.body, "JSON", InferBody)


def _refuse_rest(rest: bytes, place: int) -> None:
    """Raise for what stands behind a list that was closed."""
    before = b'{"":[]'
    try:
        _object.decode(before + rest)
    except msgspec.DecodeError as error:
        moved = place - len(before)
        told = _byte.sub(lambda byte: f"(byte {int(byte[1]) + moved})", str(error))
        raise msgspec.DecodeError(told) from None


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
        told = _byte.sub(lambda byte: f"(byte {int(byte[1]) + left_out})", str(error))
        error = type(error)(told)
    explain_decode_error(error, cut.document, "JSON", InferBody)


def read_odd_numbers(
    text: Text, shape: Sequence[int], spec: TensorSpec, field: str
) -> Steps[Array]:
    """Make an array of a list that is sound JSON without strings; as `from_json`.

    Raises:
        InvalidInput: Another number of values than the shape has, or one that does not fit.
    """
    kind, count = spec.numpy_dtype.kind, prod(shape)
    most = prod(shape[: list(shape).index(0)] if 0 in shape else shape)
    if kind != "O":
        commas = 0
        for start in range(text.start, text.stop, PIECE_BYTES * 8):
            commas += text.body.count(b",", start, min(start + PIECE_BYTES * 8, text.stop))
            if commas >= most:
                raise InvalidInput(
                    f"{field}.data: expected {count} values for {list(shape)}, found more"
                )
            yield
    array: Array = np.empty(count, spec.numpy_dtype)
    found, wrong, beyond = 0, "", False
    for piece in _pieces(text):
        yield
        try:
            values = _any.decode(piece)
        except msgspec.ValidationError:
            raise InvalidInput(
                f"{field}.data: expected a number of at most 1.8e308, found a larger one"
            ) from None
        values = [_whole(value) if kind in "iu" else value for value in values]
        for value in values:
            if not wrong and type(value) not in _types[kind]:
                expected = " or ".join(each.__name__ for each in _types[kind])
                wrong = f"{field}.data: expected {expected}, found {type(value).__name__}"
        if not wrong and not beyond and found + len(values) <= count:
            try:
                array[found : found + len(values)] = np.array(values, spec.numpy_dtype)
            except (ValueError, OverflowError, RuntimeWarning):
                beyond = True
        found += len(values)
    if wrong:
        raise InvalidInput(wrong)
    if found != count:
        raise InvalidInput(
            f"{field}.data: expected {count} values for {list(shape)}, found {found}"
        )
    if beyond:
        datatype = datatypes[spec.dtype]
        raise InvalidInput(
            f"{field}.data: expected values of {datatype}, found one out of its range"
        )
    return array.reshape(shape)


def _pieces(text: Text) -> Iterator[bytes]:
    """Give its values in flat lists."""
    body, start, end = text
    while start < end:
        stop = body.find(b",", start + PIECE_BYTES, end)
        stop = end if stop < 0 else stop
        flat = body[start:stop].translate(None, b"[] \t\r\n")
        yield b"[%b]" % _commas.sub(b",", flat).strip(b",")
        start = stop


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value
