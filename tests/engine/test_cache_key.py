"""What makes two requests the same, and what keeps them apart."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml_pipeline.engine.signature.tensor import Tensors, TensorSpec
from ml_pipeline.engine.wire.cache_key import (
    PIECE,
    STRINGS_A_PIECE,
    cache_key,
    cache_key_in_steps,
    identity,
)
from ml_pipeline.engine.wire.codec import RequestCodec, WireFormat
from ml_pipeline.engine.wire.turns import at_once

IRIS = identity("iris", "1", "digest")


def key_of(values: Any, dtype: str = "float32", name: str = "x") -> bytes:
    return cache_key(IRIS, {name: np.array(values, dtype)}, b"JSON")


def key_of_body(body: bytes, wire_format: WireFormat = WireFormat.JSON) -> bytes:
    codec = RequestCodec(TensorSpec("x", "float32", (-1, 2)), max_rows=10)
    return cache_key(IRIS, codec.decode(body, wire_format).inputs, b"JSON")


def test_key_is_a_digest_of_32_bytes() -> None:
    """A key has 256 bits, whatever the size of the tensor."""
    assert len(key_of([[1.0]])) == len(key_of(np.zeros((100, 100)))) == 32


def test_key_is_the_same_each_time() -> None:
    """Equal requests have equal keys."""
    assert key_of([[1.0, 2.0]]) == key_of([[1.0, 2.0]])


def test_keys_last_longer_than_a_process() -> None:
    """Another process, with another hash seed, makes the same key."""
    program = (
        "import numpy\n"
        "from ml_pipeline.engine.wire.cache_key import cache_key, identity\n"
        "inputs = {'x': numpy.ones((1, 1), 'float32')}\n"
        "print(cache_key(identity('iris', '1', 'digest'), inputs, b'JSON').hex())\n"
    )

    other = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
    )

    assert other.stdout.strip() == key_of([[1.0]]).hex()


@pytest.mark.parametrize(
    "spelling",
    [
        b'{"data": [[1, 2]]}',
        b'{"data":[[1.0,2.0]]}',
        b'{"data":[[1e0,0.2e1]]}',
        b'{\n"use_cache": true,\n"data": [ [ 1.00 , 2 ] ]\n}',
        b'{"cache_ttl": 60, "data": [[1, 2]]}',
        b'{"d\\u0061ta": [[1, 2]]}',
    ],
)
def test_spelling_of_the_body_does_not_matter(spelling: bytes) -> None:
    """Equal values in another JSON spelling have one key."""
    assert key_of_body(spelling) == key_of([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("iris", "1", "digest"), ("wine", "1", "digest")),
        (("iris", "1", "digest"), ("iris", "2", "digest")),
        (("iris", "1", "digest"), ("iris", "1", "other digest")),
        (("ab", "c"), ("a", "bc")),
        (("a", "b"), ("a", "b", "")),
        (("a\0b",), ("a", "b")),
    ],
)
def test_identity_differs_by_each_part(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Name, version and digest each make another model, and their borders cannot be moved."""
    assert identity(*one) != identity(*other)


def test_key_differs_by_model() -> None:
    """Two models that are asked the same have two keys."""
    inputs = {"x": np.ones((1, 2), np.float32)}

    assert cache_key(IRIS, inputs, b"JSON") != cache_key(identity("wine"), inputs, b"JSON")


def test_key_differs_by_dtype() -> None:
    """The same bytes as another dtype are another request."""
    bits = np.array([[1.0]], np.float32)

    assert key_of(bits) != key_of(bits.view(np.int32), "int32")


@pytest.mark.parametrize(("one", "other"), [((2, 3), (3, 2)), ((1, 6), (6, 1)), ((6,), (1, 6))])
def test_key_differs_by_shape(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """The same bytes in another shape are another request."""
    values = np.arange(6)

    assert key_of(values.reshape(one)) != key_of(values.reshape(other))


def test_key_differs_by_row_order() -> None:
    """Rows in another order are another request."""
    assert key_of([[1.0, 2.0], [3.0, 4.0]]) != key_of([[3.0, 4.0], [1.0, 2.0]])


def test_key_differs_by_answer_format() -> None:
    """What is stored is encoded, so each encoding has its own key."""
    inputs = {"x": np.ones((1, 2), np.float32)}

    assert cache_key(IRIS, inputs, b"JSON") != cache_key(IRIS, inputs, b"MSGPACK")


def test_key_differs_by_input_name() -> None:
    """The same tensor for another input is another request."""
    assert key_of([[1.0]], name="x") != key_of([[1.0]], name="y")


def test_minus_zero_is_kept_apart() -> None:
    """`-0.0` and `0.0` may have different answers, so they have different keys."""
    assert key_of([[-0.0]]) != key_of([[0.0]])


def test_order_of_the_inputs_does_not_matter() -> None:
    """Inputs are told apart by name, not by their order in the mapping."""
    x, y = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)

    assert cache_key(IRIS, {"x": x, "y": y}, b"") == cache_key(IRIS, {"y": y, "x": x}, b"")


