"""Large JSON of `POST /predict`: numbers in pieces, strings up to a bound that is read in 5 ms."""

import re
from math import prod
from typing import Any, NamedTuple, cast

import msgspec

from app.engine.duplicate_keys import refuse_json_duplicates
from app.engine.explain import explain_decode_error
from app.engine.json_numbers import Text, read_numbers, shape_of
from app.engine.schema import PredictBody
from app.engine.tensor import MOST_EXACT, Array, TensorSpec
from app.engine.turns import Steps
from app.errors import BodyTooLarge, InvalidInput, MalformedRequest

MAX_TEXT_BYTES, MAX_TEXT_QUOTES = 4_194_304, 131_072
"""Of a JSON body whose values are strings: 1 ns a byte, 70 a string."""

_blank = rb"[ \t\r\n]{0,64}"
_option = rb'"(?:use_cache|cache_ttl)"%b:%b[-+.\w]{1,24}%b' % (_blank, _blank, _blank)
_before = rb"(?:%b,%b){0,2}" % (_option, _blank)
_behind = rb"(?:,%b%b){0,2}" % (_blank, _option)
_head = re.compile(rb'%b\{%b(%b)"data"%b:%b(?=\[)' % (_blank, _blank, _before, _blank, _blank))
_tail = re.compile(rb"%b(%b)\}%b" % (_blank, _behind, _blank))
_options: msgspec.json.Decoder[PredictBody[int]] = msgspec.json.Decoder(PredictBody[int])


class Rows(NamedTuple):
    """What a body holds; its values are not yet held against the model's shape."""

    array: Array
    options: PredictBody[Any]


def read_rows(body: bytes, spec: TensorSpec, max_rows: int) -> Steps[Rows]:
    """Read numbers in JSON.

    Args:
        body: As received.
        spec: Of the input, with numbers.
        max_rows: Most rows in one request.

    Raises:
        MalformedRequest: It is no object with `data` and what may stand beside it.
        InvalidInput: Its rows are not of one shape, of other values, or too many.
    """
    text, options = _open(body)
    most = max_rows * prod(spec.shape[1:]) if spec.settled else None
    values, skeleton, as_floats = yield from read_numbers(text, spec.numpy_dtype, most, "data")
    if as_floats and max(values.max(), -int(values.min())) > MOST_EXACT:
        raise InvalidInput("data: expected whole numbers that floats can tell, found others")
    shape = yield from shape_of(skeleton, len(spec.shape), "data")
    if prod(shape) != len(values):
        raise InvalidInput("data: expected lists of at least 1 value, found an empty one")
    return Rows(values.reshape(shape), options)


def read_texts(body: bytes, decoder: msgspec.json.Decoder[Any]) -> tuple[Any, PredictBody[int]]:
    """Read strings in JSON, in one go.

    Args:
        body: As received.
        decoder: Of the nested lists of strings.

    Returns:
        The lists, and what stands beside them.

    Raises:
        BodyTooLarge: Names the bound.
        MalformedRequest: As `read_rows`.
        InvalidInput: There is something else in the lists.
    """
    quotes = body.count(b'"') if len(body) <= MAX_TEXT_BYTES else 0
    if len(body) > MAX_TEXT_BYTES or quotes > MAX_TEXT_QUOTES:
        raise BodyTooLarge(
            f"data: expected at most {MAX_TEXT_QUOTES // 2} strings in {MAX_TEXT_BYTES} bytes, "
            f"found {f'{quotes // 2} strings' if quotes else f'{len(body)} bytes'}"
        )
    (_, start, stop), options = _open(body)
    try:
        return decoder.decode(memoryview(body)[start:stop]), options
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, body, "JSON", cast(Any, PredictBody))


def _open(body: bytes) -> tuple[Text, PredictBody[int]]:
    """Give the list that is `data`, and what stands beside it."""
    end = body.rfind(b"]") + 1
    head = _head.match(body)
    tail = _tail.fullmatch(body, end) if end else None
    if head is None or tail is None:
        raise MalformedRequest(
            f'body: expected {{"data": […]}} in JSON of {len(body)} bytes, with use_cache and '
            "cache_ttl once each at most beside it, found something else"
        )
    options = _read_options(b'{%b"data":0%b}' % (head[1], tail[1]))
    return Text(body, head.end(), end), options


def _read_options(document: bytes) -> PredictBody[int]:
    try:
        found = _options.decode(document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        explain_decode_error(error, document, "JSON", cast(Any, PredictBody))
    refuse_json_duplicates(document, True)
    return found
