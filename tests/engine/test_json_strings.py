"""Lists of strings in pieces: what the library reads is read, and nothing else."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.wire.json_numbers import Numbers, Text, shape_of
from ml_pipeline.engine.wire.json_strings import WINDOW_BYTES, end_of_string, read_strings
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.errors import InvalidInput

WORDS = [
    *("", "a", "ab,cd", "[", "]", "[[1],", '"', "\\", '\\"', "\\\\", "ä", "\U0001f600", "\n\t\0"),
    *("0", "x" * 60, '","', '"],["', ",", "\\" * 7, '"' * 5),
]
RANDOM = random.Random(11)


def read(text: bytes, most: int | None = None, piece_bytes: int = 32) -> Numbers:
    """What a text holds, read in pieces that are short."""
    return at_once(read_strings(Text(text, 0, len(text)), most, "data", piece_bytes))


def read_shaped(text: bytes, rank: int, piece_bytes: int) -> Any:
    """Likewise, nested as they were."""
    values, skeleton, _ = read(text, piece_bytes=piece_bytes)
    return values.reshape(at_once(shape_of(skeleton, rank, "data"))).tolist()


def lists(rows: int, columns: int) -> Any:
    """Random words that look like what stands between them."""
    return [[RANDOM.choice(WORDS) for _ in range(columns)] for _ in range(rows)]


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("indent", [-1, 0, 1])
def test_values_and_shape_come_back(seed: int, indent: int) -> None:
    """Whatever is in the strings, and however the text is set."""
    rows = lists(seed % 7 + 1, seed % 4 + 1)
    text = msgspec.json.format(msgspec.json.encode(rows), indent=indent)

    assert read_shaped(text, 2, seed + 1) == rows


@pytest.mark.parametrize("escape", ["\\u0041", "\\n", "\\\\", '\\"', "\\ud83d\\ude00"])
def test_escapes_are_read_wherever_they_are_cut(escape: str) -> None:
    """A piece ends at any byte of an escape."""
    text = f'["{escape * 9}","{escape}",["{escape}","]"]]'.encode()
    wanted = [escape * 9, escape]
    found = [read(text, piece_bytes=size).values.tolist() for size in range(1, len(text))]

    decoded = [msgspec.json.decode(f'"{word}"') for word in wanted]
    assert found == [[*decoded, decoded[1], "]"]] * (len(text) - 1)


def test_mutations_read_as_the_library_reads_them() -> None:
    """Of texts with a byte changed, left out or put in, those that are no lists are refused."""
    decoder = msgspec.json.Decoder(list[list[str]])
    num_good = 0
    for _ in range(6000):
        text = bytearray(msgspec.json.encode(lists(2, 3)))
        place = RANDOM.randrange(len(text))
        text[place : place + RANDOM.randrange(2)] = RANDOM.choice(
            [b"", b"[", b"]", b",", b'"', b"\\", b"0", b" ", b"\xff", b"\n", b"a"]
        )
        try:
            wanted = decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            wanted = None
        try:
            found = read_shaped(bytes(text), 2, RANDOM.randrange(1, 60))
        except (InvalidInput, ValueError):
            found = None
        if wanted is not None and len({len(row) for row in wanted}) == 1:
            assert found == wanted
            num_good += 1
        else:
            assert found is None, (bytes(text), found)
    assert num_good > 500


@pytest.mark.parametrize(
    "text",
    [
        *('["a" "b"]', '["a",,"b"]', '[,"a"]', '["a",]', '["a"]]"', '["a"', '["a]', "[0]"),
        *('["a",0]', '["a"0]', '[null,"a"]', '["a"["b"]]', '[["a"]"b"]', '["a\n"]', '["\\x"]'),
        *('[{"a":"b"}]', '["a"] ["b"]', '["a","' + "b" * 99, '["a","' + "b" * 99 + "\\"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(text: str) -> None:
    """In pieces of any size."""
    for size in range(1, len(text) + 2):
        with pytest.raises((InvalidInput, ValueError)):
            read_shaped(text.encode(), 1, size)


def test_values_have_a_bound() -> None:
    """One more is refused."""
    text = msgspec.json.encode([["a"] * 3] * 9)

    assert len(read(text, 27).values) == 27
    with pytest.raises(InvalidInput, match="at most 26 values"):
        read(text, 26)


@pytest.mark.parametrize("unit", [b"a", b"\\n", b"\\\\", b'\\"', "ä".encode()])
def test_a_long_string_is_looked_through_in_pieces(unit: bytes) -> None:
    """Its end is found by windows, and it is what the library makes of it."""
    text = b'[["a","' + unit * 400_000 + b'"],["]",""]]'
    steps = list(end_of_string(text, 7, len(text)))

    values = read(text, piece_bytes=16_384).values

    assert len(steps) >= len(unit) * 400_000 // WINDOW_BYTES - 1
    assert np.array_equal(values, np.array(msgspec.json.decode(text), object).ravel())
