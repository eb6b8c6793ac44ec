"""Sizes that ONNX' own inference does not tell: com.microsoft, and what ai.onnx.ml leaves open."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto

from ml_pipeline.engine.graph.batch_axis.value import Shape, Value
from ml_pipeline.engine.graph.nodes import attribute, domain_of

Sized = list[tuple[int, Shape | None]]
"""Kind and shape of each output, for one number of rows."""

WORDS_IN_A_ROW = 7_919
"""Taken for the number of words in the longest string: any size that is not the batch's does."""


def by_table(node: NodeProto, operands: Sequence[Value | None], world: int) -> Sized:
    """Ask the table; sizes that do not fit together are not known."""
    nothing: Sized = [(0, None)] * len(node.output)
    rule = _TABLE.get(node.op_type)
    if rule is None:
        return nothing
    shapes = [None if v is None or v.shapes is None else v.shapes[world] for v in operands]
    kind = next((v.kind for v in operands if v is not None), 0)
    try:
        found = rule(node, shapes)
    except (IndexError, TypeError, ValueError):
        return nothing
    outputs: Sized = [
        (TensorProto.STRING if node.op_type in _GIVE_TEXT else kind, s) for s in found
    ]
    return (outputs + nothing)[: len(node.output)]


_GIVE_TEXT = {"StringNormalizer", "StringSplit", "StringConcat", "Tokenizer"}

Shapes = Sequence[Any]
SizeRule = Callable[[NodeProto, Shapes], list[Shape]]


def _like_first(node: NodeProto, shapes: Shapes) -> list[Shape]:
    return [shapes[0]] * len(node.output)


def _normalised(node: NodeProto, shapes: Shapes) -> list[Shape]:
    if attribute(node, "stopwords"):
        raise ValueError("leaves out words")
    return [shapes[0]]


def _broadcast(*places: int) -> SizeRule:
    return lambda node, shapes: [np.broadcast_shapes(*(shapes[place] for place in places))]


def _columns(count: Callable[[NodeProto, Shapes], int]) -> SizeRule:
    """`[B, number of columns]`."""
    return lambda node, shapes: [(shapes[0][0], count(node, shapes))]


def _classified(node: NodeProto, shapes: Shapes) -> list[Shape]:
    lists = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")
    classes = max(len(attribute(node, name) or ()) for name in lists)
    columns = max(classes, 2)
    if node.op_type == "SVMClassifier" and not attribute(node, "prob_a") and classes > 2:
        columns = classes * (classes - 1) // 2
    rows = shapes[0][0] if len(shapes[0]) > 1 else 1
    return [(rows,), (rows, columns)]


def _matmul(left: int, right: int) -> SizeRule:
    def rule(node: NodeProto, shapes: Shapes) -> list[Shape]:
        a, b = list(shapes[left]), list(shapes[right])
        if attribute(node, "transA", 0):
            a[-2:] = a[-1], a[-2]
        if attribute(node, "transB", 0):
            b[-2:] = b[-1], b[-2]
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise ValueError("not two matrices")
        return [(*np.broadcast_shapes(tuple(a[:-2]), tuple(b[:-2])), a[-2], b[-1])]

    return rule


