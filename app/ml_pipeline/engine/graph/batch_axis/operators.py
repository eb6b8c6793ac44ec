"""The table: for each operator the rule that tells where the rows are behind it.

To teach the server an operator, add it here, to the rule that it follows; `rules/` has one for each
way to treat rows. What is not in the table is unknown. The tests try each entry against ONNX
Runtime, rows together and apart (`tests/engine/graph/test_operators.py`).
"""

from ml_pipeline.engine.graph.batch_axis.rules.contracting import (
    attention,
    by_image,
    einsum,
    gemm,
    matmul,
    pool,
    resize,
    rotary,
    rotary_by_places,
)
from ml_pipeline.engine.graph.batch_axis.rules.cutting import crop, pad, slice_
from ml_pipeline.engine.graph.batch_axis.rules.elementwise import (
    alternate,
    dropout,
    elementwise,
    like_first,
    of_first,
    quantised,
)
from ml_pipeline.engine.graph.batch_axis.rules.learned import (
    distances,
    mixes,
    ngrams,
    one_hot_encoder,
    recurrent,
    scaled_columns,
    string_normalizer,
    table,
    words,
    zip_map,
)
from ml_pipeline.engine.graph.batch_axis.rules.picking import (
    by_element,
    compress,
    cumulative,
    feature_extractor,
    gather,
    gather_nd,
    one_hot,
    reverse_sequence,
    scatter_nd,
    top_k,
    triangle,
)
from ml_pipeline.engine.graph.batch_axis.rules.reducing import (
    along_axis,
    arg,
    batch_norm,
    fourier,
    from_axis,
    loss,
    mean_variance,
    reduce_,
    softmax,
)
from ml_pipeline.engine.graph.batch_axis.rules.shaping import (
    concatenate,
    concatenate_quantised,
    expand,
    reshape,
    split,
    tile,
    transpose,
    uniform,
)
from ml_pipeline.engine.graph.batch_axis.step import Rule


