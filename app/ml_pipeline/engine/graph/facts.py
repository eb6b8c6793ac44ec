"""What is known of one tensor on the way to a meaning, and small questions about tensors.

`rules.py` makes facts of facts, operator by operator; `meanings.py` reads those of the outputs.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from ml_pipeline.engine.graph.nodes import constants
from ml_pipeline.engine.graph.report import Classes, Kind

MAX_TABLE = 65_536
"""Values of a constant that is looked into: a table of classes has few, a weight has many."""

Decision = Literal["largest", "least", "threshold"]
"""How a label comes of numbers."""

PASSING = set(
    "Clip DequantizeLinear Dropout Flatten Identity QuantizeLinear Reshape Squeeze "
    "Unsqueeze".split()
)
"""Operators whose output is what their first input is, in another shape at most."""

COLUMN_BY_COLUMN = PASSING | set(
    "Abs Add Cast Div Exp Expand Log LogSoftmax LpNormalization Max Mean Min Mul Neg Normalizer "
    "Pow QLinearSigmoid QLinearSoftmax Reciprocal Sigmoid Softmax Sqrt Sub Sum Where ZipMap".split()
)
"""Operators whose columns are those of their inputs, each made another number."""

GUARDS = PASSING | {"Add", "Cast", "Max", "Where"}
"""Operators that keep what is divided by from being 0, and change nothing else."""


class Fact(Struct, frozen=True):
    """What is known of a tensor.

    Attributes:
        kind: As in `Meaning`.
        node: Of the node that made it so.
        classes: Likewise; of a label None where it counts from 0, and none where nobody lists them.
        exclusive: Likewise.
        mass: What one column can come to; 1 of a probability, 0.5 of one that is averaged with
            another, 0 of all else.
        decided_by: Name of the tensor of which a label was made.
        decision: How.
    """

    kind: Kind
    node: str
    classes: Classes | None = None
    exclusive: bool = False
    mass: float = 0.0
    decided_by: str = ""
    decision: Decision = "largest"


class Tensors:
    """The tensors of one graph.

    Attributes:
        known: Those that never change.
        producers: The node that makes each of the others; inputs and constants have none.
        facts: What is known of each, as far as the graph has been followed.
    """

    def __init__(self, model: ModelProto) -> None:
        self.known: dict[str, TensorProto] = constants(model)
        nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        self.producers = {name: node for node in nodes for name in node.output if name}
        self.facts: dict[str, Fact] = {}

    def fact(self, node: NodeProto, place: int = 0) -> Fact | None:
        """What is known of an operand."""
        return self.facts.get(node.input[place]) if place < len(node.input) else None

    def made_by(self, name: str, *operators: str) -> NodeProto | None:
        """Give the node that makes a tensor, if it is one of these; `PASSING` ones are skipped."""
        node: NodeProto | None = self.producers.get(name)
        while node is not None and node.op_type in PASSING:
            node = self.producers.get(node.input[0])
        return node if node is not None and node.op_type in operators else None

    def table(self, name: str) -> list[Any] | None:
        """List the values of a constant of one dimension; of sizes of 1 beside it, too."""
        values = self._values(name)
        if values is None or values.size not in (*values.shape[-1:], 1):
            return None
        listed = values.ravel().tolist()
        return [value.decode() if isinstance(value, bytes) else value for value in listed]

    def number(self, name: str) -> float | None:
        """Give the value of a constant that is one number."""
        values = self._values(name)
        if values is None or values.size != 1 or values.dtype.kind not in "fiu":
            return None
        return float(values.ravel()[0])

    def _values(self, name: str) -> npt.NDArray[Any] | None:
        tensor = self.known.get(name)
        if tensor is None or tensor.external_data or np.prod(tensor.dims) > MAX_TABLE:
            return None
        return numpy_helper.to_array(tensor)

    def columns_of(self, name: str, operators: set[str] = COLUMN_BY_COLUMN) -> set[str]:
        """Name the tensors of which these operators made this one, and itself."""
        found: set[str] = set()
        todo = [name]
        while todo:
            name = todo.pop()
            if name in found or name not in self.producers:
                continue
            found.add(name)
            node = self.producers[name]
            if node.op_type in operators:
                todo += node.input
        return found
