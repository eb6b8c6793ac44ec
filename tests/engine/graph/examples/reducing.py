"""Sums, means, extremes and normalisation along axes."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

REDUCE = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
X, SQUARE, IMAGE = "float[B, 4] x", "float[B, 3, 4] x", "float[B, 3, 4, 4] x"
ONE, LAST = ints(1), ints(-1)
PER_CHANNEL = {"s": weights(3), "b": weights(3), "m": weights(3), "v": np.abs(weights(3))}

EXAMPLES = [
    *(apart(f"y = Reduce{name}(x, a)", X, a=ONE) for name in REDUCE),
    *(apart(f"y = Reduce{name}<axes = [-1], keepdims = 0>(x)", X, version=11) for name in REDUCE),
    *(mixed(f"y = Reduce{name}(x)", X) for name in REDUCE),
    *(mixed(f"y = Reduce{name}<axes = [0, 1]>(x)", X, version=11) for name in ("Max", "Sum")),
    apart("y = ReduceSum<noop_with_empty_axes = 1>(x)", X),
    apart("y = ReduceMean<keepdims = 0>(x, a)", SQUARE, a=ints(-1, -2)),
    mixed("y = ReduceMean<keepdims = 1>(x, a)", X, a=ints(0)),
    mixed("a = ReduceMean(x, z)  y = Sub(x, a)", X, z=ints(-2)),
    mixed("y = ReduceSum(x, a)", X, a=np.zeros(0, np.int64)),
    apart(
        "a = Transpose<perm = [2, 0, 1]>(x)  b = ReduceSum<keepdims = 0>(a, f)  "
        "c = Unsqueeze(b, l)  y = Relu(c)",
        SQUARE,
        f=ints(0),
        l=LAST,
    ),
    mixed(
        "r = Cast<to = 7>(x)  a = Reshape(r, s)  y = ReduceSum(z, a)",
        "float[B, 1] x, float[B, 3] z",
        s=LAST,
        among={"x": (1, 1)},
        shown=False,
    ),
    *(apart(f"y = {name}<axis = 1>(x)", X) for name in ("ArgMax", "ArgMin")),
    apart("y = ArgMax<axis = -1, keepdims = 0>(x)", SQUARE, version=11),
    *(mixed(f"y = {name}(x)", X) for name in ("ArgMax", "ArgMin")),
    mixed("a = ArgMax<keepdims = 0, select_last_index = 1>(x)  y = Gather(x, a)", X),
    # Softmax, before and since version 13
    *(apart(f"y = {name}(x)", X) for name in ("Softmax", "LogSoftmax", "Hardmax")),
    *(apart(f"y = {name}(x)", SQUARE, version=11) for name in ("Softmax", "LogSoftmax", "Hardmax")),
    *(mixed(f"y = {name}<axis = 0>(x)", X) for name in ("Softmax", "LogSoftmax", "Hardmax")),
    mixed("y = Softmax<axis = 0>(x)", X, version=11),
    apart("y = Softmax<axis = 1>(x)", SQUARE),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  b = Softmax<axis = 1>(a)  "
        "y = Transpose<perm = [1, 0, 2]>(b)",
        SQUARE,
    ),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  b = Softmax<axis = 0>(a)  "
        "y = Transpose<perm = [1, 0, 2]>(b)",
        SQUARE,
        version=11,
    ),
    apart(
        "a = Transpose<perm = [1, 0, 2]>(x)  b = Softmax<axis = 0>(a)  "
        "y = Transpose<perm = [1, 0, 2]>(b)",
        SQUARE,
    ),
    mixed("y = Softmax<axis = -2>(x)", X, version=11),
    mixed("y = Softmax(x)", "float[B] x"),
    # Normalisation
    apart("y = LayerNormalization(x, w)", SQUARE, w=weights(4)),
    apart("y = LayerNormalization<axis = 1>(x, w, w)", SQUARE, w=weights(3, 4)),
    mixed("y = LayerNormalization<axis = 0>(x, w)", X, w=weights(1)),
    mixed("a = Transpose(x)  b = LayerNormalization(a, w)  y = Transpose(b)", X, w=weights(1)),
    apart("y = RMSNormalization(x, w)", SQUARE, w=weights(4), version=23),
    mixed("y = RMSNormalization<axis = 0>(x, w)", X, w=weights(1), version=23),
    apart("y = LpNormalization(x)", X),
    mixed("y = LpNormalization<axis = 0>(x)", X),
    apart("y = BatchNormalization(x, s, b, m, v)", IMAGE, **PER_CHANNEL),
    apart("y = BatchNormalization(x, s, b, m, v)", IMAGE, **PER_CHANNEL, version=9),
    mixed("y, n, o = BatchNormalization<training_mode = 1>(x, s, b, m, v)", IMAGE, **PER_CHANNEL),
    mixed(
        "a = Transpose(x)  b = BatchNormalization(a, s, t, m, v)  y = Transpose(b)",
        X,
        s=weights(1),
        t=weights(1),
        m=weights(1),
        v=np.array([1], np.float32),
    ),
    apart("y = InstanceNormalization(x, s, b)", IMAGE, s=weights(3), b=weights(3)),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  b = InstanceNormalization(a, s, t)  "
        "y = Transpose<perm = [1, 0, 2]>(b)",
        "float[B, 2, 5] x",
        s=weights(1),
        t=weights(1),
    ),
    mixed(
        "a = Transpose(x)  b = InstanceNormalization(a, s, t)  y = Transpose(b)",
        "float[B, 3, 2] x",
        s=weights(3),
        t=weights(3),
    ),
    apart("y = GroupNormalization<num_groups = 3>(x, s, b)", IMAGE, s=weights(3), b=weights(3)),
    apart("y = MeanVarianceNormalization<axes = [2, 3]>(x)", IMAGE),
    mixed("y = MeanVarianceNormalization(x)", IMAGE),
    apart("y = LRN<size = 3>(x)", IMAGE),
    *(
        apart(f"y = com.microsoft.{name}(x, z, w)", f"{SQUARE}, float[B, 3, 4] z", w=weights(4))
        for name in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
    ),
    apart("y = SimplifiedLayerNormalization<axis = -1>(x, w)", SQUARE, w=weights(4)),
    apart(
        "y = com.microsoft.QLinearSoftmax<axis = 1, opset = 13>(x, s, o, s, o)",
        "uint8[B, 4] x",
        s=np.float32(0.1),
        o=np.uint8(3),
    ),
    mixed(
        "y = com.microsoft.QLinearSoftmax<axis = 0, opset = 13>(x, s, o, s, o)",
        "uint8[B, 4] x",
        s=np.float32(0.1),
        o=np.uint8(0),
    ),
    mixed(
        "y = com.microsoft.QLinearSoftmax<axis = 0, opset = 11>(x, s, o, s, o)",
        "uint8[B, 1, 4] x",
        s=np.float32(0.1),
        o=np.uint8(0),
    ),
    # Losses
    *(
        apart(
            f'y = {name}<reduction = "none">(x, t)',
            "float[B, 3] x, int64[B] t",
            among={"t": (0, 2)},
        )
        for name in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
    ),
    *(
        mixed(f"a = {name}(x, t)  y = Add(a, x)", "float[B, 3] x, int64[B] t", among={"t": (0, 2)})
        for name in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
    ),
    # Along an axis, element by element
    apart("y = CumSum(x, a)", X, a=np.int64(1)),
    mixed("y = CumSum(x, a)", X, a=np.int64(0)),
    mixed("y = CumSum(x, a)", X, a=np.int64(-2)),
    apart("y = CumProd(x, a)", X, a=np.int64(1), version=26),
    mixed("y = CumProd(x, a)", X, a=np.int64(0), version=26),
    apart("y, i = TopK(x, k)", X, k=ints(2)),
    apart("v, y = TopK<axis = 1, largest = 0>(x, k)", X, k=ints(2)),
    apart("y, i = TopK<k = 2>(x)", X, version=9),
    mixed("y, i = TopK<axis = 0>(x, k)", X, k=ints(1)),
    mixed("y, i = TopK<axis = 0, k = 1>(x)", X, version=9),
    apart("y = DFT(x)", "float[B, 8, 1] x", version=20),
    apart("y = DFT(x)", "float[B, 8, 1] x", version=17),
    mixed("y = DFT(x, n, a)", "float[B, 8, 1] x", n=np.int64(2), a=np.int64(0), version=20),
    mixed("y = DFT<axis = 0>(x)", "float[B, 8, 1] x", version=17),
    apart("y = STFT(x, s, w)", "float[B, 16, 1] x", s=np.int64(4), w=weights(8)),
    apart("y = Det(x)", "float[B, 3, 3] x"),
    mixed("a, s, o = DynamicQuantizeLinear(x)  y = DequantizeLinear(a, s, o)", X),
]
