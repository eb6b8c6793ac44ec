"""Elements of small tensors that no input decides: shapes, axes, bounds, and what is made of them.

Computed by ONNX' own reference implementation, once for each number of rows.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from onnx import NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from ml_pipeline.engine.graph.batch_axis.value import BATCHES, Array, Value, of_data
from ml_pipeline.engine.graph.nodes import attribute, domain_of

MOST_ELEMENTS = 4_096
"""Of a tensor that is computed; fewer than P, so that none of them has the batch as an axis."""

FOLDED = set(
    "Abs Add And Cast Ceil Clip Concat Div Equal Exp Expand Flatten Floor Gather GatherElements "
    "Greater GreaterOrEqual Identity Less LessOrEqual Log Max Min Mod Mul Neg NonZero Not Or Pow "
    "Range Reciprocal ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements "
    "ScatterND Sign Slice Sqrt Squeeze Sub Tile Transpose Trunc Unsqueeze Where Xor "
    "ConstantOfShape CumSum Compress Split".split()
)
"""Operators that exporters compute shapes, indices and masks with."""

MOVING = set(
    "Compress Concat ConstantOfShape Expand Flatten Gather GatherElements Identity Range Reshape "
    "ScatterElements ScatterND Slice Split Squeeze Tile Transpose Unsqueeze".split()
)
"""Those that make no other numbers: what they give is the same wherever it is for `BATCHES`."""

COMPARING = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}


def constant_of(node: NodeProto) -> Value:
    """Read a `Constant` node."""
    for name, kind in _NUMBERS.items():
        if (found := attribute(node, name)) is not None:
            return of_data((np.array(found, kind),) * len(BATCHES), _kind_of(np.dtype(kind)))
    sparse = attribute(node, "sparse_value")
    return of_tensor(attribute(node, "value")) if sparse is None else of_sparse(sparse)


_NUMBERS = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_string": np.object_,
    "value_strings": np.object_,
}


def of_sparse(tensor: SparseTensorProto) -> Value:
    """Make a value of a weight of which most elements are 0; they are not read."""
    return Value(kind=tensor.values.data_type, shapes=(tuple(tensor.dims),) * len(BATCHES))


def of_tensor(tensor: TensorProto) -> Value:
    """Make a value of a weight; its elements only if they are few and in this file."""
    shape = tuple(tensor.dims)
    if prod(shape) > MOST_ELEMENTS or tensor.data_location == TensorProto.EXTERNAL:
        return Value(kind=tensor.data_type, shapes=(shape,) * len(BATCHES))
    return of_data((numpy_helper.to_array(tensor),) * len(BATCHES), tensor.data_type)


def shape_of(node: NodeProto, value: Value) -> Value | None:
    """Compute `Shape` and `Size`, which need no elements."""
    if value.shapes is None:
        return None
    if node.op_type == "Size":
        sizes = tuple(np.array(prod(shape), np.int64) for shape in value.shapes)
        return of_data(sizes, TensorProto.INT64)
    start, end = attribute(node, "start", 0), attribute(node, "end")
    cut = tuple(np.array(shape[start:end], np.int64) for shape in value.shapes)
    return of_data(cut, TensorProto.INT64)


def fold(node: NodeProto, version: int, operands: Sequence[Value | None]) -> list[Value] | None:
    """Compute a node whose operands are all known; None if they are not, or it would be large."""
    if node.op_type not in FOLDED or domain_of(node) or not operands:
        return None
    if any(value is not None and value.data is None for value in operands):
        return None
    worlds: list[list[Array]] = []
    for world in range(len(BATCHES)):
        arrays = [None if v is None or v.data is None else v.data[world] for v in operands]
        if world and _same_operands(operands):
            worlds.append(worlds[0])
            continue
        computed = _compute(node, version, arrays)
        if computed is None:
            return None
        worlds.append(computed)
    results = [of_data(found, _kind_of(found[0].dtype)) for found in zip(*worlds, strict=True)]
    if any(v is not None and v.hidden for v in operands) or _hides(node, operands, results):
        return [replace(value, counts=True, hidden=True) for value in results]
    return results


def _hides(node: NodeProto, operands: Sequence[Value | None], results: Sequence[Value]) -> bool:
    """Whether what is the same for each of `BATCHES` may differ for other numbers of rows."""
    known = [value for value in operands if value is not None]
    counting = [value for value in known if value.counts]
    moves = node.op_type in MOVING or (node.op_type == "Where" and not known[0].counts)
    if not counting or moves or any(value.counts for value in results):
        return False
    if node.op_type in ("Sub", "Div"):  # of two sizes that hold the rows: 3 * B / B
        return len(counting) == 1
    if node.op_type in COMPARING and len(counting) == 1:  # no size is 0 or -1
        others = [value for value in known if not value.counts]
        positive = all((array > 0).all() for array in counting[0].data or ())
        return not (positive and all((value.data[-1] <= 0).all() for value in others if value.data))
    return not (node.op_type == "Equal" and results[0].data and results[0].data[-1].all())


def _same_operands(operands: Sequence[Value | None]) -> bool:
    return not any(value is not None and value.counts for value in operands)


def _compute(node: NodeProto, version: int, arrays: list[Any]) -> list[Array] | None:
    if _elements_made(node.op_type, arrays) > MOST_ELEMENTS:
        return None
    from onnx.reference.ops._op_list import load_op  # 50 ms that tables and trees need not pay

    try:
        implementation = load_op("", node.op_type, version)
        run = implementation(node, {**_RUN_PARAMETERS, "opsets": {"": version}})
        found = [np.asarray(each) for each in run.run(*arrays)]
    except Exception:  # what cannot be computed is not known, whatever the reason
        return None
    return None if any(each.size > MOST_ELEMENTS for each in found) else found


def _be_silent(pattern: str, *_: object) -> None:
    """Take a message of the reference implementation."""


_RUN_PARAMETERS = {"verbose": 0, "log": _be_silent, "new_ops": None}


def _elements_made(operator: str, arrays: list[Any]) -> float:
    """Bound what an operator would make before it does."""
    if operator == "Range":
        start, limit, step = (float(np.ravel(array)[0]) for array in arrays)
        return abs((limit - start) / step) if step else 0.0
    if operator in ("ConstantOfShape", "Expand", "Tile"):
        sizes = [max(int(size), 1) for size in np.ravel(arrays[-1])]
        own = arrays[0].size if operator != "ConstantOfShape" else 1
        return float(prod(sizes)) * (own if operator == "Tile" else 1)
    return 0.0


def _kind_of(dtype: np.dtype[Any]) -> int:
    if dtype.kind in "OSU":
        return int(TensorProto.STRING)
    try:
        return int(helper.np_dtype_to_tensor_dtype(dtype))
    except (KeyError, ValueError):
        return 0
