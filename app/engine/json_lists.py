"""What is learned of lists in JSON, and where a string in it ends."""

import re
from typing import NamedTuple

from app.engine.json_numbers import Text
from app.errors import BodyTooLarge

MAX_STRING_BYTES = 1_048_576
"""Of a string, or what else is read in one go: 5 ns each."""

_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def end_of_string(body: bytes, start: int, most: int = MAX_STRING_BYTES) -> int:
    """Tell where a string ends, or the body if it does not.

    Raises:
        BodyTooLarge: It is longer than is looked through in one go.
    """
    found = _string.match(body, start, start + most)
    if found is not None:
        return found.end()
    if len(body) - start <= most:
        return len(body)
    raise BodyTooLarge(f"body: expected strings of at most {most} bytes, found more")


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
