"""JSON of rows, looked through in windows as msgspec would in one go: the same errors, to the byte.

What msgspec says of a document depends only on what stands before the fault. So each window is
read behind the brackets that are open where it begins, and what is told is put in its place: the
indexes of a path, the number of a byte. Nothing is kept of what was read but how long lists are.
"""

import re
from itertools import chain
from typing import Any

import msgspec

from app.engine.json_lists import Lists, Ragged, end_of_string
from app.engine.json_numbers import Text
from app.engine.turns import Steps

WINDOW_BYTES = 16_384
"""Of numbers, read in 0.5 ms."""

BRACKETS_A_PIECE = 512
"""0.5 to 1 µs each."""

TRUNCATED = "Input data was truncated"

BLANKS = b" \t\r\n"

_bracket = re.compile(rb'["\[\]{}]')
_half_word = re.compile(rb"(?<![a-z])(?!true|false|null)[tfn][a-z]{0,3}[^a-z]$")
_path = re.compile(r"`\$((?:\[\d+\])*)`$")
_byte = re.compile(r"\(byte (\d+)\)")
_fillers = {"f": b"0", "i": b"0", "u": b"0", "b": b"true"}
_types: dict[str, type] = {"f": float, "i": int, "u": int, "b": bool}


def walk_lists(
    body: bytes, start: int, kind: str, limits: list[int], wanted: int = -1
) -> Steps[Lists]:
    """Look through nested lists.

    Args:
        body: They stand in.
        start: Of their first bracket.
        kind: Of the values, as numpy has it; no strings.
        limits: Most members of a list of each depth; -1 = any number.
        wanted: A value whose place is asked for, by what stands before it; -1 = none.

    Raises:
        msgspec.DecodeError: As of the whole.
    """
    walk = _Walk(body, start, kind, limits, wanted)
    while walk.seen < len(body):
        begun = walk.begun
        for _ in range(BRACKETS_A_PIECE):
            if walk.begun > begun:
                break
            if walk.go_on():
                text = Text(body, start, walk.place)
                return Lists(text, walk.sizes, walk.even, walk.num_values, walk.path, walk.ragged)
        yield
    walk.check(len(body))
    raise msgspec.DecodeError(TRUNCATED)


def seen_ahead(body: bytes, start: int, stop: int) -> int:
    """Tell how far msgspec looks ahead: four bytes from the first of a word."""
    return stop + 4 if _half_word.search(body, max(stop - 6, start), stop) else stop