def _packed_attention(node: NodeProto, shapes: Shapes) -> list[Shape]:
    if not domain_of(node):
        raise ValueError("not packed")
    return [(*shapes[0][:-1], shapes[1][1] // 3)]


def _concatenated(node: NodeProto, shapes: Shapes) -> list[Shape]:
    parts = [list(shape) for shape in shapes[2::3]]
    axis = attribute(node, "axis")
    parts[0][axis] = sum(part[axis] for part in parts)
    return [tuple(parts[0])]


def _gathered(node: NodeProto, shapes: Shapes) -> list[Shape]:
    axis, data = attribute(node, "gather_axis", 0), shapes[0]
    packed = 1 if axis else 8 // attribute(node, "bits", 4)
    return [(*data[:axis], *shapes[1], *data[axis + 1 : -1], data[-1] * packed)]


def _picked(node: NodeProto, shapes: Shapes) -> list[Shape]:
    front = (1,) if len(shapes[0]) == 1 else shapes[0][:-1]
    return [(*front, prod(shapes[1]))]


def _pool_everything(node: NodeProto, shapes: Shapes) -> list[Shape]:
    if attribute(node, "channels_last"):
        raise ValueError("not pictures of channels")
    return [(*shapes[0][:2], *(1 for _ in shapes[0][2:]))]


def _of_groups(node: NodeProto, shapes: Shapes) -> list[Shape]:
    queries, shared = attribute(node, "num_heads"), attribute(node, "kv_num_heads")
    packed = len(shapes) < 2 or shapes[1] is None
    heads = queries + 2 * shared if packed else queries
    return [(*shapes[0][:-1], shapes[0][-1] * queries // heads)]


def _embedded(node: NodeProto, shapes: Shapes) -> list[Shape]:
    embedding = (*shapes[0], shapes[2][1])
    return [embedding, shapes[0][:1], embedding]


_TABLE: dict[str, SizeRule] = {
    **dict.fromkeys(
        "GroupNormalization MeanVarianceNormalization LabelEncoder CategoryMapper Scaler "
        "Imputer Normalizer Binarizer Gelu FastGelu QuickGelu BiasGelu "
        "SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization "
        "QLinearSigmoid QLinearLeakyRelu QLinearSoftmax RotaryEmbedding".split(),
        _like_first,
    ),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _broadcast(0, 3)),
    **dict.fromkeys(("SVMClassifier", "LinearClassifier", "TreeEnsembleClassifier"), _classified),
    **dict.fromkeys(
        ("FusedMatMul", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "FusedGemm"), _matmul(0, 1)
    ),
    "ArrayFeatureExtractor": _picked,
    "CDist": lambda node, shapes: [(shapes[0][0], shapes[1][0])],
    "EmbedLayerNormalization": _embedded,
    "FeatureVectorizer": _columns(lambda node, shapes: sum(prod(s[1:]) for s in shapes)),
    "GatherBlockQuantized": _gathered,
    "GroupQueryAttention": _of_groups,
    "LinearRegressor": _columns(lambda node, _: attribute(node, "targets", 1)),
    "MatMulBnb4": lambda node, shapes: [(*shapes[0][:-1], attribute(node, "N"))],
    "MatMulNBits": lambda node, shapes: [(*shapes[0][:-1], attribute(node, "N"))],
    "MultiHeadAttention": lambda node, shapes: [(*shapes[0][:-1], shapes[2][-1])],
    "OneHotEncoder": lambda node, shapes: [
        (*shapes[0], len(attribute(node, "cats_int64s") or attribute(node, "cats_strings")))
    ],
    "QAttention": _packed_attention,
    "Attention": _packed_attention,
    "QGemm": _matmul(0, 3),
    "QLinearConcat": _concatenated,
    "QLinearGlobalAveragePool": _pool_everything,
    "SVMRegressor": _columns(lambda *_: 1),
    "StringSplit": lambda _, shapes: [(*shapes[0], WORDS_IN_A_ROW), shapes[0]],
    "StringNormalizer": _normalised,
    "TfIdfVectorizer": _columns(lambda node, _: max(attribute(node, "ngram_indexes")) + 1),
    "Tokenizer": lambda _, shapes: [(*shapes[0], WORDS_IN_A_ROW)],
    "TreeEnsembleRegressor": _columns(lambda node, _: attribute(node, "n_targets", 1)),
    "TreeEnsemble": _columns(lambda node, _: attribute(node, "n_targets", 1)),
    "ZipMap": lambda _, shapes: [(shapes[0][0],)],
}
"""Where ONNX' inference tells nothing: com.microsoft, and what ai.onnx.ml leaves open."""
