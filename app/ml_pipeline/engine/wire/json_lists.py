"""JSON rows, nested lists of values of one kind: how long the lists are, and whether all is sound.

Nothing is kept of what is read but that.
"""

import re
from typing import Any, NamedTuple

import msgspec

from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.engine.wire.json_windows import BLANKS, LIST, QUOTE, Walk
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import BodyTooLarge

MAX_LISTS = 1_048_576
"""Looked through in 2 s, of a body of which it is known that something is wrong or odd."""

_path = re.compile(r"`\$((?:\[\d+\])*)`$")
_fillers = {"f": b"0", "i": b"0", "u": b"0", "b": b"true", "O": b'""'}
_types: dict[str, type] = {"f": float, "i": int, "u": int, "b": bool, "O": str}


class Ragged(NamedTuple):
    """A list of another length than the first beside it.

    Attributes:
        path: Its indexes.
        num_before: Values that stand before it.
        wanted: Length of the first.
        found: Its own.
    """

    path: tuple[int, ...]
    num_before: int
    wanted: int
    found: int


class Lists(NamedTuple):
    """Nested lists of values, of the right types.

    Attributes:
        text: Where they are.
        sizes: Of the first list of each depth, to the first that is empty.
        even: Whether they are those of all.
        num_values: In all of them.
        path: Of the value that was asked for.
        ragged: The first list that is of another length than one beside it, if any.
    """

    text: Text
    sizes: list[int]
    even: bool
    num_values: int
    path: tuple[int, ...]
    ragged: Ragged | None


def walk_lists(
    body: bytes, start: int, kind: str, limits: list[int], wanted: int = -1
) -> Steps[Lists]:
    """Look through nested lists.

    Args:
        body: They stand in.
        start: Of their first bracket.
        kind: Of the values, as numpy has it.
        limits: Most members of a list of each depth; -1 = any number.
        wanted: A value whose place is asked for, by what stands before it; -1 = none.

    Raises:
        msgspec.DecodeError: As of the whole.
        UnicodeDecodeError: Likewise.
        BodyTooLarge: Something in them is longer than is read in one go, or there are too many.
    """
    walk = _Walk(body, start, kind, limits, wanted)
    text = yield from walk.go()
    sizes = [size for size in walk.firsts if size is not None]
    return Lists(text, sizes, walk.even, walk.num_values, walk.path, walk.ragged)


def _too_long(limit: int, path: str) -> msgspec.ValidationError:
    return msgspec.ValidationError(f"Expected `array` of length <= {limit} - at `$.data{path}`")


class _Walk(Walk):
    """Counts what is in each list.

    Mutable state, too: how many lists there were; of each open one its members, the values before
    it and the length of its first list; how long the first of each depth is; the indexes at which
    the window began.
    """

    def __init__(self, body: bytes, start: int, kind: str, limits: list[int], wanted: int) -> None:
        nested: Any = _types[kind]
        for _ in limits:
            nested = list[nested]
        super().__init__(body, start, msgspec.json.Decoder(nested))
        self._kind = kind
        self._limits = limits
        self._wanted = wanted
        self._num_lists = 0
        self._bases = list[int]()
        self._num_members, self._num_before = list[int](), list[int]()
        self._first_within: list[int | None] = []
        self.firsts: list[int | None] = [None] * len(limits)
        self.num_values = 0
        self.even = True
        self.path: tuple[int, ...] = ()
        self.ragged: Ragged | None = None

    def is_wanted(self, mark: int) -> bool:
        """Lists, to their depth, and strings in the innermost of them."""
        innermost = len(self.open) == len(self._limits)
        if mark == QUOTE:
            return innermost and self._kind == "O"
        return (mark == LIST and not innermost) or mark == LIST + 2

    def filler(self) -> bytes:
        """Give a value, or an empty list."""
        return _fillers[self._kind] if len(self.open) == len(self._limits) else b"[]"

    def begin(self, comma: int) -> None:
        """Begin a window, at the members that are there so far."""
        super().begin(comma)
        self._bases = [max(count - 1, 0) for count in self._num_members]

    def told(self, text: str) -> str:
        """Put the indexes of a path in their place."""
        return _path.sub(lambda path: f"`$.data{self._in_place(path[1])}`", text)

    def _in_place(self, path: str) -> str:
        indexes = [int(index) for index in re.findall(r"\d+", path)]
        for depth, base in enumerate(self._bases[: len(indexes)]):
            first = indexes[depth] == 0
            indexes[depth] += base
            if not first:
                break
        return "".join(f"[{index}]" for index in indexes)

    def pass_values(self, stop: int) -> None:
        """Count numbers: one behind each comma, and the first of a row."""
        if len(self.open) < len(self._limits) or self._kind == "O":
            return
        count = self.body.count(b",", self.place, stop)
        text = self.body[self.place : stop].lstrip(BLANKS)
        if text and not (text.startswith(b",") and self._num_members[-1]):
            count += 1
        self._count(count)

    def pass_string(self) -> None:
        """Count it."""
        self._count(1)

    def _count(self, count: int) -> None:
        if self.num_values <= self._wanted < self.num_values + count:
            within = self._num_members[-1] + self._wanted - self.num_values
            self.path = *(members - 1 for members in self._num_members[:-1]), within
        self._num_members[-1] += count
        self.num_values += count

    def open_list(self) -> None:
        """Begin to count."""
        self._num_lists += 1
        if self._num_lists > MAX_LISTS:
            raise BodyTooLarge(
                f"data: expected at most {MAX_LISTS} lists where they have a fault, found more"
            )
        if self._num_members:
            self._num_members[-1] += 1
            if len(self.open) == 1:
                self._refuse_many_rows()
        self._num_members.append(0)
        self._num_before.append(self.num_values)
        self._first_within.append(None)

    def _refuse_many_rows(self) -> None:
        """Refuse them at the first too many: all of them may be far more."""
        if 0 <= self._limits[0] < self._num_members[0]:
            self.check(self.place)
            raise _too_long(self._limits[0], "")

    def close_list(self, place: int) -> None:
        """Hold a list against the one that it has to be as long as."""
        depth = len(self._num_members) - 1
        limit, found = self._limits[depth], self._num_members[-1]
        path = tuple(count - 1 for count in self._num_members[:-1])
        if 0 <= limit < found:
            self.check(place + 1)
            raise _too_long(limit, "".join(f"[{index}]" for index in path))
        self._num_members.pop()
        num_before = self._num_before.pop()
        self._first_within.pop()
        if (first := self.firsts[depth]) is None:
            self.firsts[depth] = first = found
        self.even &= first == found
        if not path:
            return
        if (wanted := self._first_within[-1]) is None:
            self._first_within[-1] = found
        elif wanted != found and (self.ragged is None or path < self.ragged.path):
            self.ragged = Ragged(path, num_before, wanted, found)
