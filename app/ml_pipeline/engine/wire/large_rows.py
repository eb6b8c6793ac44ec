"""Large JSON of `POST /predict`, in pieces; strings up to a bound."""

import re
from math import prod
from typing import Any, NamedTuple, cast

import msgspec

from ml_pipeline.engine.signature.schema import PredictBody
from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.duplicate_keys import refuse_json_duplicates
from ml_pipeline.engine.wire.explain import explain_decode_error
from ml_pipeline.engine.wire.json_numbers import Text, read_numbers, shape_of
from ml_pipeline.engine.wire.json_strings import read_strings
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest

MAX_TEXT_BYTES, MAX_TEXT_QUOTES = 4_194_304, 262_144
"""Of a JSON body whose values are strings."""

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
    """Read numbers or strings in JSON.

    Args:
        body: As received.
        spec: Of the input.
        max_rows: Most rows in one request.

    Raises:
        MalformedRequest: It is no object with `data` and what may stand beside it.
        InvalidInput: Its rows are not of one shape, of other values, or too many.
        BodyTooLarge: There are too many strings, or they are too long.
    """
    if spec.dtype == "str":
        _refuse_long_texts(body)
    text, options = _open(body)
    most = max_rows * prod(spec.shape[1:]) if spec.settled else None
    if spec.dtype == "str":
        values, skeleton = yield from read_strings(text, most, "data")
    else:
        values, skeleton = yield from read_numbers(text, spec.numpy_dtype, most, "data")
    shape = yield from shape_of(skeleton, len(spec.shape), "data")
    if prod(shape) != len(values):
        raise InvalidInput("data: expected lists of at least 1 value, found an empty one")
    return Rows(values.reshape(shape), options)


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
