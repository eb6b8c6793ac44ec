"""Large JSON of the Open Inference Protocol: the numbers are cut out, so that little is left.

What is left is decoded in one go, as any small request is; the numbers are `json_numbers.py`'s.
"""

import os
import re
from typing import NamedTuple

from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.errors import BodyTooLarge, InvalidInput, MalformedRequest

MOST_UNKNOWN = 64
"""Lists called `data` that are no input's: of what the protocol lets clients send beside them."""

LOOKED_THROUGH_BYTES = 65_536
"""Of a list, for a value: 5 to 10 ns each."""

MAX_DOCUMENT_BYTES = 1_048_576
"""Of what is left: 5 ns a byte, or 1 ns where it is strings."""

_data = re.compile(rb'"data"(?<!\\"data")[ \t\r\n]{0,64}:[ \t\r\n]{0,64}\[')
"""Stands in no string of sound JSON: there each quote has a backslash before it."""
_value = re.compile(rb"[^ \t\r\n\[\],]")


MAX_KEYS = 32_768
"""Of objects in what is left: 60 to 100 ns each, where no two are alike."""


class Cut(NamedTuple):
    """A document whose lists of numbers are names, and the lists by name.

    A name is a string that no client can have known.
    """

    document: bytes
    lists: dict[bytes, Text]


def cut(document: bytes, max_lists: int) -> Cut:
    """Take every `data` that is a list of numbers out of a document.

    Args:
        document: JSON, as sent.
        max_lists: Most of them: the inputs of the model.

    Raises:
        MalformedRequest: A list does not end.
        InvalidInput: There are more lists.
        BodyTooLarge: What is left is more than is read in one go.
    """
    parts: list[bytes] = []
    lists: dict[bytes, Text] = {}
    secret = os.urandom(16).hex().encode()
    position = left = num_left_in = 0
    while found := _data.search(document, position, position + MAX_DOCUMENT_BYTES):
        start = found.end() - 1
        quote = document.find(b'"', start)
        behind = len(document) if quote < 0 else quote
        brace = document.find(b"}", start, behind)  # no farther: this is done for each list
        if quote < 0 and brace < 0:
            raise MalformedRequest("body: expected JSON, found a list without its end")
        stop = document.rfind(b"]", start, behind if brace < 0 else brace) + 1
        # Strings, or nothing:
        if not stop or not _value.search(document, start, min(stop, start + LOOKED_THROUGH_BYTES)):
            num_left_in += 1
            if num_left_in > max_lists + MOST_UNKNOWN:
                raise InvalidInput(f"inputs: expected at most {max_lists} with data, found more")
            parts.append(document[position : found.end()])
            left += found.end() - position
            position = found.end()
        else:
            if len(lists) == max_lists:
                raise InvalidInput(f"inputs: expected at most {max_lists} with data, found more")
            name = b'"%b-%d"' % (secret, len(lists))
            parts += (document[position:start], name)
            lists[name] = Text(document, start, stop)
            left += start - position
            position = stop
        if left > MAX_DOCUMENT_BYTES:
            break
    if left + len(document) - position > MAX_DOCUMENT_BYTES:
        raise BodyTooLarge(
            f"body: expected at most {MAX_DOCUMENT_BYTES} bytes of JSON beside numbers, found "
            "more; strings may be binary data"
        )
    return Cut(b"".join([*parts, document[position:]]), lists)


def refuse_many_keys(document: bytes) -> None:
    """Refuse what would take long to decode for its keys, which no model has so many of.

    A quote before a colon ends a key, unless it is escaped.

    Args:
        document: JSON, as far as it is left.

    Raises:
        BodyTooLarge: Names the bound.
    """
    if len(document) < 4 * MAX_KEYS:
        return
    text = document.translate(None, b" \t\r\n").replace(b"\\\\", b"")
    count = text.count(b'":') - text.count(b'\\":')
    if count > MAX_KEYS:
        raise BodyTooLarge(f"body: expected at most {MAX_KEYS} keys, found {count}")


def json_length(header: bytes, num_bytes: int) -> int:
    """Read where the JSON ends; within the body.

    Args:
        header: As sent.
        num_bytes: Of the body.

    Raises:
        MalformedRequest: It is no length, or is beyond it.
    """
    length = int(header) if header.isdigit() and len(header) <= 19 else -1
    if not 0 <= length <= num_bytes:
        found = header[:24].decode("latin-1")
        raise MalformedRequest(
            f"inference-header-content-length: expected 0 to {num_bytes}, found {found!r}"
        )
    return length
