"""Is the work of a run bounded by the sizes of its inputs?

Only then does a measured run tell how long the next one takes, and only then may it be run on the
event loop's thread. What is not in these tables is taken for unbounded: an `If` runs the branch
that its rows choose, `NonZero` gives as many elements as it finds.
"""

from onnx import GraphProto, ModelProto, NodeProto

from app.engine.graph.nodes import constants, subgraphs, title

BY_SIZES = set(
    # Elementwise.
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr "
    "BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater "
    "GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max "
    "Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin "
    "Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor Dropout "
    # Shapes, and moving elements about.
    "Concat Constant DepthToSpace Det EyeLike Flatten Gather GatherElements GatherND Reshape "
    "ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze "
    "TensorScatter Transpose Trilu Unsqueeze "
    # Linear algebra, convolutions, pools.
    "AveragePool Conv ConvInteger ConvTranspose DeformConv Einsum Gemm GlobalAveragePool "
    "GlobalLpPool GlobalMaxPool GridSample LpPool MatMul MatMulInteger MaxPool Col2Im "
    # Normalising, reducing, ordering.
    "ArgMax ArgMin BatchNormalization CumProd CumSum GroupNormalization Hardmax "
    "InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization "
    "MeanVarianceNormalization RMSNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax "
    # Recurrent, attention, quantisation.
    "Attention GRU LSTM RNN RotaryEmbedding DequantizeLinear DynamicQuantizeLinear QLinearConv "
    "QLinearMatMul QuantizeLinear "
    # ai.onnx.ml: the depth of a tree bounds its walk.
    "ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier "
    "LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble "
    "TreeEnsembleClassifier TreeEnsembleRegressor ZipMap "
    # com.microsoft.
    "BiasGelu CDist DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu "
    "FusedConv FusedGemm FusedMatMul MatMulIntegerToFloat MatMulNBits MultiHeadAttention "
    "QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool "
    "QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu "
    "SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization".split()
)
"""Operators whose work the sizes of their operands bound."""

BY_OPERANDS = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "If": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "STFT": (1, 3),
    "Tile": (1,),
    "TopK": (1,),
    "Upsample": (1,),
}
"""Operators whose work these operands decide: bounded where they come of sizes, not of values."""


def unbounded_node(model: ModelProto) -> str:
    """Name the first node whose work is not bounded by its inputs' sizes; empty if all are."""
    return _search(model.graph, set(constants(model)))


def _search(graph: GraphProto, of_sizes: set[str]) -> str:
    """Walk in order of the data; `of_sizes` are the tensors whose values sizes decide."""
    of_sizes |= {tensor.name for tensor in graph.initializer} - {i.name for i in graph.input}
    for node in graph.node:
        deciding = BY_OPERANDS.get(node.op_type, ())
        known = all(_operand(node, place) in of_sizes | {""} for place in deciding)
        if not (node.op_type in BY_SIZES or (deciding and known)):
            return title(node)
        for inner in subgraphs(node):
            if found := _search(inner, of_sizes):
                return found
        if node.op_type in ("Shape", "Size") or all(each in of_sizes | {""} for each in node.input):
            of_sizes.update(node.output)
    return ""


def _operand(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""
