"""Is the work of a run bounded by the sizes of its inputs?

Only then does a measured run tell how long the next one takes, and only then may it be run on the
event loop's thread. What is not in these tables is taken for unbounded: `NonZero` gives as many
elements as it finds, `RoiAlign` looks at as many points as its regions are large.

Of the operators with subgraphs, a `Scan` takes as many steps as its operand is long. A `Loop` takes
as many as it is told, if nothing but sizes can end it earlier. An `If` runs one branch, of which a
measured run tells nothing about the other: where the condition is no constant, both may only move
elements about, as exporters write it for a `Squeeze`.
"""

from onnx import GraphProto, ModelProto, NodeProto

from ml_pipeline.engine.graph.nodes import constants, subgraphs, title

MOVING = set(
    "Cast CastLike Concat Constant DepthToSpace EyeLike Flatten Gather GatherElements GatherND "
    "GatherPacked Identity Reshape ReverseSequence Scatter ScatterElements ScatterND Shape Size "
    "Slice SpaceToDepth Split Squeeze TensorScatter Transpose Trilu Unsqueeze ExpandDims "
    "ReorderInput ReorderOutput "
    # Sequences of tensors.
    "ConcatFromSequence SequenceConstruct SequenceEmpty SequenceLength".split()
)
"""Operators that move elements about, or ask for sizes."""

BY_SIZES = MOVING | set(
    # Elementwise.
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr "
    "BitwiseXor Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater "
    "GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min "
    "Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh "
    "Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Where Xor "
    # Linear algebra, convolutions, pools.
    "AveragePool CausalConvWithState Conv ConvInteger ConvTranspose DeformConv Det Einsum Gemm "
    "GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample LpPool MatMul MatMulInteger MaxPool "
    "MaxRoiPool "
    # Normalising, reducing, ordering.
    "ArgMax ArgMin BatchNormalization CumProd CumSum GroupNormalization Hardmax "
    "InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization "
    "MeanVarianceNormalization RMSNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax "
    # Recurrent, attention, quantisation.
    "Attention GRU LSTM LinearAttention RNN RotaryEmbedding DequantizeLinear DynamicQuantizeLinear "
    "QLinearConv QLinearMatMul QuantizeLinear "
    # ai.onnx.ml: the depth of a tree bounds its walk.
    "ArrayFeatureExtractor Binarizer CategoryMapper FeatureVectorizer Imputer LabelEncoder "
    "LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler "
    "TfIdfVectorizer TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor ZipMap "
    # com.microsoft.
    "BiasGelu CDist DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu "
    "FusedConv FusedGemm FusedMatMul GatherBlockQuantized Inverse MatMulBnb4 MatMulInteger16 "
    "MatMulIntegerToFloat MatMulNBits MaxpoolWithMask MultiHeadAttention MurmurHash3 NhwcMaxPool "
    "QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat "
    "QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax "
    "QLinearWhere QuickGelu SimplifiedLayerNormalization SkipLayerNormalization "
    "SkipSimplifiedLayerNormalization TransposeMatMul UnfoldTensor".split()
)
"""Operators whose work the sizes of their operands bound."""

BY_OPERANDS = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "ConvTransposeWithDynamicPads": (2,),
    "CropAndResize": (3,),
    "DFT": (1, 2),
    "Expand": (1,),
    "GroupQueryAttention": (6,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "SplitToSequence": (1,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Upsample": (1,),
}
"""Operators whose work these operands decide: bounded where they come of sizes, not of values.

Some have moved from one version of the operator to the next (`Resize` had its scales at 1); then
all of their places are listed, and what stands there now matters little.
"""


def unbounded_node(model: ModelProto) -> str:
    """Name the first node whose work is not bounded by its inputs' sizes; empty if all are."""
    return _Search(set(constants(model))).look_through(model.graph)


class _Search:
    """One walk in order of the data.

    Args:
        fixed: Tensors that never change.
    """

    def __init__(self, fixed: set[str]) -> None:
        self._fixed = fixed | {""}
        self._of_sizes = set(self._fixed)  # tensors whose values sizes decide

    def look_through(self, graph: GraphProto) -> str:
        """Name the first node that is not bounded."""
        weights = {each.name for each in graph.initializer} - {each.name for each in graph.input}
        self._fixed |= weights
        self._of_sizes |= weights
        for node in graph.node:
            branches = list(subgraphs(node))
            if node.op_type == "Loop" and self._of_sizes.issuperset(node.input[:2]):
                # Its number and its condition are sizes' as well: it goes on until the last step.
                self._of_sizes.update(each.name for each in branches[0].input[:2])
            for inner in branches:
                if found := self.look_through(inner):
                    return found
            if not self._is_bounded(node, branches):
                return title(node)
            self._note_outputs(node, branches)
        return ""

    def _is_bounded(self, node: NodeProto, branches: list[GraphProto]) -> bool:
        kind = node.op_type
        if kind == "If":
            moving = all(each.op_type in MOVING for inner in branches for each in inner.node)
            return node.input[0] in (self._of_sizes if moving else self._fixed)
        if kind == "Loop":
            ends = {*node.input[:2], branches[0].output[0].name}
            return ends <= self._of_sizes and any(node.input[:1])
        if kind == "Scan":
            return True
        deciding = BY_OPERANDS.get(kind, ())
        known = all(name in self._of_sizes for name in _at(node, deciding))
        return kind in BY_SIZES or (bool(deciding) and known)

    def _note_outputs(self, node: NodeProto, branches: list[GraphProto]) -> None:
        """Add outputs that are of sizes alone; those of a subgraph where they are so in each."""
        operands = set(node.input)
        if node.op_type in ("Shape", "Size"):
            self._of_sizes.update(node.output)
        elif node.op_type == "If" and operands <= self._of_sizes:
            for place, name in enumerate(node.output):
                if all(inner.output[place].name in self._of_sizes for inner in branches):
                    self._of_sizes.add(name)
        elif not branches and operands <= self._of_sizes:
            self._of_sizes.update(node.output)
            if operands <= self._fixed:
                self._fixed |= set(node.output)


def _at(node: NodeProto, places: tuple[int, ...]) -> list[str]:
    return [node.input[place] for place in places if place < len(node.input)]
