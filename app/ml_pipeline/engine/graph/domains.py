"""Which values an input takes, as far as the graph tells.

Each input is followed through what only moves its values about, to the operators that show what
they are for: an index into a table, a mask, a length, a word out of a vocabulary. What the tables
do not have tells nothing.
"""

from collections.abc import Iterator
from math import isnan, prod
from typing import Any, NamedTuple

from msgspec import structs
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from ml_pipeline.engine.graph.nodes import attribute, constants, must_be_given, walk
from ml_pipeline.engine.graph.report import Domain

MOVES = set(
    "ArrayFeatureExtractor Cast Concat Expand Flatten Gather Identity Reshape Slice Split Squeeze "
    "StringNormalizer StringSplit Tile Tokenizer Transpose Unsqueeze".split()
)
"""Operators whose outputs hold values of their inputs, or parts of their words."""

TABLES = {
    "ArrayFeatureExtractor": {1: 0},
    "EmbedLayerNormalization": {0: 2, 1: 4, 8: 3},
    "Gather": {1: 0},
    "GatherBlockQuantized": {1: 0},
    "GatherElements": {1: 0},
    "QEmbedLayerNormalization": {0: 2, 1: 4},
}
"""Operators with an index at some places, by the place of the table that it leads into."""

MASKS = {
    "Attention": (3,),
    "EmbedLayerNormalization": (7,),
    "MultiHeadAttention": (4,),
    "Not": (0,),
    "QAttention": (5,),
    "QEmbedLayerNormalization": (7,),
    "Where": (0,),
}
"""Operators with yes or no at some places."""

LENGTHS = {
    "Attention": 6,
    "DynamicQuantizeLSTM": 4,
    "GRU": 4,
    "LSTM": 4,
    "RNN": 4,
    "ReverseSequence": 1,
}
"""Operators with a number of steps at some place."""

COMPARE = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
"""Operators that make a mask of a length and a `Range`."""

VOCABULARIES = {
    "CategoryMapper": ("cats_strings", "cats_int64s"),
    "LabelEncoder": ("keys_strings", "keys_int64s", "keys_tensor"),
    "OneHotEncoder": ("cats_strings", "cats_int64s"),
    "StringNormalizer": ("stopwords",),
    "TfIdfVectorizer": ("pool_strings", "pool_int64s"),
}
"""Attributes that list what an operator knows."""

_WHOLE = {TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.INT8}

MOST_WORDS = 200
"""Of a vocabulary: more would tell a trial nothing new."""


LARGE = 1000.0
"""A factor that is there to leave nothing of what it is multiplied with but a sign."""


class Value(NamedTuple):
    """Where the values of a tensor come from.

    Attributes:
        name: Of the input.
        offset: What has been added since.
        inverted: Whether it is 1 less the input.
    """

    name: str
    offset: int = 0
    inverted: bool = False


def domains(model: ModelProto) -> list[Domain]:
    """Give one an input."""
    return _Reading(model).domains()


