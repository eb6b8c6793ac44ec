"""`If`, `Loop`, `Scan`, and functions."""

import numpy as np

from tests.engine.graph.examples.example import apart, mixed, weights

X, SERIES = "float[B, 4] x", "float[B, 3, 4] x"
BOTH = "then_branch = t () => (r) {{ r = {} }}, else_branch = e () => (r) {{ r = {} }}"
RELU_OR_NEG = BOTH.format("Relu(x)", "Neg(x)")
BODY = "body = l (int64 i, bool g, float[B, 4] s) => (k, n{outs}) {{ k = Identity(g) {} }}"


def loop(does: str, outs: str = "") -> str:
    """Give a body that carries `s` on as `n`."""
    return BODY.format(does, outs=outs)


def scan(does: str, outs: str = "") -> str:
    """Give a body that carries `s` on as `n`, beside a slice `e`."""
    return f"num_scan_inputs = 1, body = l (float[B, 4] s, float[B, 4] e) => (n{outs}) {{ {does} }}"


BY_TIME = "a = Transpose<perm = [1, 0, 2]>(x)  "
ZEROS = "h = Shape(b)  s = ConstantOfShape(h)  "
FIRST = "b = Gather<axis = 1>(x, zero)  "
ZERO, YES, THREE = np.int64(0), np.array(True), np.int64(3)

EXAMPLES = [
    apart(f"y = If<{RELU_OR_NEG}>(c)", X, c=YES),
    apart(f"y = If<{BOTH.format('Relu(x)', 'ReduceMax<keepdims = 0>(x)')}>(c)", X, c=YES),
    apart(
        f"n = Shape<start = 1>(x)  s = Squeeze(n)  c = Equal(s, f)  y = If<{RELU_OR_NEG}>(c)",
        X,
        f=np.int64(4),
    ),
    mixed(
        "n = Shape<start = 1>(x)  s = Squeeze(n)  c = Greater(s, f)  "
        f"y = If<{BOTH.format('CumSum(x, z)', 'Neg(x)')}>(c)",
        "float[B, T] x",
        f=np.int64(999),
        z=ZERO,
        shown=False,  # but by rows of more than 999
    ),
    mixed(
        f"m = ReduceMax<keepdims = 0>(x)  c = Greater(m, f)  y = If<{RELU_OR_NEG}>(c)",
        X,
        f=np.float32(5),
    ),
    mixed(
        f"n = Shape<end = 1>(x)  s = Squeeze(n)  c = Equal(s, f)  y = If<{RELU_OR_NEG}>(c)",
        X,
        f=np.int64(1),
    ),
    mixed(f"y = If<{BOTH.format('CumSum(x, z)', 'Neg(x)')}>(c)", X, c=YES, z=ZERO),
    apart(f"y = Loop<{loop('n = Add(s, x)')}>(m, c, x)", X, m=THREE, c=YES),
    apart(
        f"f, g = Loop<{loop('n = Add(s, x) o = Mul(n, n)', ', o')}>(m, c, x)  "
        "y = Transpose<perm = [1, 0, 2]>(g)",
        X,
        m=THREE,
        c=YES,
    ),
    mixed(f"y = Loop<{loop('n = CumSum(s, z)')}>(m, c, x)", X, m=THREE, c=YES, z=ZERO),
    mixed(
        f"a = Shape<end = 1>(x)  m = Squeeze(a)  y = Loop<{loop('n = Add(s, x)')}>(m, c, x)",
        X,
        c=YES,
    ),
    mixed(
        "a = ReduceMax<keepdims = 0>(x)  m = Cast<to = 7>(a)  "
        f"y = Loop<{loop('n = Add(s, x)')}>(m, c, x)",
        X,
        c=YES,
    ),
    mixed(
        "y = Loop<body = l (int64 i, bool g, float[B, 4] s) => (k, n) "
        "{ n = Add(s, x) a = ReduceMax<keepdims = 0>(n) k = Less(a, f) }>(m, c, x)",
        X,
        m=np.int64(9),
        c=YES,
        f=np.float32(20),
    ),
    apart(FIRST + ZEROS + BY_TIME + f"y = Scan<{scan('n = Add(s, e)')}>(s, a)", SERIES, zero=ZERO),
    apart(
        FIRST + ZEROS + BY_TIME + f"f, g = Scan<{scan('n = Add(s, e) o = Relu(n)', ', o')}>(s, a)"
        "  y = Transpose<perm = [1, 0, 2]>(g)",
        SERIES,
        zero=ZERO,
    ),
    mixed(
        "f, y = Scan<num_scan_inputs = 1, body = l (float[3, 4] s, float[3, 4] e) => (n, o) "
        "{ n = Add(s, e) o = Identity(n) }>(w, x)",
        SERIES,
        w=weights(3, 4),
    ),
    mixed(
        FIRST + ZEROS + BY_TIME + f"y = Scan<{scan('m = Add(s, e) n = CumSum(m, z)')}>(s, a)",
        SERIES,
        zero=ZERO,
        z=ZERO,
    ),
]
