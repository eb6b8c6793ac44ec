"""Large lists of numbers: the same values as msgspec's, and nothing that it would refuse."""

import json
import random
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.wire.json_numbers import (
    MOST_PIECE_BYTES,
    PIECE_BYTES,
    Text,
    is_balanced,
    read_numbers,
    shape_of,
    skeleton_of,
)
from ml_pipeline.engine.wire.turns import at_once
from ml_pipeline.errors import InferenceError, InvalidInput

nested = {1: list[float], 2: list[list[float]], 3: list[list[list[float]]]}
"""What a decoder of JSON takes, by rank."""

PIECE = 8
"""A few numbers, so that short texts have many borders."""


def read(text: str | bytes, dtype: str = "float32", most: int | None = None) -> Any:
    """Values and skeleton of a text."""
    data = text.encode() if isinstance(text, str) else text
    return at_once(read_numbers(Text(data, 0, len(data)), np.dtype(dtype), most, "data", PIECE))


def array_of(text: str, rank: int) -> Any:
    """The array that a text is, as `large_rows.py` makes it."""
    values, skeleton, _ = read(text)
    shape = at_once(shape_of(skeleton, rank, "data"))
    if np.prod(shape) != len(values):
        raise InvalidInput("data: expected values, found none")
    return values.reshape(shape)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [[1], [7], [1, 1], [5, 3], [1, 40], [2, 3, 4], [3, 1, 1, 2]])
@pytest.mark.parametrize("indent", [None, 2])
def test_values_and_shape_come_back(dtype: str, shape: list[int], indent: int | None) -> None:
    """Of every dtype and rank, however it is spaced."""
    array = (np.random.default_rng(1).uniform(0, 200, shape)).astype(dtype)
    text = json.dumps(array.tolist(), indent=indent)

    values, skeleton, _ = read(text, dtype)

    assert at_once(shape_of(skeleton, len(shape), "data")) == shape
    assert skeleton == skeleton_of(shape)
    assert values.dtype == array.dtype
    assert np.array_equal(values.reshape(shape), array)


def mutated(random: random.Random, rank: int) -> bytes:
    """The text of an array, with up to three faults in it."""
    shape = [random.randint(1, 4) for _ in range(rank)]
    values = np.array(random.choices([0, 1, 12, -3, 456], k=int(np.prod(shape)))).reshape(shape)
    text = list(json.dumps(values.tolist(), separators=random.choice([(",", ":"), (", ", ":")])))
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        place = random.randrange(1, len(text) - 1) if len(text) > 2 else 1
        kind = random.randrange(3)
        if kind == 0:
            text.insert(place, random.choice(",[]- 0.e+\tn"))
        elif kind == 1:
            text[place] = random.choice(",[] 0-.")
        elif len(text) > 3:
            del text[place]
    return "".join(text).encode()


@pytest.mark.parametrize("seed", range(10))
def test_no_text_is_taken_that_a_decoder_of_json_refuses(seed: int) -> None:
    """Nor is one refused, or read otherwise, that it takes."""
    generator = random.Random(seed)
    for _ in range(500):
        rank = generator.choice([1, 2, 2, 3])
        text = mutated(generator, rank)
        wanted = None
        with suppress(ValueError):  # msgspec's errors, and those of ragged lists
            array = np.array(msgspec.json.decode(text, type=nested[rank]), np.float64)
            wanted = array.tolist() if array.ndim == rank and array.size else None

        found = None
        with suppress(InferenceError):
            values, skeleton, _ = read(text, "float64")
            shape = at_once(shape_of(skeleton, rank, "data"))
            found = values.reshape(shape).tolist() if np.prod(shape) == len(values) else None

        assert found == wanted, text


@pytest.mark.parametrize("text", ["[1,]", "[[1],]", "[[]2,3]", "[1,[2,]3]", "[[1][,2]]"])
def test_no_flat_text_is_taken_with_brackets_out_of_place(text: str) -> None:
    """Wherever it is cut: data of tensors may be nested anyhow."""
    for num_zeros in range(2 * PIECE):
        longer = text[:-1] + ",0" * num_zeros + text[-1:]
        with pytest.raises(InvalidInput):
            flat(longer)


def flat(text: str) -> Any:
    """Values of a tensor's data."""
    values, skeleton, _ = read(text)
    if not at_once(is_balanced(skeleton)):
        raise InvalidInput("data: expected lists of values, found others")
    return values


