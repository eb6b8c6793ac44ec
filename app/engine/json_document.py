"""A JSON object of which one list is long: the list is looked through apart, the rest in one go.

What msgspec would say of the whole is said: of what comes first.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from app.engine.json_lists import MAX_STRING_BYTES, end_of_string
from app.engine.json_numbers import Text
from app.engine.json_windows import TRUNCATED
from app.engine.turns import Steps
from app.errors import BodyTooLarge, InvalidInput

WINDOW_BYTES = 65_536
"""Without any string or bracket, 5 to 10 ns each."""

MARKS_A_PIECE = 512
"""Strings and brackets, 0.5 to 1 µs each."""

LONGEST_KEY_BYTES = 64

MOST_LISTS = 16
"""Of one key: what stands before a list is read again for each."""

_mark = re.compile(rb'["\[\]{}]')
_colon = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_byte = re.compile(r"\(byte (\d+)\)")


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
    place, within, count = 0, False, 0
    num_marks, next_look = 0, MARKS_A_PIECE
    while place < len(body):
        mark = _mark.search(body, place, place + WINDOW_BYTES)
        if place - document.place > MAX_STRING_BYTES:
            raise BodyTooLarge(
                f"body: expected at most {MAX_STRING_BYTES} bytes beside {key}, found more"
            )
        if mark is None:
            place += WINDOW_BYTES
            yield
            continue
        num_marks += 1
        if num_marks % MARKS_A_PIECE == 0:
            yield
            if num_marks == next_look:  # many keys are none of ours, and need not all be read
                document.decode(place)
                next_look *= 2
        start, place = mark.span()
        if mark[0] == b'"':
            place = end_of_string(body, start)
            colon = _colon.match(body, place, place + MAX_STRING_BYTES)
            if (
                within
                and colon
                and _is_list_of(key, body[start:place], body[colon.end() : colon.end() + 1])
            ):
                document.decode(colon.end())
                if count == MOST_LISTS:
                    raise InvalidInput(f"{key}: expected once, found twice")
                count += 1
                found = yield from read(body, colon.end())
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


def _is_list_of(key: str, text: bytes, value: bytes) -> bool:
    if value != b"[" or len(text) > LONGEST_KEY_BYTES:
        return False
    try:
        return bool(msgspec.json.decode(text) == key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


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
            text = str(error)
            if text == TRUNCATED and stop < len(self._body):
                return None
            left_out = stop - len(document)
            told = _byte.sub(lambda byte: f"(byte {int(byte[1]) + left_out})", text)
            raise type(error)(told) from None
