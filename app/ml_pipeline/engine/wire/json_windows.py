"""JSON lists, looked through in windows as msgspec would in one go: the same errors, to the byte.

What msgspec says of a document depends only on what stands before the fault. So a window begins at
a comma, is read behind the brackets that are open there, and what is told is put in its place: the
number of a byte, the indexes of a path. What is made of the list is `json_lists.py` (rows) and
`json_members.py` (members, each undecoded).
"""

import re
from typing import Any

import msgspec

from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.engine.wire.json_strings import end_of_string
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge

WINDOW_BYTES = 16_384
"""Read in 0.5 ms, with strings in it in 1 ms."""

MARKS_A_PIECE = 512
"""Strings and brackets, 1 to 2 µs each."""

MAX_STRING_BYTES, MAX_GAP_BYTES = 2_097_152, 1_048_576
"""Of a string, and of what has neither strings nor brackets nor commas: both are read in one go,
in 4 ms at most."""

TRUNCATED = "Input data was truncated"
BLANKS = b" \t\r\n"
LIST, QUOTE, OPENING = ord(b"["), ord(b'"'), b"[{"

_mark = re.compile(rb'["\[\]{}]')
_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_half_word = re.compile(rb"(?<![a-z])(?!true|false|null)[tfn][a-z]{0,3}[^a-z]$")
_byte = re.compile(r"\(byte (\d+)\)")


def moved(error: msgspec.DecodeError, num_bytes: int) -> msgspec.DecodeError:
    """Tell the same of a byte that is farther on in the whole."""
    told = _byte.sub(lambda byte: f"(byte {int(byte[1]) + num_bytes})", str(error))
    return type(error)(told)


def string_end(body: bytes, start: int) -> Steps[int]:
    """Give the place behind a string, or the end of the body if the string has none.

    Raises:
        BodyTooLarge: It is longer than is looked through.
    """
    if found := _string.match(body, start, start + WINDOW_BYTES):
        return found.end()
    stop = yield from end_of_string(body, start + 1, min(start + MAX_STRING_BYTES, len(body)))
    if stop < 0 and len(body) - start > MAX_STRING_BYTES:
        raise BodyTooLarge(
            f"body: expected strings of at most {MAX_STRING_BYTES} bytes, found more"
        )
    return len(body) if stop < 0 else stop


class Walk:
    """Goes through a list, from one string or bracket to the next.

    Mutable state: where it is; to where no mark was seen; where the window began, behind which
    text, and how far it was read; the brackets that are open.

    Args:
        body: The list stands in.
        start: Of its bracket.
        decoder: Of the list.
    """

    def __init__(self, body: bytes, start: int, decoder: msgspec.json.Decoder[Any]) -> None:
        self.body = body
        self.place = start
        self.open = bytearray()
        self._start = self._seen = self._begun = self._checked = start
        self._decoder = decoder
        self._before = b""

    def go(self) -> Steps[Text]:
        """Go to the bracket that closes the list; gives where it is.

        Raises:
            msgspec.DecodeError: As of the whole.
            RecursionError: Likewise.
            BodyTooLarge: Something in it is longer than is read in one go.
        """
        count = 0
        while self._seen < len(self.body):
            end = max(self._seen, self._begun) + WINDOW_BYTES
            found = _mark.search(self.body, self._seen, end)
            stop = found.start() if found else end
            if self._end_window(stop):
                yield
            self._seen = stop
            if found is None:
                continue
            self.pass_values(stop)
            behind = stop + 1
            if self.body[stop] == QUOTE:
                behind = yield from string_end(self.body, stop)
            self._pass_mark(stop, behind)
            if not self.open:
                self.check(self.place)
                return Text(self.body, self._start, self.place)
            if self.place - self._checked >= 2 * WINDOW_BYTES:
                self.check(self.place)  # without a comma it is too deep, or no JSON at all
            count += 1
            if count % MARKS_A_PIECE == 0:
                yield
        self.check(len(self.body))
        raise msgspec.DecodeError(TRUNCATED)

    def is_wanted(self, mark: int) -> bool:
        """Tell whether a string, or what a bracket opens or closes, may stand here."""
        return True

    def pass_values(self, stop: int) -> None:
        """Take note of what stands between here and a mark or comma."""

    def pass_string(self) -> None:
        """Take note of a string."""

    def open_list(self) -> None:
        """Take note of what opens here, before it is."""

    def close_list(self, place: int) -> None:
        """Take note of what closes here, before it is."""

    def told(self, text: str) -> str:
        """Say where in the whole a fault of the window is."""
        return text

    def filler(self) -> bytes:
        """Give a value that may stand in the innermost list."""
        return b"0"

    def check(self, stop: int) -> None:
        """Read the window to here.

        Raises:
            msgspec.DecodeError: It is not what it has to be.
            RecursionError: It is too deep.
        """
        self._checked = stop
        if _half_word.search(self.body, max(stop - 6, self._begun), stop):
            stop += 4  # msgspec looks ahead from the first letter of a word
        try:
            self._decoder.decode(self._before + self.body[self._begun : stop])
        except msgspec.DecodeError as error:
            if str(error) != TRUNCATED:
                fault = moved(error, self._begun - len(self._before))
                raise type(fault)(self.told(str(fault))) from None

    def begin(self, comma: int) -> None:
        """Begin a window."""
        *outer, inner = self.open
        self._begun = comma
        self._before = b"".join([b"[" if each == LIST else b'{"":' for each in outer])
        self._before += b"[" if inner == LIST else b'{"":'
        self._before += self.filler()

    def _end_window(self, stop: int) -> bool:
        """End one that is long enough, at the last comma before a mark; tell whether it did."""
        if stop - self._begun < WINDOW_BYTES:
            return False
        comma = self.body.rfind(b",", max(self.place, self._begun + 1), stop)
        if comma < 0:
            if stop - self.place > MAX_GAP_BYTES:
                raise BodyTooLarge(
                    f"body: expected a comma within {MAX_GAP_BYTES} bytes, found none"
                )
            return False
        self.pass_values(comma)
        self.place = comma
        self.check(comma + 1)
        self.begin(comma)
        return True

    def _pass_mark(self, start: int, stop: int) -> None:
        """Pass a string or a bracket."""
        mark = self.body[start]
        if not self.is_wanted(mark):
            self.check(stop)
            raise msgspec.DecodeError(TRUNCATED)
        self.place = self._seen = stop
        if mark == QUOTE:
            self.pass_string()
        elif mark in OPENING:
            self.open_list()
            self.open.append(mark)
        else:
            self.close_list(start)
            self.open.pop()
