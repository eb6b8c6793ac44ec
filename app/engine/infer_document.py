"""Large JSON of the Open Inference Protocol: the numbers are cut out, so that little is left.

What is left is decoded in one go, as any small request is; the numbers are `json_numbers.py`'s.
"""

import os
import re
from typing import NamedTuple

from app.engine.json_numbers import Text
from app.errors import BodyTooLarge, InvalidInput, MalformedRequest

MAX_DOCUMENT_BYTES = 1_048_576
"""Of what is left: 5 ns a byte, or 1 ns where it is strings."""

_data = re.compile(rb'"data"(?<!\\"data")\s{0,64}:\s{0,64}\[')
"""Stands in no string of sound JSON: there each quote has a backslash before it."""


class Cut(NamedTuple):
    """A document whose lists of numbers are names, and the lists by name.

    A name is a string that no client can have known.
    """

    document: bytes
    lists: dict[bytes, Text]


def cut(document: bytes, max_lists: int) -> Cut:
    """Take every `data` that is a list without strings out of a document.

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
    position = left = 0
    while found := _data.search(document, position, position + MAX_DOCUMENT_BYTES):
        start = found.end() - 1
        ends = [document.find(mark, start) for mark in (b'"', b"}")]
        stop = min((end for end in ends if end >= 0), default=-1)
        if stop < 0:
            raise MalformedRequest("body: expected JSON, found a list without its end")
        stop = document.rfind(b"]", start, stop) + 1
        if not stop:  # strings
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
