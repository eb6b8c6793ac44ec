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

_letters = [rb"(?:%b|\\u00%02x)" % (letter.encode(), ord(letter)) for letter in "data"]
_list = rb"[ \t\r\n]*+:[ \t\r\n]*+\["
_data = re.compile(rb'"data"(?<!\\"data")' + _list)
"""Stands in no string of sound JSON: there each quote has a backslash before it."""
_escaped_data = re.compile(rb'"(?<!\\")%b"' % b"".join(_letters) + _list)
"""Is five times as slow."""
_member = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+[,\]]', re.DOTALL)
"""A string in a list; a key has a colon behind it."""
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
        InvalidInput: There are more lists.
        BodyTooLarge: What is left is more than is read in one go.
    """
    parts: list[bytes] = []
    lists: dict[bytes, Text] = {}
    secret = os.urandom(16).hex().encode()
    position = left = num_left_in = 0
    data = _escaped_data if b"\\u00" in document else _data
    while found := data.search(document, position, position + MAX_DOCUMENT_BYTES):
        start = found.end() - 1
        quote = document.find(b'"', start)
        behind = len(document) if quote < 0 else quote
        brace = document.find(b"}", start, behind)  # no farther: this is done for each list
        if quote < 0 and brace < 0:
            name = b'"%b-%d"' % (secret, len(lists))  # it has no end, as its reader will tell
            lists[name] = Text(document, start, len(document))
            return Cut(b"".join([*parts, document[position:start], name]), lists)
        stop = document.rfind(b"]", start, behind if brace < 0 else brace) + 1
        if not stop or not _are_numbers(document, start, stop, quote, brace):
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


def _are_numbers(document: bytes, start: int, stop: int, quote: int, brace: int) -> bool:
    """Tell a list of numbers from one in which strings or objects follow them, and from nothing.

    Args:
        document: The list stands in.
        start: Of it.
        stop: Behind the last bracket before the next quote or brace.
        quote: The next; -1 if there is none.
        brace: The next that closes, before the quote; -1 if there is none.
    """
    if brace < 0 and _member.match(document, quote, quote + LOOKED_THROUGH_BYTES):
        return False
    if document.find(b"{", stop, quote if brace < 0 else brace) >= 0:
        return False
    return bool(_value.search(document, start, min(stop, start + LOOKED_THROUGH_BYTES)))


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