def test_exchanged_inputs_are_another_request() -> None:
    """Which tensor fills which input is part of the key."""
    x, y = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)

    assert cache_key(IRIS, {"x": x, "y": y}, b"") != cache_key(IRIS, {"x": y, "y": x}, b"")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ab": [1]}, {"a": [1]}),
        ({"a": [1, 2], "b": [3]}, {"a": [1], "b": [2, 3]}),
        ({"a": [1], "b": []}, {"a": [1]}),
        ({"a": [], "b": [1]}, {"a": [1], "b": []}),
    ],
)
def test_borders_between_tensors_cannot_be_moved(
    one: dict[str, list[int]], other: dict[str, list[int]]
) -> None:
    """The same bytes cut elsewhere are another request."""
    keys = [
        cache_key(IRIS, {name: np.array(values, "int8") for name, values in inputs.items()}, b"")
        for inputs in (one, other)
    ]

    assert keys[0] != keys[1]


def test_border_of_the_answer_format_cannot_be_moved() -> None:
    """A byte that leaves the format and joins the name of an input makes another key."""
    ones = np.ones((1, 2), np.float32)

    assert cache_key(IRIS, {"bx": ones}, b"a") != cache_key(IRIS, {"x": ones}, b"ab")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([["a", "b"]], [["b", "a"]]),
        ([["ab", "c"]], [["a", "bc"]]),
        ([["a', 'b", "c"]], [["a", "b', 'c"]]),
        ([["a", "b"]], [["a"], ["b"]]),
        ([["", "a"]], [["a", ""]]),
        ([["1"]], [["01"]]),
        ([["é"]], [["e\u0301"]]),
        ([["a"] * 2000], [["a"] * 1999 + ["b"]]),
    ],
)
def test_string_tensors_differ_by_value(one: list[list[str]], other: list[list[str]]) -> None:
    """Strings are compared as values: no border, order or long middle is lost."""
    assert key_of(one, "object") != key_of(other, "object")


def test_equal_strings_have_one_key() -> None:
    """Keys of strings are made of their characters, not of their place in memory."""
    letters = ["a", "b"]

    assert key_of([["".join(letters)]], "object") == key_of([["ab"]], "object")


def test_memory_layout_does_not_matter() -> None:
    """A transposed, strided or unaligned array has the key of its values."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    fortran = np.asfortranarray(values)
    strided = np.repeat(values, 2, axis=1)[:, ::2]
    unaligned = np.frombuffer(b"\0" + values.tobytes(), "<f4", offset=1).reshape(2, 3)

    assert key_of(values) == cache_key(IRIS, {"x": fortran}, b"JSON")
    assert key_of(values) == cache_key(IRIS, {"x": strided}, b"JSON")
    assert key_of(values) == cache_key(IRIS, {"x": unaligned}, b"JSON")


def test_nothing_else_can_enter_a_key() -> None:
    """A key is made of model, tensors and answer format: no header, request id or time."""
    assert list(inspect.signature(cache_key).parameters) == ["identity", "inputs", "answer_format"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_one_changed_element_changes_the_key(data: st.DataObject) -> None:
    """Any single element of any tensor counts."""
    array = data.draw(arrays(np.int64, array_shapes(min_dims=1, max_dims=3, max_side=4)))
    place = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    changed = array.copy()
    changed[place] ^= 1

    assert cache_key(IRIS, {"x": array}, b"") != cache_key(IRIS, {"x": changed}, b"")


MANY = 2 * STRINGS_A_PIECE + 3
LARGE: dict[str, np.ndarray[Any, Any]] = {
    "numbers": np.arange(PIECE + 1, dtype=np.int64),
    "a column of strings": np.array([f'it\'s "{n}"' for n in range(MANY)], object),
    "rows of strings": np.array([[str(n), ""] for n in range(MANY)], object),
    "a row of strings": np.array([[str(n) for n in range(MANY)]], object),
    "long rows of strings": np.array([[str(n) for n in range(MANY)]] * 2, object),
    "a cube of strings": np.array([str(n) for n in range(4 * MANY)], object).reshape(2, MANY, 2),
    "a string of lines": np.array(["a\n" * PIECE], object),
    "strings of apostrophes": np.array([[MANY * "it's", '"', MANY * "'\"\\ä"]], object),
    "a text of many lines": np.array([["ab'c\t" * 1000, '"']] * 300, object),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_key_is_the_same_in_pieces(name: str) -> None:
    """Whatever is cut, and no piece is as long as the whole."""
    inputs = {"a": np.array([["x"]], object), "x": LARGE[name]}
    steps = list(cache_key_in_steps(IRIS, inputs, b"JSON"))

    assert at_once(cache_key_in_steps(IRIS, inputs, b"JSON")) == cache_key(IRIS, inputs, b"JSON")
    assert len(steps) > 3


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.arange(300_000, dtype=np.float32).reshape(-1, 3)},
        {"x": np.arange(12, dtype=np.int64).reshape(3, 4)[:, ::2]},
        {"x": np.zeros((0, 3), np.float32)},
        {"x": np.array(1.0, np.float32)},
        {"words": np.array([["a", "ä"]], object)},
        {"b": np.ones((2, 1), np.float32), "a": np.array([[True]])},
    ],
    ids=["large", "not-in-one-piece", "empty", "scalar", "strings", "several"],
)
def test_a_key_that_is_made_in_steps_is_the_same(inputs: Tensors) -> None:
    """Large requests find what small steps have stored, and the other way round."""
    whole = cache_key(b"model", inputs, b"json")

    assert at_once(cache_key_in_steps(b"model", inputs, b"json")) == whole