def test_integers_may_be_written_as_floats() -> None:
    """As programs do that have no other numbers; not if one is no whole number."""
    assert read("[1.0,2,3e0,4,5.0]", "int64").values.tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(InvalidInput, match="expected lists of whole numbers"):
        read("[1.0,2,3,4,5.5]", "int64")


BROKEN = [
    "[1,2,]", "[,1]", "[1,,2]", "[1 2]", "[1[,2]]", "[[1]2]", "[1,2][3]", "[[1],2", "[1]]", "[]1[]",
    "[1,x]", '[1,"2"]', "[1,{}]", "[1,null]", "[1,true]", "[1,01]", "[1,+2]", "[1,.5]", "[1,1e]",
    "[1,nan]", "[1,NaN]", "[1,2]]", "[[1,2]", "[1,\u00a02]", "[1,\x002]", "[[1],[2]", "[-]",
    "[1,[2],3]", "[[1,2],[3]]", "[[1],[2,3]]", "[[1,2],[]]", "[[[1]],[2]]", "[1],[2]",
    "[[1]],[[2]]", "[1e999]", "[[[[1]]]",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_array_is_refused(text: str) -> None:
    """Whatever is wrong with it, somebody says so: the numbers or the brackets."""
    with pytest.raises(InferenceError):
        array_of(text, 1 if text.count("[") < 2 else 2)


def test_mutations_read_as_the_library_reads_them() -> None:
    """Or are refused: 3,000 texts with a character changed, lost or put in."""
    source = random.Random(7)
    text = json.dumps([[1.5, -2, 3e3], [4, 5, 60]])
    taken = 0
    for _ in range(3000):
        place = source.randrange(len(text))
        put_in, rest = source.choice(["", *"[],.-e1 \n"]), text[place + source.randrange(2) :]
        mutated = text[:place] + put_in + rest
        try:
            array = array_of(mutated, 2)
        except InferenceError:
            continue
        taken += 1
        assert np.array_equal(array, np.array(json.loads(mutated), np.float32))

    assert taken > 100


def test_values_have_a_bound() -> None:
    """Reached long before the end."""
    text = Text(b"[" + b"1," * 100_000 + b"1]", 0, 200_003)
    pieces: list[None] = []

    with pytest.raises(InvalidInput, match="data: expected at most 10 values, found more"):
        pieces.extend(read_numbers(text, np.dtype("float32"), 10, "data"))

    assert len(pieces) < 10


@pytest.mark.parametrize(("text", "dtype"), [("[1,300]", "uint8"), ("[1,1e39]", "float32")])
def test_a_value_out_of_range_is_refused(text: str, dtype: str) -> None:
    """With the bytes among which it is."""
    with pytest.raises(InvalidInput, match=f"expected values of {dtype}, found one out of its"):
        read(text, dtype)


@pytest.mark.parametrize("filler", [b"[", b"1", b" ", b"]"])
def test_a_text_without_commas_is_not_read_on(filler: bytes) -> None:
    """A piece is never longer than four."""
    with pytest.raises(InvalidInput, match="expected a comma"):
        read(b"[" + filler * (MOST_PIECE_BYTES + PIECE_BYTES) + b"1]")


def test_deep_nesting_is_not_followed() -> None:
    """Its depth is counted, no more."""
    _, skeleton, _ = read(b"[" * 10_000 + b"1" + b"]" * 10_000)

    with pytest.raises(InvalidInput, match="expected lists nested 2 deep, found 10000"):
        at_once(shape_of(skeleton, 2, "data"))


@pytest.mark.parametrize(
    ("skeleton", "balanced"),
    [
        (b"[]", True), (b"[,,,]", True), (b"[[,],,[]]", True), (b"[[[]]]", True),
        (b"[[]", False), (b"[]]", False), (b"[][]", False), (b"][", False), (b"[],[]", False),
        (b"[" + b"[]," * 9 + b"[]]", True), (b"[" + b"[]," * 9 + b"[]]]", False),
        (b"[" + b"," * 20 + b"]" + b"," * 20 + b"[]", False),
    ],
)  # fmt: skip
def test_brackets_are_counted(skeleton: bytes, balanced: bool) -> None:
    """The first one is closed by the last, and not before."""
    assert at_once(is_balanced(skeleton)) is balanced
