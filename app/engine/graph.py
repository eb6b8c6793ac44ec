"""Which operators a model's graph has, read from its file without its weights.

ONNX files are protobuf messages: fields, each a tag and a value, of which values with a length can
be skipped. Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
https://protobuf.dev/programming-guides/encoding. Files in ORT's own format are searched as a whole.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

RANDOM_OPERATORS = (
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Multinomial", "Bernoulli"),
)
"""Graphs that hold one of these give a new answer each time and are never cached."""

VARYING_OPERATORS = (
    *("Loop", "Range", "ConstantOfShape", "Expand", "Tile", "Resize", "Upsample", "Pad", "OneHot"),
)
"""Operators whose work may depend on the values they are given, and so have no bound."""

MODEL_GRAPH, MODEL_FUNCTIONS, GRAPH_NODE = 7, 25, 1
"""Numbers of the fields that hold operators."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Types of a field on the wire."""


def has_operator(path: Path, operators: Collection[str]) -> bool:
    """Tell whether a graph has one of these, at its top or within another operator; blocks."""
    if path.suffix == ".ort":
        content = path.read_bytes()
        return any(_in_ort(name) in content for name in operators)
    encoded = [_in_onnx(name) for name in operators]
    with path.open("rb") as file:
        return any(word in node for node in _nodes(file) for word in encoded)


def _nodes(file: BinaryIO) -> Iterator[bytes]:
    """Read each node of the graph, and each function, as it is encoded."""
    for field, size in _fields(file, None):
        if field == MODEL_FUNCTIONS:
            yield file.read(size)
        elif field == MODEL_GRAPH:
            parts = _fields(file, file.tell() + size)
            yield from (file.read(part_size) for part, part_size in parts if part == GRAPH_NODE)


def _fields(file: BinaryIO, end: int | None) -> Iterator[tuple[int, int]]:
    """Give number and size of each field that has a length; what is not read of it is skipped."""
    while end is None or file.tell() < end:
        tag = _varint(file)
        if tag is None:
            return
        kind = tag & 7
        size = {FIXED64: 8, FIXED32: 4}.get(kind, 0)
        if kind == LENGTH:
            size = _varint(file) or 0
        elif kind == VARINT:
            _varint(file)
        after = file.tell() + size
        if kind == LENGTH:
            yield tag >> 3, size
        file.seek(after)


def _varint(file: BinaryIO) -> int | None:
    """Read a number, seven bits a byte, the lowest first; None at the end of the file."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return None


def _in_onnx(name: str) -> bytes:
    """Field 4 of a node, its operator, which is a string with its length before it."""
    return bytes([4 << 3 | LENGTH, len(name)]) + name.encode()


def _in_ort(name: str) -> bytes:
    """A string of a FlatBuffer: its length in four bytes before it, a zero behind."""
    return len(name).to_bytes(4, "little") + name.encode() + b"\0"
