"""A long list of anything in JSON → its members, each undecoded.

All of it is read, so that a member is sound JSON, however long it is.
"""

from typing import NamedTuple

import msgspec

from ml_pipeline.engine.wire.json_numbers import Text
from ml_pipeline.engine.wire.json_windows import BLANKS, Walk
from ml_pipeline.engine.wire.turns import Steps
from ml_pipeline.errors import InvalidInput

_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class Members(NamedTuple):
    """Where the list is, and what is in it."""

    text: Text
    raws: list[msgspec.Raw]


def walk_members(body: bytes, start: int, most: int) -> Steps[Members]:
    """Split a list.

    Args:
        body: It stands in.
        start: Of its bracket.
        most: Members that it may have.

    Raises:
        msgspec.DecodeError: As of the whole.
        RecursionError: Likewise.
        InvalidInput: It has more.
        BodyTooLarge: Something in it is longer than is read in one go.
    """
    walk = _Walk(body, start, most)
    text = yield from walk.go()
    return Members(text, walk.raws)


def look_through(body: bytes, start: int) -> Steps[Text]:
    """Tell where a list ends that is sound JSON; arguments and errors as above."""
    return (yield from Walk(body, start, _list).go())


class _Walk(Walk):
    """Mutable state, too: the members, and where the one under way began."""

    def __init__(self, body: bytes, start: int, most: int) -> None:
        super().__init__(body, start, _list)
        self._most = most
        self._member = start + 1
        self.raws: list[msgspec.Raw] = []

    def pass_values(self, stop: int) -> None:
        """End members at the commas from here on."""
        if len(self.open) != 1:
            return
        comma = self.body.find(b",", max(self.place, self._member), stop)
        while comma >= 0:
            self._end(comma)
            comma = self.body.find(b",", comma + 1, stop)

    def close_list(self, place: int) -> None:
        """End the last one with the list."""
        if len(self.open) == 1 and (self.raws or self.body[self._member : place].strip(BLANKS)):
            self._end(place)

    def _end(self, stop: int) -> None:
        if len(self.raws) == self._most:
            raise InvalidInput(f"requests: expected at most {self._most}, found more")
        self.raws.append(msgspec.Raw(self.body[self._member : stop].strip(BLANKS)))
        self._member = stop + 1
