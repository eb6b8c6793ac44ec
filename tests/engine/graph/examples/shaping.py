"""Other shapes for the same elements, copies of them, sizes computed from sizes."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed

X, SQUARE = "float[B, 4] x", "float[B, 3, 4] x"

EXAMPLES = [
    # Reshape: blocks of a row stay a block, or are cut across.
    apart("y = Reshape(x, s)", SQUARE, s=ints(-1, 12)),
    apart("y = Reshape(x, s)", SQUARE, s=ints(0, 2, 6)),
    apart("y = Reshape(x, s)", SQUARE, s=ints(0, 0, 2, -1)),
    apart(
        "a = Reshape(x, s)  b = Relu(a)  y = Reshape(b, t)", SQUARE, s=ints(-1, 4), t=ints(-1, 3, 4)
    ),
    apart("a = Reshape(x, s)  y = Softmax<axis = 1>(a)", SQUARE, s=ints(-1, 12)),
    apart("y = Reshape<allowzero = 1>(x, s)", X, s=ints(-1, 2, 2)),
    mixed("y = Reshape(x, s)", "float[B, 6] x", s=ints(-1, 4)),
    mixed("y = Reshape(x, s)", SQUARE, s=ints(-1, 4)),
    mixed("y = Reshape(x, s)", SQUARE, s=ints(-1)),
    mixed("y = Reshape(x, s)", X, s=ints(1, -1)),
    mixed("y = Reshape(x, s)", X, s=ints(4, -1)),
    mixed("a = Reshape(x, s)  y = Softmax<axis = 0>(a)", SQUARE, s=ints(-1, 12)),
    apart("y = Flatten(x)", SQUARE),
    apart("y = Flatten<axis = -2>(x)", SQUARE, version=13),
    apart("y = Flatten(x)", "float[B] x"),
    mixed("y = Flatten<axis = 2>(x)", SQUARE),
    mixed("y = Flatten<axis = 0>(x)", X),
    apart("y = Squeeze(x, a)", "float[B, 1, 4] x", a=ints(1)),
    apart("y = Squeeze<axes = [-2]>(x)", "float[B, 1, 4] x", version=11),
    mixed("y = Squeeze(x)", "float[B, 1, 4] x"),
    mixed("y = Squeeze(x)", "float[B, 1, 4] x", version=11),
    apart("y = Unsqueeze(x, a)", X, a=ints(1, -1)),
    apart("y = Unsqueeze<axes = [2]>(x)", X, version=11),
    mixed("y = Unsqueeze(x, a)", X, a=ints(0)),
    # Transpose: the rows move, and have to move back.
    apart("y = Transpose<perm = [0, 2, 1]>(x)", SQUARE),
    apart("a = Transpose(x)  b = Relu(a)  y = Transpose(b)", SQUARE),
    mixed("y = Transpose(x)", SQUARE),
    mixed("a = Transpose<perm = [1, 0, 2]>(x)  y = Reshape(a, s)", SQUARE, s=ints(-1, 3, 4)),
    mixed("a = Transpose<perm = [1, 0, 2]>(x)  y = Reshape(a, s)", SQUARE, s=ints(-1, 12)),
    # Concat and Split
    apart("y = Concat<axis = 1>(x, x)", X),
    apart("y = Concat<axis = -1>(x, z)", "float[B, 4] x, float[B, 2] z"),
    mixed("y = Concat<axis = 0>(x, x)", X),
    mixed("y = Concat<axis = 0>(x, w)", X, w=np.zeros((1, 4), np.float32)),
    mixed("y = Concat<axis = 1>(x, w)", X, w=np.zeros((1, 4), np.float32)),
    apart(
        "s = Shape(x)  b = Gather<axis = 0>(s, zero)  t = Concat<axis = 0>(b, four)  "
        "w = Expand(one, t)  y = Concat<axis = 1>(x, w)",
        X,
        zero=ints(0),
        four=ints(4),
        one=np.ones((1, 4), np.float32),
    ),
    apart("y1, y2 = Split<axis = 1, num_outputs = 2>(x)", X),
    apart("y1, y2 = Split<axis = -1, split = [1, 3]>(x)", X, version=11),
    mixed("y1, y2 = Split<num_outputs = 2>(x)", X),
    apart("a = Transpose(x)  b, c = Split<num_outputs = 2>(a)  d = Add(b, c)  y = Transpose(d)", X),
    # Copies
    apart("y = Tile(x, r)", X, r=ints(1, 3)),
    mixed("y = Tile(x, r)", X, r=ints(2, 1)),
    apart("y = Expand(x, s)", "float[B, 1, 4] x", s=ints(1, 3, 1)),
    apart("s = Shape(z)  y = Expand(x, s)", "float[B, 1] x, float[B, 4] z"),
    mixed("y = Expand(x, s)", X, s=ints(2, 1, 4)),
    mixed("y = Expand(x, s)", X, s=ints(6, 4)),
    apart(
        "s = Shape(x)  w = Expand(row, s)  y = Add(x, w)",
        X,
        row=np.array([[1, 2, 3, 4]], np.float32),
    ),
    apart("s = Shape(x)  w = ConstantOfShape(s)  y = Add(x, w)", X),
    apart(
        "s = Shape<end = 1>(x)  w = ConstantOfShape(s)  u = Unsqueeze(w, a)  y = Add(x, u)",
        X,
        a=ints(1),
    ),
    mixed(
        "s = Shape<end = 1>(x)  t = Concat<axis = 0>(s, s)  "
        "w = ConstantOfShape<value = float[1] {1.0}>(t)  y = MatMul(w, x)",
        X,
    ),
    mixed("y = EyeLike(x)", X),
    mixed(
        "a = Cast<to = 7>(x)  b = Reshape(a, m)  c = Abs(b)  y = Tile(x, c)",
        "float[B, 1] x",
        m=ints(-1),
    ),
    # Sizes computed from sizes
    apart(
        "s = Shape(x)  b = Gather(s, zero)  u = Unsqueeze(b, front)  t = Concat<axis = 0>(u, rest)"
        "  y = Reshape(x, t)",
        SQUARE,
        zero=np.int64(0),
        front=ints(0),
        rest=ints(2, 6),
    ),
    apart(
        "s = Shape(x)  b = Slice(s, z, o)  r = Slice(s, o, m)  p = ReduceProd<keepdims = 1>(r)  "
        "t = Concat<axis = 0>(b, p)  y = Reshape(x, t)",
        SQUARE,
        z=ints(0),
        o=ints(1),
        m=ints(9),
    ),
    mixed(
        "s = Shape(x)  b = Gather(s, zero)  c = Mul(b, two)  t = Concat<axis = 0>(c, rest)  "
        "y = Reshape(x, t)",
        X,
        zero=ints(0),
        two=ints(2),
        rest=ints(2),
    ),
    apart(
        "s = Shape(x)  l = Gather(s, one)  f = Cast<to = 1>(l)  r = Sqrt(f)  y = Div(x, r)",
        X,
        one=ints(1),
    ),
    # Channels and places
    apart("y = DepthToSpace<blocksize = 2>(x)", "float[B, 4, 2, 2] x"),
    apart('y = DepthToSpace<blocksize = 2, mode = "CRD">(x)', "float[B, 4, 2, 2] x"),
    apart("y = SpaceToDepth<blocksize = 2>(x)", "float[B, 1, 4, 4] x"),
    mixed(
        "a = Transpose<perm = [1, 0, 2, 3]>(x)  b = DepthToSpace<blocksize = 2>(a)  "
        "y = Transpose<perm = [1, 0, 2, 3]>(b)",
        "float[B, 1, 2, 2] x",
    ),
    apart("y = Col2Im(x, i, k)", "float[B, 4, 9] x", i=ints(4, 4), k=ints(2, 2)),
    apart(
        "y = com.microsoft.QLinearConcat<axis = 1>(s, o, x, s, o, x, s, o)",
        "uint8[B, 4] x",
        s=np.float32(0.1),
        o=np.uint8(3),
    ),
    mixed(
        "y = com.microsoft.QLinearConcat<axis = 0>(s, o, x, s, o, x, s, o)",
        "uint8[B, 4] x",
        s=np.float32(0.1),
        o=np.uint8(3),
    ),
]
