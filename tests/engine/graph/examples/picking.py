"""Elements picked, placed or cut by number."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

X, SQUARE = "float[B, 4] x", "float[B, 3, 4] x"
NUMBERS, IDS = "int64[B, 2] i", {"i": (0, 2)}
MOST = 2**63 - 1

EXAMPLES = [
    # Slice
    apart("y = Slice(x, s, e, a)", X, s=ints(1), e=ints(3), a=ints(1)),
    apart(
        "y = Slice(x, s, e, a, t)",
        SQUARE,
        s=ints(-1, 0),
        e=ints(-MOST, 9),
        a=ints(-1, -2),
        t=ints(-1, 2),
    ),
    apart("y = Slice<starts = [0, 1], ends = [2147483647, 3]>(x)", X, version=9),
    apart("y = Slice(x, s, e)", X, s=ints(0), e=ints(MOST)),
    apart("n = Shape<end = 1>(x)  y = Slice(x, s, n)", X, s=ints(0)),
    mixed("y = Slice(x, s, e)", X, s=ints(0), e=ints(6)),
    mixed("y = Slice(x, s, e)", X, s=ints(0), e=ints(1000), shown=False),
    mixed("y = Slice(x, s, e)", X, s=ints(0), e=ints(-1)),
    mixed("y = Slice(x, s, e)", X, s=ints(-1), e=ints(MOST)),
    mixed("y = Slice(x, s, e, a, t)", X, s=ints(-1), e=ints(-MOST), a=ints(-2), t=ints(-1)),
    mixed("y = Slice<starts = [1], ends = [2147483647]>(x)", X, version=9),
    mixed(
        "a = Reshape(i, s)  b = Slice(a, z, o)  y = Slice(x, z, b, o)",
        "int64[B, 1] i, float[B, 4] x",
        s=ints(-1),
        z=ints(0),
        o=ints(1),
        among={"i": (1, 3)},
    ),
    # Pad
    apart("y = Pad(x, p)", X, p=ints(0, 1, 0, 2)),
    apart('y = Pad<mode = "reflect">(x, p, , a)', X, p=ints(1, 2), a=ints(1)),
    apart("y = Pad<pads = [0, 1, 0, 2]>(x)", X, version=10),
    mixed("y = Pad(x, p)", X, p=ints(1, 0, 0, 0)),
    mixed("y = Pad(x, p, , a)", X, p=ints(0, 1), a=ints(-2)),
    mixed("y = Pad<pads = [0, 0, 1, 0]>(x)", X, version=10),
    mixed("y = Pad(x, p)", X, p=ints(-1, 0, 1, 0)),
    apart("y = CenterCropPad<axes = [1]>(x, s)", X, s=ints(2)),
    mixed("y = CenterCropPad(x, s)", X, s=ints(3, 2)),
    mixed("y = CenterCropPad<axes = [-2]>(x, s)", X, s=ints(3)),
    # Gather: of a table by row, of each row by a constant
    apart("y = Gather(w, i)", NUMBERS, w=weights(3, 2), among=IDS),
    apart("y = Gather<axis = 1>(x, n)", X, n=ints(2, 0)),
    apart("y = Gather<axis = -1>(x, n)", SQUARE, n=np.int64(1)),
    mixed("y = Gather(x, n)", X, n=ints(0)),
    mixed("y = Gather(x, n)", X, n=np.int64(-1)),
    mixed(
        "a = Reshape(i, s)  y = Gather<axis = 1>(x, a)",
        "int64[B, 1] i, float[B, 3] x",
        s=ints(-1),
        among=IDS,
    ),
    mixed("y = Gather(x, i)", "float[B, 4] x, int64[B] i", among={"i": (0, 0)}),
    mixed("y = Gather<axis = 1>(w, i)", NUMBERS, w=weights(2, 3), among=IDS),
    apart(
        "a = Gather<axis = 1>(w, i)  y = Transpose<perm = [1, 0, 2]>(a)",
        NUMBERS,
        w=weights(2, 3),
        among=IDS,
    ),
    apart("y = GatherElements<axis = 1>(x, i)", f"{X}, {NUMBERS}", among=IDS),
    mixed("y = GatherElements<axis = 0>(x, i)", f"{X}, {NUMBERS}", among={"i": (-1, -1)}),
    mixed("y = GatherElements<axis = 1>(x, n)", X, n=np.zeros((1, 2), np.int64)),
    apart("y = GatherND(w, i)", NUMBERS, w=weights(3, 3), among=IDS),
    apart("y = GatherND<batch_dims = 1>(x, i)", "float[B, 3, 4] x, int64[B, 2, 1] i", among=IDS),
    mixed("y = GatherND(x, i)", "float[B, 4] x, int64[B, 1] i", among={"i": (-1, -1)}),
    mixed("y = GatherND(x, n)", X, n=ints(-1, 0)),
    apart(
        "a = Transpose(x)  b = GatherND(a, n)  y = Transpose<perm = [2, 0, 1]>(b)",
        X,
        n=ints(3, 1, 0, 0).reshape(2, 2, 1),
    ),
    apart(
        "a = Transpose<perm = [1, 2, 0]>(x)  b = GatherND<batch_dims = 1>(a, n)  y = Transpose(b)",
        SQUARE,
        n=ints(3, 1, 0).reshape(3, 1),
    ),
    # Scatter
    apart("y = ScatterElements<axis = 1>(x, i, u)", f"{X}, {NUMBERS}, float[B, 2] u", among=IDS),
    apart(
        "y = Scatter<axis = 1>(x, i, u)", f"{X}, {NUMBERS}, float[B, 2] u", among=IDS, version=10
    ),
    mixed(
        "y = ScatterElements<axis = 0>(x, i, u)",
        f"{X}, {NUMBERS}, float[B, 2] u",
        among={"i": (-1, -1)},
    ),
    mixed(
        "y = ScatterElements<axis = 1>(x, n, u)", X, n=np.zeros((1, 1), np.int64), u=weights(1, 1)
    ),
    mixed(
        "y = Scatter<axis = 0>(x, i, u)",
        f"{X}, {NUMBERS}, float[B, 2] u",
        among={"i": (0, 0)},
        version=10,
    ),
    mixed(
        "y = ScatterND(x, i, u)",
        "float[B, 4] x, int64[B, 1] i, float[B, 4] u",
        among={"i": (0, 0)},
    ),
    mixed("y = ScatterND(x, n, u)", X, n=ints(0).reshape(1, 1), u=weights(1, 4)),
    mixed(
        "a = Transpose(x)  b = ScatterND(a, n, w)  y = Transpose(b)",
        X,
        n=ints(3, 1).reshape(2, 1),
        w=weights(2, 1),
    ),
    apart(
        "a = Transpose(x)  c = Transpose(u)  b = ScatterND(a, n, c)  y = Transpose(b)",
        f"{X}, float[B, 2] u",
        n=ints(3, 1).reshape(2, 1),
    ),
    apart(
        "y = TensorScatter(x, u, i)",
        "float[B, 4, 3] x, float[B, 1, 3] u, int64[B] i",
        among={"i": (0, 3)},
        version=24,
    ),
    # By a condition
    apart("y = Compress<axis = 1>(x, c)", X, c=np.array([True, False, True])),
    mixed("y = Compress<axis = 0>(x, c)", X, c=np.array([True])),
    mixed("y = Compress(x, c)", X, c=np.array([True, False])),
    mixed(
        "a = Reshape(b, s)  y = Compress<axis = 0>(x, a)", "bool[B, 1] b, float[B, 4] x", s=ints(-1)
    ),
    mixed("a = NonZero(x)  y = Transpose(a)", "bool[B, 4] x"),
    mixed("y = Unique(x)", "int64[B, 1] x"),
    # Numbers to columns
    apart("y = OneHot(i, d, v)", NUMBERS, d=ints(3), v=np.array([0, 1], np.float32), among=IDS),
    apart(
        "y = OneHot<axis = 1>(i, d, v)",
        NUMBERS,
        d=ints(3),
        v=np.array([0, 1], np.float32),
        among=IDS,
    ),
    mixed(
        "y = OneHot<axis = 0>(i, d, v)",
        NUMBERS,
        d=ints(3),
        v=np.array([0, 1], np.float32),
        among=IDS,
    ),
    apart(
        "a = OneHot<axis = 0>(i, d, v)  y = Transpose<perm = [1, 0, 2]>(a)",
        NUMBERS,
        d=ints(3),
        v=np.array([0, 1], np.float32),
        among=IDS,
    ),
    mixed(
        "a = Reshape(i, s)  b = ReduceMax<keepdims = 0>(a)  y = OneHot(i, b, v)",
        NUMBERS,
        s=ints(-1),
        v=np.array([0, 1], np.float32),
        among={"i": (0, 5)},
    ),
    apart("y = Trilu(x)", SQUARE),
    mixed("y = Trilu(x)", X),
    apart(
        "y = ReverseSequence<batch_axis = 0, time_axis = 1>(x, l)",
        "float[B, 4] x, int64[B] l",
        among={"l": (0, 4)},
    ),
    mixed(
        "a = Concat<axis = 0>(l, l)  b = Reshape(x, s)  "
        "c = ReverseSequence<batch_axis = 0, time_axis = 1>(b, a)  y = Reshape(c, t)",
        "float[B, 8] x, int64[B] l",
        s=ints(-1, 4),
        t=ints(-1, 8),
        among={"l": (0, 4)},
    ),
    mixed("y = ReverseSequence<batch_axis = 1, time_axis = 0>(x, l)", X, l=ints(1, 2, 1, 2)),
    mixed("y = ReverseSequence<batch_axis = 0, time_axis = 1>(x, l)", X, l=ints(2)),
    # Regions, places in the whole batch
    mixed(
        "y = NonMaxSuppression(b, s, m, t)",
        "float[B, 3, 4] b, float[B, 1, 3] s",
        m=ints(2),
        t=np.array([0.5], np.float32),
    ),
    mixed(
        "y = MaxRoiPool<pooled_shape = [1, 1]>(x, r)",
        "float[B, 1, 4, 4] x",
        r=np.array([[0, 0, 0, 2, 2]], np.float32),
    ),
    mixed(
        "y = RoiAlign(x, r, i)",
        "float[B, 1, 4, 4] x",
        r=np.array([[0, 0, 2, 2]], np.float32),
        i=ints(0),
    ),
    mixed(
        "a, i = MaxPool<kernel_shape = [2], strides = [2]>(x)  "
        "y = MaxUnpool<kernel_shape = [2], strides = [2]>(a, i)",
        "float[B, 1, 4] x",
        shown=False,
    ),
]
