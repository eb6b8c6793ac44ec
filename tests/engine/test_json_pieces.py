"""Large answers: the bytes that a small one would have."""

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.signature.tensor import Array, TensorSpec
from ml_pipeline.engine.wire.infer_answer import WrittenOutput, write_answer, write_in_steps
from ml_pipeline.engine.wire.json_pieces import (
    HEAVY_VALUES,
    VALUES_A_PIECE,
    is_heavy_answer,
    write_lists,
)
from ml_pipeline.engine.wire.turns import at_once

SIZES = [
    (0,), (1,), (VALUES_A_PIECE,), (3 * VALUES_A_PIECE + 1,), (0, 3), (3, 0), (20_000, 0),
    (9000, 3), (1, 30_000), (2, 20_000), (3, 3 * VALUES_A_PIECE), (100, 20, 30), (2, 1, 30_000),
]  # fmt: skip


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "object"])
def test_the_text_is_that_of_one_go(shape: tuple[int, ...], dtype: str) -> None:
    """Of any rank, and whichever dimension is the long one."""
    array: Array = np.random.default_rng(1).uniform(-9, 9, shape).astype(dtype)

    assert b"".join(at_once(write_lists(array))) == msgspec.json.encode(array.tolist())


def test_what_is_no_number_is_null() -> None:
    """In each piece."""
    array = np.full(3 * VALUES_A_PIECE, np.nan, np.float32)

    assert set(msgspec.json.decode(b"".join(at_once(write_lists(array))))) == {None}


def test_a_piece_is_short() -> None:
    """One row of many values is cut as well."""
    steps = write_lists(np.zeros((1, 10 * VALUES_A_PIECE)))

    assert len(list(steps)) == 10


def test_an_answer_of_the_protocol_is_the_same() -> None:
    """With binary outputs beside, of numbers and of strings."""
    array = np.random.default_rng(2).uniform(size=(90_000, 3)).astype(np.float32)
    words = np.array([f"ä{n}" for n in range(9000)], object)
    spec, text = TensorSpec("y", "float32", (-1, 3)), TensorSpec("words", "str", (-1,))
    outputs = [
        WrittenOutput(each, values, binary)
        for each, values in ((spec, array), (text, words))
        for binary in (False, True)
    ]

    found = at_once(write_in_steps("m", "1", outputs))

    assert b"".join(found) == write_answer("m", "1", outputs)


def test_many_values_are_heavy() -> None:
    """Those of all outputs together."""
    half = np.zeros((HEAVY_VALUES // 2, 1))

    assert not is_heavy_answer([half, half])
    assert is_heavy_answer([half, half, half[:1]])
