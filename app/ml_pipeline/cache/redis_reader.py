"""hiredis' reader, which makes nothing of a reply that announces more than was asked for.

`*2000000000` is eleven bytes of a stranger's, for which hiredis makes a list of as many places
(12 s, 16 GB). So headers are looked at before it sees them: each piece is followed from header to
header, over the values, whose lengths are told. Of what answers most questions, one plain list,
nothing has to be followed: it begins as expected, and no other list, map or push follows.
"""

import re
from functools import cache
from typing import Any

import hiredis

LEAST_ELEMENTS = 64
"""That any reply may announce: more than a greeting has, and than a message to a subscriber."""

MAX_VALUE_BYTES = 2 * 1024 * 1024
"""That one value may announce: twice what is ever stored."""

MAX_LINE_BYTES = 64 * 1024
"""Of a header, an error or a number."""

AGGREGATES = b"*%~>|"
_nested = re.compile(rb"\n[*~>|]").search  # of a map nothing is made before it comes


class ReplyTooLarge(Exception):
    """A reply announces more than was asked for."""


class BoundedReader(hiredis.Reader):
    """Reads the replies of one connection.

    Mutable state: what was asked for (`_most`, `_beginnings`); where the replies stand that were
    followed (`_skip` bytes of a value to come, `_line` of a header begun); and a piece that had
    nothing to be followed, unless its reply goes on in the next (`_unfollowed`).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._most = LEAST_ELEMENTS
        self._beginnings = _beginnings(0)
        self._skip = 0
        self._line = self._unfollowed = b""

    def expect(self, num_elements: int) -> None:
        """Bound the lists of the replies to come; only between two replies."""
        self._most = max(num_elements, LEAST_ELEMENTS)
        self._beginnings = _beginnings(num_elements)
        self._unfollowed = b""

    @property
    def midway(self) -> bool:
        """Whether a part of a reply has come, as far as it can be told."""
        return bool(self._skip or self._line) or self.has_data()

    def feed(self, data: Any, *part: int) -> None:
        """Take a piece.

        Raises:
            ReplyTooLarge: It announces more than was asked for.
        """
        if self._unfollowed:  # and complete it was not
            self._follow(self._unfollowed)
            self._unfollowed = b""
        if self._skip or self._line or not data.startswith(self._beginnings) or _may_nest(data):
            self._follow(data)
        else:
            self._unfollowed = data
        super().feed(data, *part)

    def _follow(self, piece: bytes) -> None:
        at = 0
        while True:
            step = min(self._skip, len(piece) - at)
            self._skip -= step
            at += step
            if at == len(piece):
                return
            end = piece.find(b"\n", at) + 1
            line = self._line + (piece[at:end] if end else piece[at:])
            if len(line) > MAX_LINE_BYTES:
                raise ReplyTooLarge(f"a reply has a line of more than {MAX_LINE_BYTES} bytes")
            self._line = b"" if end else line
            if not end:
                return
            self._skip = self._announced(line)
            at = end

    def _announced(self, line: bytes) -> int:
        """Bytes of a value that follow a header."""
        kind, number = line[:1], line[1:].strip()
        if not number.isdigit():  # an error, a null, or no reply at all, as hiredis will find
            return 0
        if kind in AGGREGATES and int(number) > self._most:
            found = f"{number[:20].decode()} elements"
            raise ReplyTooLarge(f"a reply announces {found}, expected {self._most} at most")
        if kind not in b"$=!":
            return 0
        if int(number) > MAX_VALUE_BYTES:
            found = f"{number[:20].decode()} bytes"
            raise ReplyTooLarge(f"a reply announces {found}, expected {MAX_VALUE_BYTES} at most")
        return int(number) + 2


@cache
def _beginnings(num_elements: int) -> tuple[bytes, ...]:
    """How replies begin that are one value, or a list of so many."""
    return b"+", b"-", b"$", b"_", b"*%d\r\n" % num_elements


def _may_nest(piece: bytes) -> bool:
    """Whether a list may begin behind the first header; single bytes are quick to find."""
    find = piece.find
    flat = find(b"*", 1) < 0 and find(b">") < 0 and find(b"~") < 0 and find(b"|") < 0
    return not flat and _nested(piece) is not None
