"""A long list of anything in JSON → its members, each undecoded: msgspec reads them in windows.

As in `json_windows.py` a window is read behind what is open where it begins, so that what is wrong
is told as of the whole. All of it is read, so that a member is sound JSON, however long it is.
"""

import re
from typing import NamedTuple

import msgspec

from app.engine.json_lists import end_of_string
from app.engine.json_numbers import Text
from app.engine.json_windows import BLANKS, TRUNCATED, seen_ahead
from app.engine.large_rows import MAX_TEXT_BYTES
from app.engine.turns import Steps
from app.errors import InvalidInput

WINDOW_BYTES = 16_384
"""Read in 0.4 ms at most."""

MARKS_A_PIECE = 512
"""Strings and brackets, 0.5 to 1 µs each."""

_mark = re.compile(rb'["\[\]{}]')
_byte = re.compile(r"\(byte (\d+)\)")
_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_LIST, _OBJECT = ord("["), ord("{")


class Members(NamedTuple):
    """Where the list is, and what is in it."""

    text: Text
    raws: list[msgspec.Raw]


def walk_members(body: bytes, start: int, most: int | None) -> Steps[Members]:
    """Split a list.

    Args:
        body: It stands in.
        start: Of its bracket.
        most: Members that it may have; None to look it through alone.

    Raises:
        msgspec.DecodeError: As of the whole.
        RecursionError: Likewise.
        InvalidInput: It has more.
        BodyTooLarge: A string is longer than is looked through in one go.
    """
    walk = _Walk(body, start, most)
    while walk.seen < len(body):
        begun = walk.begun
        for _ in range(MARKS_A_PIECE):
            if walk.go_on():
                return Members(Text(body, start, walk.place), walk.raws)
            if walk.begun > begun:
                break
        yield
    walk.check(len(body))
    raise msgspec.DecodeError(TRUNCATED)


class _Walk:
    """From one string or bracket to the next.

    Mutable state: where it is, and to where no mark was seen; where the window began, behind which
    text; what is open; the members, and where the one under way began.
    """

    def __init__(self, body: bytes, start: int, most: int | None) -> None:
        self._body = body
        self._most = most
        self.place = self.seen = self.begun = start
        self._before = b""
        self._open = bytearray()
        self._member = start + 1
        self.raws: list[msgspec.Raw] = []

    def go_on(self) -> bool:
        """Go to the next mark, or as far as a window; tell whether the list is closed."""
        end = max(self.begun, self.seen) + WINDOW_BYTES
        found = _mark.search(self._body, self.seen, end)
        if found is None:
            self._pass_scalars(end)
            return False
        start, stop = found.span()
        self._split(start)
        mark = self._body[start]
        after_value = True
        if mark in b"[{":
            self._open.append(mark)
            after_value = False
        elif mark == ord('"'):
            stop = end_of_string(self._body, start, MAX_TEXT_BYTES)
        else:
            if len(self._open) == 1 and self._most is not None:
                self._end(start, last=True)
            self._open.pop()
        self.place = self.seen = stop
        if not self._open:
            self.check(stop)
            return True
        if stop - self.begun >= WINDOW_BYTES and mark != ord('"'):
            self.check(stop)
            self._begin(stop, after_value=after_value)
        return False

    def check(self, stop: int) -> None:
        """Read the window to here.

        Raises:
            msgspec.DecodeError: It is no JSON.
            RecursionError: It is too deep.
        """
        stop = seen_ahead(self._body, self.begun, stop)
        try:
            _list.decode(self._before + self._body[self.begun : stop])
        except msgspec.DecodeError as error:
            text = str(error)
            if text != TRUNCATED:
                moved = self.begun - len(self._before)
                told = _byte.sub(lambda byte: f"(byte {int(byte[1]) + moved})", text)
                raise type(error)(told) from None

    def _begin(self, place: int, *, after_value: bool) -> None:
        """Begin a window, behind a bracket or at a comma."""
        self.begun = place
        *outer, inner = self._open
        self._before = b"".join([b"[" if each == _LIST else b'{"":' for each in outer])
        if after_value:
            self._before += b"[0" if inner == _LIST else b'{"":0'
        else:
            self._before += b"[" if inner == _LIST else b"{"

    def _pass_scalars(self, end: int) -> None:
        """Go to the last comma of a list in a window; if there is none, the window grows."""
        comma = -1
        if self._open[-1] == _LIST:
            comma = self._body.rfind(b",", max(self.place + 1, self.seen), end)
        self.seen = end
        if comma >= 0:
            self._split(comma)
            self.place = comma
            self.check(comma + 1)
            self._begin(comma, after_value=True)

    def _split(self, stop: int) -> None:
        """End members at the commas from where it is to here."""
        if len(self._open) != 1 or self._most is None:
            return
        comma = self._body.find(b",", max(self.place, self._member), stop)
        while comma >= 0:
            self._end(comma)
            comma = self._body.find(b",", comma + 1, stop)

    def _end(self, stop: int, *, last: bool = False) -> None:
        text = self._body[self._member : stop].strip(BLANKS)
        if last and not text and not self.raws:
            return
        if len(self.raws) == self._most:
            raise InvalidInput(f"requests: expected at most {self._most}, found more")
        self.raws.append(msgspec.Raw(text))
        self._member = stop + 1