class _Reading:
    """One walk through a graph, in order of the data."""

    def __init__(self, model: ModelProto) -> None:
        inputs = must_be_given(model.graph)
        self._domains = {each.name: Domain(each.name) for each in inputs}
        self._whole = {each.name for each in inputs if each.type.tensor_type.elem_type in _WHOLE}
        self._masks: set[str] = set()
        self._sources = {name: {Value(name)} for name in self._domains}
        self._of_range: set[str] = set()
        self._constants = constants(model)
        self._sizes: dict[str, list[int]] = {
            name: list(each.dims) for name, each in self._constants.items()
        }
        for node in walk(model.graph):
            for place, name in enumerate(node.input):
                for value in self._sources.get(name, ()):
                    self._look(node, place, value)
            self._follow(node)

    def domains(self) -> list[Domain]:
        """Give one an input; a mask is told last, since words, too, are compared with padding."""
        for name in self._masks:
            if self._domains[name].high is None and not self._domains[name].length:
                self._change(name, low=0, high=1)
        return list(self._domains.values())

    def _look(self, node: NodeProto, place: int, value: Value) -> None:
        """Take in what a node tells of the values at one of its places."""
        if place == 0 and _takes_missing(node):
            self._change(value.name, missing=True)
        if value.name in self._whole and self._look_at_whole(node, place, value):
            return
        if self._is_mask(node, place, value):
            self._masks.add(value.name)
        elif place == 0 and node.op_type in VOCABULARIES:
            self._knows(value.name, node)

    def _look_at_whole(self, node: NodeProto, place: int, value: Value) -> bool:
        """Take in whether whole numbers are indices or lengths there; False if they are neither."""
        kind = node.op_type
        table = TABLES.get(kind, {}).get(place)
        if table is not None:
            self._is_index(value, self._rows(node, table))
        elif kind == "OneHot" and place == 0:
            self._is_index(value, self._number(node.input[1]))
        elif LENGTHS.get(kind) == place or self._meets_range(node, place):
            self._change(value.name, low=1, length=True)
        else:
            return False
        return True

    def _follow(self, node: NodeProto) -> None:
        """Note whose values the outputs hold."""
        kind, first = node.op_type, next(iter(node.input), "")
        if kind == "Range" or (kind in MOVES | {"Add"} and self._of_range & set(node.input)):
            self._of_range.update(node.output)
        if kind in ("Cast", "DequantizeLinear", "Identity") and first in self._sizes:
            self._sizes[node.output[0]] = self._sizes[first]
        found: set[Value] = set()
        if kind in MOVES or (kind == "Equal" and self._number(node.input[1]) == 0):
            for name in node.input if kind == "Concat" else [first]:
                found |= self._sources.get(name, set())
        elif kind == "Add":
            for name, other in zip(node.input, reversed(node.input), strict=True):
                added = int(self._number(other) or 0)
                found |= {
                    each._replace(offset=each.offset + added)
                    for each in self._sources.get(name, ())
                }
        elif kind == "Sub" and self._number(first) == 1:
            found = {each._replace(inverted=True) for each in self._sources.get(node.input[1], ())}
        if found:
            self._sources.update(dict.fromkeys(node.output, found))

    def _is_mask(self, node: NodeProto, place: int, value: Value) -> bool:
        if value.inverted:
            return node.op_type == "Mul" and abs(self._number(node.input[1 - place]) or 0) >= LARGE
        to_bool = node.op_type == "Cast" and attribute(node, "to") == TensorProto.BOOL
        return value.name in self._whole and (to_bool or place in MASKS.get(node.op_type, ()))

    def _meets_range(self, node: NodeProto, place: int) -> bool:
        return node.op_type in COMPARE and node.input[1 - place] in self._of_range

    def _rows(self, node: NodeProto, place: int) -> int | None:
        """Count what an index may lead to; None where the table is none of the weights."""
        sizes = self._sizes.get(node.input[place])
        if not sizes:
            return None
        last = node.op_type == "ArrayFeatureExtractor"
        axis: int = -1 if last else attribute(node, "axis", attribute(node, "gather_axis", 0))
        return sizes[axis]

    def _number(self, name: str) -> float | None:
        """Give a constant of one element."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.external_data or prod(tensor.dims) != 1:
            return None
        value = numpy_helper.to_array(tensor)
        return None if value.dtype.kind in "OSU" else float(value.reshape(-1)[0])

    def _is_index(self, value: Value, size: float | None) -> None:
        if size and not value.inverted:
            known = self._domains[value.name]
            low, high = max(-value.offset, known.low or 0), int(size) - 1 - value.offset
            self._change(
                value.name, low=low, high=high if known.high is None else min(high, known.high)
            )

    def _knows(self, name: str, node: NodeProto) -> None:
        known = self._domains[name]
        entries = [*known.words, *known.numbers]
        for each in VOCABULARIES[node.op_type]:
            entries += _entries(attribute(node, each, []))
        self._change(
            name,
            words=_some([each for each in entries if isinstance(each, str)]),
            numbers=_some([each for each in entries if isinstance(each, int)]),
        )

    def _change(self, name: str, **fields: Any) -> None:
        self._domains[name] = structs.replace(self._domains[name], **fields)


def _entries(found: Any) -> Iterator[str | int]:
    """Give the words and whole numbers of a list, or of a tensor."""
    if isinstance(found, TensorProto):
        found = numpy_helper.to_array(found).reshape(-1).tolist()
    for entry in found:
        if isinstance(entry, bytes):
            yield entry.decode(errors="replace")
        elif isinstance(entry, str | int):
            yield entry


def _some(entries: list[Any]) -> list[Any]:
    return list(dict.fromkeys(entries))[:MOST_WORDS]


def _takes_missing(node: NodeProto) -> bool:
    """Tell whether an operator has something to do with NaN."""
    if node.op_type == "Imputer":
        return isnan(attribute(node, "replaced_value_float", 0.0))
    is_tree = node.op_type.startswith("TreeEnsemble")
    tracked = attribute(node, "nodes_missing_value_tracks_true", []) if is_tree else []
    return node.op_type == "IsNaN" or any(_entries(tracked))
