"""A JSON object of which one list is long: the list is looked through apart, the rest in one go.

What msgspec would say of the whole is said: of what comes first.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.engine.wire.json_windows import TRUNCATED, moved, string_end
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge, InvalidInput

WINDOW_BYTES = 65_536
"""Without any string or bracket, 5 to 10 ns each."""

MARKS_A_PIECE = 512
"""Strings and brackets, 0.5 to 1 µs each."""

MAX_BESIDE_BYTES = 1_048_576
"""On each side of a list; they are read in one go, 5 ns each."""

LONGEST_KEY_BYTES = 64

MOST_LISTS = 16
"""Of one key: what stands before a list is read again for each."""

_mark = re.compile(rb'["\[\]{}]')
_list = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+(?=\[)")


class HasText(Protocol):
    """What was made of a list, and where that is."""

    @property
    def text(self) -> Text:
        """Of the list."""


Found = TypeVar("Found", bound=HasText)


def walk_document(
    body: bytes, key: str, read: Callable[[bytes, int], Steps[Found]], decoder: Any
) -> Steps[tuple[Found, Any, bytes]]:
    """Look through an object.

    Args:
        body: As received.
        key: Of the list.
        read: Reads the list, from its bracket on; raises as msgspec would.
        decoder: Of the object, in which the list is empty.

    Returns:
        The last list, the object, and its text.

    Raises:
        msgspec.DecodeError: As of the whole.
        InvalidInput: The key is there far too often.
        BodyTooLarge: What stands beside the list is too long.
    """
    document = _Document(body, decoder)
    found: Found | None = None
    place, within, num_marks, num_lists = 0, False, 0, 0
    while place < len(body):
        _bound(place - document.place, key)
        mark = _mark.search(body, place, place + WINDOW_BYTES)
        num_marks += 1
        if mark is None or num_marks % MARKS_A_PIECE == 0:
            yield
        if mark is None:
            place += WINDOW_BYTES
            continue
        if num_marks % MARKS_A_PIECE == 0 and num_marks.bit_count() == 1:
            document.decode(place)  # many keys are none of ours, and need not all be read
        start, place = mark.span()
        if mark[0] == b'"':
            place = yield from string_end(body, start)
            begin = _start_of_list(key, body, start, place) if within else -1
            if begin < 0:
                continue
            document.decode(begin)
            if num_lists == MOST_LISTS:
                raise InvalidInput(f"{key}: expected once, found twice")
            num_lists += 1
            found = yield from read(body, begin)
            document.lift(found.text.start, found.text.stop)
            place = found.text.stop
        elif mark[0] == b"{" and not within:
            within = True
        else:
            document.decode(place)  # a bracket that stands where none may, or the last
            break
    whole = document.decode(len(body))
    if found is None:
        raise msgspec.DecodeError(TRUNCATED)  # not reached: the key would be missing
    return found, whole, document.text(len(body))


def _bound(num_bytes: int, key: str) -> None:
    """Refuse a document that has too much beside its list."""
    if num_bytes > MAX_BESIDE_BYTES:
        raise BodyTooLarge(
            f"body: expected at most {MAX_BESIDE_BYTES} bytes beside {key}, found more"
        )


def _start_of_list(key: str, body: bytes, start: int, stop: int) -> int:
    """Tell where the list begins of which a string is the key; -1 if it is no such key."""
    colon = _list.match(body, stop, stop + MAX_BESIDE_BYTES)
    if colon is None or stop - start > LONGEST_KEY_BYTES:
        return -1
    try:
        return colon.end() if msgspec.json.decode(body[start:stop]) == key else -1
    except (msgspec.DecodeError, UnicodeDecodeError):
        return -1


class _Document:
    """What stands beside the lists of a body, which are empty in it.

    Mutable state: its parts, and how much was left out before each.
    """

    def __init__(self, body: bytes, decoder: Any) -> None:
        self._body = body
        self._decoder = decoder
        self._parts: list[bytes] = []
        self.place = 0

    def lift(self, start: int, stop: int) -> None:
        """Take a list out."""
        self._parts += (self._body[self.place : start], b"[]")
        self.place = stop

    def text(self, stop: int) -> bytes:
        """Give it, as far as a place in the body."""
        return b"".join([*self._parts, self._body[self.place : stop]])

    def decode(self, stop: int) -> Any:
        """Decode it as far as here; None where it is sound so far.

        Raises:
            msgspec.DecodeError: As of the whole.
        """
        document = self.text(stop)
        try:
            return self._decoder.decode(document)
        except msgspec.DecodeError as error:
            if str(error) == TRUNCATED and stop < len(self._body):
                return None
            raise moved(error, stop - len(document)) from None
