"""Large JSON of the Open Inference Protocol: the numbers are cut out, so that little is left.

What is left is decoded in one go, as any small request is; the numbers are `json_numbers.py`'s.
"""

import os
import re
from typing import NamedTuple

from app.engine.json_numbers import Text
from app.errors import BodyTooLarge, InvalidInput

MOST_UNKNOWN = 64
"""Lists called `data` that are no input's: of what the protocol lets clients send beside them."""

LOOKED_THROUGH_BYTES = 65_536
"""Of a list, for a value: 5 to 10 ns each."""

MAX_DOCUMENT_BYTES = 1_048_576
"""Of what is left: 5 ns a byte, or 1 ns where it is strings."""

_letters = [rb"(?:%b|\\u00%02x)" % (letter.encode(), ord(letter)) for letter in "data"]
_data = re.compile(rb'(?<!\\)"%b"[ \t\r\n]*+:[ \t\r\n]*+\[' % b"".join(_letters))
"""Stands in no string of sound JSON: there each quote has a backslash before it."""
_string = re.compile(rb'[^"\[\]{}:]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+[,\]]', re.DOTALL)
"""Is a member of a list; a key has a colon behind it."""
_value = re.compile(rb"[^ \t\r\n\[\],]")


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
            name = b'"%b-%d"' % (secret, len(lists))  # it has no end, as its reader will tell
            lists[name] = Text(document, start, len(document))
            return Cut(b"".join([*parts, document[position:start], name]), lists)
        stop = document.rfind(b"]", start, behind if brace < 0 else brace) + 1
        # Strings, also behind numbers, or nothing:
        if (
            not stop
            or _string.match(document, stop)
            or not _value.search(document, start, min(stop, start + LOOKED_THROUGH_BYTES))
        ):
            num_left_in += 1
            if num_left_in > max_lists + MOST_UNKNOWN:
                raise InvalidInput(f"inputs: expected at most {max_lists} with data, found more")
            parts.append(document[position : found.end()])
            left += found.end() - position
            position = found.end()
        else:
            if len(lists) == max_lists + MOST_UNKNOWN:
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
