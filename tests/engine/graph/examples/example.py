"""An example: a small graph in ONNX' own words, and what shall be said of its rows.

The words are those of `onnx.parser`: `y = Softmax<axis = -1>(x)`. Results whose names begin with
"y" are the graph's outputs. `B` is the number of rows.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper, parser

Array = npt.NDArray[Any]

WORDS = ["a", "bad", "good film", "b c d e", "a a", "c"]
"""Strings of several lengths and numbers of words."""


class Example(NamedTuple):
    """A graph, and the verdict that is right.

    Attributes:
        text: Its nodes.
        takes: Its inputs, such as `float[B, 4] x`.
        verdict: As it says.
        version: Of ONNX' operators.
        ml: Of those of ai.onnx.ml.
        among: Least and largest value of an input, where not any will do.
        shown: Whether a run shows that rows are coupled: together differs from apart.
        weights: Constants by name.
    """

    text: str
    takes: str
    verdict: Literal["independent", "coupled"]
    version: int
    ml: int
    among: Mapping[str, tuple[float, float]]
    shown: bool
    weights: Mapping[str, Array]

    @property
    def model(self) -> ModelProto:
        """The graph as a model."""
        nodes = parser.parse_graph(f"g ({self.takes}) => () {{ {self.text} }}")
        names = [name for node in nodes.node for name in node.output if name.startswith("y")]
        nodes.output.extend(ValueInfoProto(name=name) for name in names)
        nodes.initializer.extend(
            numpy_helper.from_array(np.asarray(value), name) for name, value in self.weights.items()
        )
        opsets = {"": self.version, "ai.onnx.ml": self.ml, "com.microsoft": 1}
        opset_imports = [helper.make_opsetid(*opset) for opset in opsets.items()]
        return helper.make_model(nodes, opset_imports=opset_imports, ir_version=10)

    def rows(self, count: int, scale: float = 3.0) -> dict[str, Array]:
        """Draw rows, the same each time; `scale` is how far numbers go from 0."""
        rng = np.random.default_rng(count)
        found = {}
        for given in self.model.graph.input:
            tensor = given.type.tensor_type
            shape = (count, *(size.dim_value for size in tensor.shape.dim[1:]))
            kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            found[given.name] = _drawn(rng, shape, kind, self.among.get(given.name), scale)
        return found


def _drawn(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    among: tuple[float, float] | None,
    scale: float,
) -> Array:
    if kind.kind == "O":
        return rng.choice(np.array(WORDS, object), shape)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        low, high = among or (0 if kind.kind == "u" else -3, 4)
        return rng.integers(int(low), int(high), shape, endpoint=True).astype(kind)
    if among is not None:
        return rng.uniform(*among, shape).astype(kind)
    return (rng.standard_normal(shape) * scale).astype(kind)


def apart(text: str, takes: str = "float[B, 4] x", **given: Any) -> Example:
    """Make an example whose rows stay apart; constants by name."""
    return _example(text, takes, "independent", given)


def mixed(text: str, takes: str = "float[B, 4] x", **given: Any) -> Example:
    """Make an example whose rows learn of each other."""
    return _example(text, takes, "coupled", given)


def _example(text: str, takes: str, verdict: Any, given: dict[str, Any]) -> Example:
    version, ml = given.pop("version", 21), given.pop("ml", 3)
    among, shown = given.pop("among", {}), given.pop("shown", True)
    return Example(text, takes, verdict, version, ml, among, shown, given)


def weights(*shape: int) -> Array:
    """Give numbers that differ from place to place."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    """Give sizes, axes, numbers of places."""
    return np.array(values, np.int64)
