"""One element at a time, with broadcasting."""

import numpy as np

from tests.engine.graph.examples.example import apart, mixed, weights

UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
).split()
BINARY = "Add Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul PRelu Pow Sub Sum"
LOGICAL = "And Or Xor"
BITS = "BitwiseAnd BitwiseOr BitwiseXor"

X, PAIR = "float[B, 4] x", "float[B, 4] x, float[B, 4] z"
SCALE, ZERO = np.float32(0.1), np.uint8(3)

EXAMPLES = [
    *(apart(f"y = {name}(x)", X) for name in UNARY),
    *(apart(f"y = {name}(x, z)", PAIR) for name in BINARY.split()),
    *(apart(f"y = {name}(x, w)", X, w=weights(4)) for name in ("Add", "Div", "PRelu")),
    *(apart(f"y = {name}(x, z)", "bool[B, 4] x, bool[B, 4] z") for name in LOGICAL.split()),
    *(apart(f"y = {name}(x, z)", "int32[B, 4] x, int32[B, 4] z") for name in BITS.split()),
    apart("y = Not(x)", "bool[B, 4] x"),
    apart("y = BitwiseNot(x)", "int32[B, 4] x"),
    apart("y = BitCast<to = 6>(x)", X, version=26),
    apart(
        'y = BitShift<direction = "LEFT">(x, w)',
        "uint8[B, 4] x",
        w=np.array([1, 2, 3, 0], np.uint8),
    ),
    apart("y = Mod(x, w)", "int64[B, 4] x", w=np.array([2, 3, 5, 7], np.int64)),
    apart("y = Cast<to = 7>(x)", X),
    apart("y = CastLike(x, w)", X, w=np.int64(0)),
    apart("y = Swish(x)", X, version=24),
    apart("a = CastLike(w, x)  y = Max(x, a)", X, w=np.int64(0)),
    apart("y = Clip(x, w)", X, w=np.float32(0)),
    apart("y = Clip<min = -1.0, max = 1.0>(x)", X, version=6),
    apart("y = Dropout(x)", X),
    apart("y, m = Dropout<ratio = 0.5>(x)", X, version=10),
    apart("y = Where(c, x, w)", "bool[B, 4] c, float[B, 4] x", w=np.float32(0)),
    apart("y = StringConcat(x, z)", "string[B, 2] x, string[B, 2] z"),
    apart('y = RegexFullMatch<pattern = "a.*">(x)', "string[B, 2] x"),
    # Broadcasting: a row of another rank, a constant of one row, a constant that adds an axis.
    apart(
        "a = Unsqueeze(z, i)  y = Mul(x, a)",
        "float[B, 3] z, float[B, 3, 4] x",
        i=np.array([2], np.int64),
    ),
    apart("y = Add(x, w)", X, w=weights(1, 4)),
    mixed("y = Add(x, w)", X, w=weights(2, 4)),
    mixed("y = Add(x, w)", "float[B] x", w=weights(3, 1)),
    mixed("a = Transpose(x)  y = Add(x, a)", "float[B, 1] x"),
    mixed("y = Mul(x, z)", "float[B] x, float[B, 1] z"),
    mixed("y = Add(x, z)", "float[B, 1, 3] x, float[B, 3] z"),
    mixed("y = Where(c, x, w)", "bool[B, 1] c, float[B] x", w=np.float32(0)),
    mixed(
        "a = Concat<axis = 0>(x, x)  b = Reshape(z, s)  c = Add(a, b)  y = Reshape(c, t)",
        "float[B, 4] x, float[B, 8] z",
        s=np.array([-1, 4], np.int64),
        t=np.array([-1, 8], np.int64),
    ),
    # The number of rows as a number.
    mixed("s = Shape(x)  a = Cast<to = 1>(s)  b = ReduceMax(a)  y = Div(x, b)", X),
    mixed("s = Size(x)  a = Cast<to = 1>(s)  y = Mul(x, a)", X),
    mixed("a = ReduceMax<keepdims = 0>(x)  y = Clip(x, a)", X),
    mixed("a = ReduceMax<keepdims = 0>(x)  b = CastLike(a, x)  y = Sub(x, b)", X),
    # One scale for all, or one along an axis.
    apart("y = QuantizeLinear(x, s, o)", X, s=SCALE, o=ZERO),
    apart("y = QuantizeLinear<axis = 1>(x, s)", X, s=np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
    apart("y = QuantizeLinear(x, s)", X, s=SCALE, version=10),
    apart("y = DequantizeLinear(x, s, o)", "uint8[B, 4] x", s=SCALE, o=ZERO),
    apart(
        "y = DequantizeLinear<axis = -1>(x, s)",
        "int8[B, 4] x",
        s=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    ),
    mixed(
        "y = DequantizeLinear<axis = 0>(x, s)", "int8[B, 4] x", s=np.array([0.1, 0.2], np.float32)
    ),
    mixed("m = ReduceMax<keepdims = 0>(x)  y = QuantizeLinear(x, m)", X),
    # com.microsoft
    *(apart(f"y = com.microsoft.{name}(x)", X) for name in ("Gelu", "QuickGelu", "FastGelu")),
    apart("y = com.microsoft.BiasGelu(x, w)", X, w=weights(4)),
    apart("y = com.microsoft.FastGelu(x, w)", X, w=weights(4)),
    apart("y = com.microsoft.QLinearSigmoid(x, s, o, s, o)", "uint8[B, 4] x", s=SCALE, o=ZERO),
    apart("y = com.microsoft.QLinearLeakyRelu(x, s, o, s, o)", "uint8[B, 4] x", s=SCALE, o=ZERO),
    *(
        apart(
            f"y = com.microsoft.{name}(x, s, o, z, s, o, s, o)",
            "uint8[B, 4] x, uint8[B, 4] z",
            s=SCALE,
            o=ZERO,
        )
        for name in ("QLinearAdd", "QLinearMul")
    ),
    mixed(
        "a = Transpose(x)  y = com.microsoft.QLinearAdd(x, s, o, a, s, o, s, o)",
        "uint8[B, 1] x",
        s=SCALE,
        o=ZERO,
    ),
]