def _each(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


ONNX: dict[str, Rule] = {
    **_each(
        elementwise,
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Cast Ceil Celu Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater "
        "GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log "
        "Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal RegexFullMatch Relu Round Selu "
        "Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt StringConcat Sub Sum Swish Tan Tanh "
        "ThresholdedRelu Where Xor SwiGLU",
    ),
    "CastLike": like_first,
    "Clip": of_first(),
    **_each(quantised, "QuantizeLinear DequantizeLinear"),
    **_each(reshape, "Reshape Flatten Squeeze Unsqueeze"),
    **_each(
        by_image(0),
        "Conv ConvInteger ConvTranspose Col2Im DepthToSpace "
        "GroupNormalization InstanceNormalization LRN "
        "QLinearConv SpaceToDepth AffineGrid Det",
    ),
    **_each(pool, "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool"),
    **_each(resize, "Resize Upsample"),
    **_each(
        reduce_,
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare",
    ),
    **_each(arg, "ArgMax ArgMin"),
    **_each(softmax, "Softmax LogSoftmax Hardmax"),
    **_each(from_axis(), "LayerNormalization RMSNormalization SimplifiedLayerNormalization"),
    **_each(loss, "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"),
    **_each(cumulative, "CumSum CumProd"),
    **_each(by_element, "GatherElements Scatter ScatterElements"),
    **_each(recurrent, "LSTM GRU RNN"),
    **_each(words, "StringSplit"),
    "Attention": attention,
    "CausalConvWithState": by_image(0, 3),
    "LinearAttention": by_image(0, 1, 2, 3, 4, 5),
    "RotaryEmbedding": rotary,
    "BatchNormalization": batch_norm,
    "CenterCropPad": crop,
    "Compress": compress,
    "Concat": concatenate,
    "ConstantOfShape": uniform,
    "DFT": fourier,
    "Dropout": dropout,
    "DeformConv": by_image(0, 2, 4),
    "Einsum": einsum,
    "Expand": expand,
    "Gather": gather,
    "GatherND": gather_nd,
    "Gemm": gemm(0, 1, 2),
    "GridSample": by_image(0, 1),
    "LpNormalization": along_axis(-1),
    "MatMul": matmul(0, 1),
    "MatMulInteger": matmul(0, 1),
    "MeanVarianceNormalization": mean_variance,
    "OneHot": one_hot,
    "Pad": pad,
    "QLinearMatMul": matmul(0, 3),
    "ReverseSequence": reverse_sequence,
    "ScatterND": scatter_nd,
    "Slice": slice_,
    "Split": split,
    "STFT": by_image(0),
    "StringNormalizer": string_normalizer,
    "TensorScatter": by_image(0, 1, 2),
    "TfIdfVectorizer": ngrams,
    "Tile": tile,
    "TopK": top_k,
    "Transpose": transpose,
    "Trilu": triangle,
    "DynamicQuantizeLinear": mixes("takes one scale of all rows"),
    "EyeLike": mixes("makes a table of rows by rows"),
    "MaxRoiPool": mixes("takes regions for rows"),
    "MaxUnpool": mixes("counts places through all rows"),
    "NonMaxSuppression": mixes("keeps a part of the batch"),
    "NonZero": mixes("keeps a part of the batch"),
    "RoiAlign": mixes("takes regions for rows"),
    "Unique": mixes("keeps a part of the batch"),
}

ML: dict[str, Rule] = {
    **_each(of_first(), "Binarizer CategoryMapper LabelEncoder"),
    **_each(scaled_columns, "Imputer Scaler"),
    **_each(
        table,
        "FeatureVectorizer LinearClassifier LinearRegressor Normalizer SVMClassifier SVMRegressor "
        "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
    ),
    "ArrayFeatureExtractor": feature_extractor,
    "OneHotEncoder": one_hot_encoder,
    "ZipMap": zip_map,
}

MICROSOFT: dict[str, Rule] = {
    **_each(of_first(1), "BiasGelu FastGelu"),
    **_each(of_first(), "Gelu QuickGelu QLinearSigmoid QLinearLeakyRelu"),
    **_each(alternate(0, 3), "QLinearAdd QLinearMul"),
    **_each(by_image(0), "QLinearAveragePool QLinearGlobalAveragePool"),
    **_each(by_image(0, 3), "FusedConv"),
    **_each(by_image(0, 1, 7, 8), "EmbedLayerNormalization"),
    **_each(by_image(0, 1, 2, 4, 5, 6, 7), "MultiHeadAttention"),
    "Attention": by_image(0, 3, 5),
    "CausalConvWithState": by_image(0, 3),
    "LinearAttention": by_image(0, 1, 2, 3, 4, 5),
    "QAttention": by_image(0, 5),
    "RotaryEmbedding": rotary_by_places,
    **_each(quantised, "QuantizeLinear DequantizeLinear"),
    **_each(from_axis(1), "SkipLayerNormalization SkipSimplifiedLayerNormalization"),
    **_each(mixes("takes one scale of all rows"), "DynamicQuantizeMatMul DynamicQuantizeLSTM"),
    "CDist": distances,
    "FusedGemm": gemm(0, 1, 2),
    "FusedMatMul": matmul(0, 1),
    "MatMulIntegerToFloat": matmul(0, 1),
    **_each(from_axis(), "MatMulBnb4 MatMulNBits"),
    "GatherBlockQuantized": gather,
    "GatherND": gather_nd,
    "GroupQueryAttention": by_image(0, 1, 2, 3, 4, 5, 9, 10),
    "QGemm": gemm(0, 3, 6),
    "QLinearConcat": concatenate_quantised,
    "QLinearSoftmax": softmax,
    "Tokenizer": words,
    "Trilu": triangle,
}

RULES = {"": ONNX, "ai.onnx.ml": ML, "com.microsoft": MICROSOFT}
"""By domain and name."""