class _Walk:
    """From one bracket to the next.

    Members of the outermost list are taken many at once where they are as long as the first.

    Mutable state: where it is, and to where no bracket was seen; where the window began,
    behind which text, and at which indexes; of each open list its members, the values before it and
    the length of its first list; how long the first of each depth is.
    """

    def __init__(self, body: bytes, start: int, kind: str, limits: list[int], wanted: int) -> None:
        self._body = body
        self._wanted = wanted
        self._limits = limits
        nested: Any = _types[kind]
        for _ in limits:
            nested = list[nested]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(nested)
        self._filler = _fillers[kind]
        self.place = self.seen = self.begun = start
        self._before, self._bases = b"", list[int]()
        self._num_members, self._num_before = list[int](), list[int]()
        self._first_within: list[int | None] = []
        self._firsts: list[int | None] = [None] * len(limits)
        self._at_comma = False  # within a row
        self.num_values = 0
        self.even = True
        self.path: tuple[int, ...] = ()
        self.ragged: Ragged | None = None

    @property
    def sizes(self) -> list[int]:
        """Of the first list of each depth; what an empty one would hold has none."""
        return [size for size in self._firsts if size is not None]

    def go_on(self) -> bool:
        """Go to the next bracket, or as far as one window; tell whether the last one is closed."""
        if self.place == self.seen == self.begun and self._take_members():
            return False
        end = max(self.begun, self.seen) + WINDOW_BYTES
        found = _bracket.search(self._body, self.seen, end)
        if found is None:
            self._pass_numbers(end)
            return False
        start, stop = found.span()
        if found[0] == b"[" and len(self._num_members) < len(self._limits):
            self._open()
        elif found[0] == b"]":
            self._close(start)
        else:
            self._refuse(start)
        self.place, self.seen, self._at_comma = stop, stop, False
        done = not self._num_members
        least = WINDOW_BYTES
        if len(self._num_members) == 1:  # where members can be taken
            least = WINDOW_BYTES // 2 if self._num_members[0] else 0
        if done or stop - self.begun >= least:
            self.check(stop)
            self._begin(stop, after_value=found[0] == b"]")
        return done

    def check(self, stop: int) -> None:
        """Read the window to here.

        Raises:
            msgspec.DecodeError: It is not what it has to be.
        """
        stop = seen_ahead(self._body, self.begun, stop)
        try:
            self._decoder.decode(self._before + self._body[self.begun : stop])
        except msgspec.DecodeError as error:
            text = str(error)
            if text == TRUNCATED:
                return
            text = _path.sub(lambda path: f"`$.data{self._in_place(path[1])}`", text)
            moved = self.begun - len(self._before)
            text = _byte.sub(lambda byte: f"(byte {int(byte[1]) + moved})", text)
            raise type(error)(text) from None

    def _begin(self, place: int, *, after_value: bool) -> None:
        """Begin a window, behind a bracket or at a comma."""
        depth = len(self._num_members)
        self.begun = place
        self._bases = [max(count - 1, 0) for count in self._num_members]
        self._before = b"[" * depth
        if after_value:
            self._before += self._filler if depth == len(self._limits) else b"[]"

    def _in_place(self, path: str) -> str:
        indexes = [int(index) for index in re.findall(r"\d+", path)]
        for depth, base in enumerate(self._bases[: len(indexes)]):
            first = indexes[depth] == 0
            indexes[depth] += base
            if not first:
                break
        return "".join(f"[{index}]" for index in indexes)

    def _open(self) -> None:
        if self._num_members:
            self._num_members[-1] += 1
        self._num_members.append(0)
        self._num_before.append(self.num_values)
        self._first_within.append(None)

    def _close(self, place: int) -> None:
        depth = len(self._num_members) - 1
        if depth == len(self._limits) - 1:
            self._count_values(place)
        limit, found = self._limits[depth], self._num_members[-1]
        path = tuple(count - 1 for count in self._num_members[:-1])
        if 0 <= limit < found:
            self.check(place + 1)
            where = "".join(f"[{index}]" for index in path)
            raise msgspec.ValidationError(
                f"Expected `array` of length <= {limit} - at `$.data{where}`"
            )
        self._num_members.pop()
        num_before = self._num_before.pop()
        self._first_within.pop()
        if (first := self._firsts[depth]) is None:
            self._firsts[depth] = first = found
        self.even &= first == found
        if not path:
            return
        if (wanted := self._first_within[-1]) is None:
            self._first_within[-1] = found
        elif wanted != found and (self.ragged is None or path < self.ragged.path):
            self.ragged = Ragged(path, num_before, wanted, found)

    def _count_values(self, stop: int) -> None:
        """Count those of a row, from its bracket or from a comma on."""
        commas = self._body.count(b",", self.place, stop)
        if not self._at_comma and self._body[self.place : stop].strip(BLANKS):
            commas += 1
        if self.num_values <= self._wanted < self.num_values + commas:
            within = self._num_members[-1] + self._wanted - self.num_values
            self.path = *(count - 1 for count in self._num_members[:-1]), within
        self._num_members[-1] += commas
        self.num_values += commas

    def _take_members(self) -> bool:
        """Take the members of the outermost list that end in a window; tell whether it could."""
        end_of_one = b"]" * (len(self._limits) - 1)
        stop = self._body.rfind(end_of_one, self.place, self.place + WINDOW_BYTES)
        if len(self._num_members) != 1 or len(self._limits) == 1 or stop < 0:
            return False
        stop += len(end_of_one)
        text = self._body[self.place : stop].lstrip(BLANKS)
        if text.startswith(b",") != (self._num_members[0] > 0):
            return False
        try:
            members = self._decoder.decode(b"[%b]" % text.removeprefix(b","))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        firsts: list[Any] = []
        flat = members
        for depth, limit in enumerate(self._limits[1:], 1):
            if depth > 1:
                flat = list(chain.from_iterable(flat))
            lengths = list(map(len, flat))
            first = self._firsts[depth]
            if first is None and lengths:
                first = lengths[0]
            firsts.append(first)
            if self.ragged is None and first is not None and lengths.count(first) < len(lengths):
                return False
            if 0 <= limit < max(lengths, default=0):
                return False
        num_values = sum(lengths)
        if self.num_values <= self._wanted < self.num_values + num_values:
            return False
        self.num_values += num_values
        self._firsts[1:] = firsts
        if self._first_within[0] is None:
            self._first_within[0] = firsts[0]
        self._num_members[0] += len(members)
        self.place = self.seen = stop
        self._begin(stop, after_value=True)
        return True

    def _pass_numbers(self, end: int) -> None:
        """Go to the last comma of a row in a window; if there is none, the window grows."""
        comma = -1
        if len(self._num_members) == len(self._limits):
            comma = self._body.rfind(b",", max(self.place + 1, self.seen), end)
        self.seen = end
        if comma >= 0:
            self._count_values(comma)
            self.place, self._at_comma = comma, True
            self.check(comma + 1)
            self._begin(comma, after_value=True)

    def _refuse(self, place: int) -> None:
        """Raise for what may not stand here."""
        mark = self._body[place : place + 1]
        self.check(end_of_string(self._body, place) if mark == b'"' else place + 1)
        raise msgspec.DecodeError(TRUNCATED)
