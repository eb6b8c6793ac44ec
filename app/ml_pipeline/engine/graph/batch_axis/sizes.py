"""Kinds and shapes of a node's outputs, for each number of rows.

By ONNX' own shape inference, a node at a time; by a table (`size_table.py`) for operators of which
it knows nothing, or not enough.
"""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, TypeProto, defs, helper, numpy_helper, shape_inference

from ml_pipeline.engine.graph.batch_axis.size_table import Sized, by_table
from ml_pipeline.engine.graph.batch_axis.value import BATCHES, Mixed, Shape, Value, of_data
from ml_pipeline.engine.graph.nodes import attribute, domain_of


class Inference:
    """Infers sizes under the operator versions of one model."""

    def __init__(self, versions: dict[str, int]) -> None:
        self._versions = versions
        self._opsets = [helper.make_opsetid(domain, v) for domain, v in versions.items()]

    def results(self, node: NodeProto, operands: Sequence[Value | None]) -> list[Value]:
        """Give a value an output, with kind and shapes as far as they can be told.

        Raises:
            Mixed: They can be told for some numbers of rows only.
        """
        worlds = [self._in_world(node, operands, world) for world in _worlds(operands)]
        if len(worlds) == 1:
            worlds *= len(BATCHES)
        found = []
        for outputs in zip(*worlds, strict=True):
            shapes = tuple(shape for _, shape in outputs if shape is not None)
            if shapes and len(shapes) < len(BATCHES):
                raise Mixed("fits some numbers of rows and not others")
            found.append(Value(kind=outputs[-1][0], shapes=shapes or None))
        return found

    def _in_world(self, node: NodeProto, operands: Sequence[Value | None], world: int) -> Sized:
        inferred = self._infer(node, operands, world)
        if all(shape is not None for _, shape in inferred):
            return inferred
        told = by_table(node, operands, world)
        return [t if t[1] is not None else i for i, t in zip(inferred, told, strict=True)]

    def _infer(self, node: NodeProto, operands: Sequence[Value | None], world: int) -> Sized:
        nothing: Sized = [(0, None)] * len(node.output)
        version = self._versions.get(domain_of(node), 1)
        if node.op_type == "Compress":
            node, operands = _as_gather(node, operands)
        if domain_of(node) and node.op_type in SIZED_LIKE:
            node, operands = _standard(node, operands)
            version = defs.onnx_opset_version()
        types, data = _operands(node, operands, world)
        try:
            schema = defs.get_schema(node.op_type, version, domain_of(node))
            found = shape_inference.infer_node_outputs(
                schema, node, types, data, opset_imports=self._opsets
            )
        except Exception:  # ONNX does not know the operator, or sizes do not fit: not known then
            return nothing
        return [_sized(found.get(name)) for name in node.output]


def _worlds(operands: Sequence[Value | None]) -> range:
    """Which of `BATCHES` to look at: one, if nothing differs between them."""
    differ = any(
        value is not None and (value.counts or len(set(value.shapes or ())) > 1)
        for value in operands
    )
    return range(len(BATCHES) if differ else 1)


SIZED_LIKE = {
    "CausalConvWithState": ("CausalConvWithState", 4),
    "DequantizeLinear": ("DequantizeLinear", 3),
    "FusedConv": ("Conv", 2),
    "GatherND": ("GatherND", 2),
    "LinearAttention": ("LinearAttention", 6),
    "QLinearAveragePool": ("MaxPool", 1),
    "QuantizeLinear": ("QuantizeLinear", 3),
    "Trilu": ("Trilu", 2),
}
"""Operators of com.microsoft by standard ones of the same sizes, and how many operands count."""

_NO_MATTER = {"activation", "activation_params", "chunk_size", "count_include_pad"}
"""Attributes that change no size."""


def _standard(
    node: NodeProto, operands: Sequence[Value | None]
) -> tuple[NodeProto, Sequence[Value | None]]:
    """Put a standard node in place of one of com.microsoft."""
    operator, count = SIZED_LIKE[node.op_type]
    like = helper.make_node(operator, node.input[:count], node.output)
    like.attribute.extend(each for each in node.attribute if each.name not in _NO_MATTER)
    return like, operands[:count]


def _as_gather(
    node: NodeProto, operands: Sequence[Value | None]
) -> tuple[NodeProto, Sequence[Value | None]]:
    """Put a `Gather` in place of a `Compress` along an axis by what is known."""
    x, condition = operands
    axis = attribute(node, "axis")
    if axis is None or condition is None or condition.data is None:
        return node, operands
    places = tuple(np.flatnonzero(array) for array in condition.data)
    like = helper.make_node("Gather", node.input, node.output, axis=axis)
    return like, [x, of_data(places, TensorProto.INT64)]


def _operands(
    node: NodeProto, operands: Sequence[Value | None], world: int
) -> tuple[dict[str, TypeProto], dict[str, TensorProto]]:
    types, data = {}, {}
    for name, value in zip(node.input, operands, strict=True):
        if value is None:
            continue
        shape = None if value.shapes is None else value.shapes[world]
        types[name] = helper.make_tensor_type_proto(value.kind, shape)
        if value.data is not None and value.data[world].dtype.kind not in "OSU":
            data[name] = numpy_helper.from_array(np.asarray(value.data[world]))
    return types, data


def _sized(found: TypeProto | None) -> tuple[int, Shape | None]:
    if found is None or not found.HasField("tensor_type"):
        return 0, None
    tensor = found.tensor_type
    sizes = [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim]
    known = tensor.HasField("shape") and -1 not in sizes
    return tensor.elem_type, tuple(sizes) if known else None
