"""Products, convolutions, pools, attention."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

X, STACK, IMAGE = "float[B, 4] x", "float[B, 3, 4] x", "float[B, 3, 8, 8] x"
BYTES = "uint8[B, 4] x"
S, Z, I8 = np.float32(0.1), np.uint8(3), np.int8(0)
SMALL = (weights(4, 3) * 3).astype(np.int8)
KERNEL = weights(2, 3, 3, 3)

EXAMPLES = [
    # MatMul
    apart("y = MatMul(x, w)", X, w=weights(4, 2)),
    apart("y = MatMul(x, w)", STACK, w=weights(4, 2)),
    apart("y = MatMul(w, x)", STACK, w=weights(2, 3)),
    apart("y = MatMul(x, w)", X, w=weights(4)),
    apart("a = Transpose<perm = [0, 2, 1]>(x)  y = MatMul(x, a)", STACK),
    apart("a = Transpose(x)  b = MatMul(w, a)  y = Transpose(b)", X, w=weights(2, 4)),
    apart("y = MatMul(x, z)", "float[B, 1, 4] x, float[B, 4, 2] z"),
    mixed("y = MatMul(w, x)", X, w=weights(1, 1)),
    mixed("a = Transpose(x)  y = MatMul(x, a)", X),
    mixed("a = Transpose(x)  b = MatMul(a, x)  y = MatMul(x, b)", X),
    mixed("a = Transpose(x)  y = MatMul(a, w)", X, w=weights(1, 2)),
    mixed("y = MatMul(x, x)", "float[B] x"),
    mixed("y = MatMul(x, z)", "float[B, 2, 1, 4] x, float[B, 4, 2] z"),
    mixed("a = Transpose<perm = [1, 0, 2]>(x)  y = MatMul(w, a)", STACK, w=weights(3, 1, 1)),
    mixed(
        "a = Concat<axis = 0>(x, x)  b = Reshape(z, s)  c = MatMul(a, b)  y = Reshape(c, t)",
        "float[B, 3, 4] x, float[B, 2, 4, 3] z",
        s=ints(-1, 4, 3),
        t=ints(-1, 2, 9),
    ),
    *(apart(f"y = MatMulInteger(x, w{zero})", BYTES, w=SMALL, o=Z) for zero in ("", ", o")),
    apart("y = QLinearMatMul(x, s, o, w, s, z, s, o)", BYTES, w=SMALL, s=S, o=Z, z=I8),
    mixed(
        "m = ReduceMax<keepdims = 0>(f)  y = QLinearMatMul(x, m, o, w, s, z, s, o)",
        f"{BYTES}, float[B, 2] f",
        w=SMALL,
        s=S,
        o=Z,
        z=I8,
        among={"f": (0.1, 1)},
    ),
    # Gemm
    apart("y = Gemm(x, w)", X, w=weights(4, 2)),
    apart("y = Gemm<transB = 1, alpha = 0.5>(x, w, b)", X, w=weights(2, 4), b=weights(2)),
    apart("y = Gemm(x, w, b)", X, w=weights(4, 2), b=weights(1, 2)),
    apart("y = Gemm(x, w, b)", X, w=weights(4, 2), b=np.float32(1)),
    apart("a = Gemm<transA = 0, transB = 1>(w, x)  y = Transpose(a)", X, w=weights(2, 4)),
    mixed("y = Gemm<transA = 1>(x, w)", "float[B, 4] x", w=weights(1, 2)),
    mixed("a = Transpose(x)  y = Gemm(x, a)", X),
    mixed("y = Gemm<transB = 1>(x, x)", X),
    mixed("y = Gemm(x, w, b)", X, w=weights(4, 2), b=weights(3, 2)),
    apart("y = Gemm(x, w, z)", "float[B, 4] x, float[B, 2] z", w=weights(4, 2)),
    # Einsum
    apart('y = Einsum<equation = "bij,bjk->bik">(x, z)', "float[B, 3, 4] x, float[B, 4, 2] z"),
    apart('y = Einsum<equation = "bi, ij -> bj">(x, w)', X, w=weights(4, 2)),
    apart('y = Einsum<equation = "ij,bj->bi">(w, x)', X, w=weights(2, 4)),
    mixed('y = Einsum<equation = "bi,bj->ij">(x, x)', X),
    mixed('y = Einsum<equation = "bi,ci->bc">(x, x)', X),
    mixed('y = Einsum<equation = "bi->ib">(x)', X),
    apart('y = Einsum<equation = "bi,bj->bij">(x, w)', X, w=weights(1, 2)),
    mixed('y = Einsum<equation = "bi,bj->bij">(x, w)', X, w=weights(3, 2)),
    apart('y = Einsum<equation = "...i,...j">(x, z)', "float[B, 3, 4] x, float[B, 3, 2] z"),
    apart('y = Einsum<equation = "...ij, ...jk -> ...ik">(x, w)', STACK, w=weights(1, 4, 2)),
    mixed('y = Einsum<equation = "...i, ...j -> ...ij">(x, w)', STACK, w=weights(3, 3, 2)),
    apart('y = Einsum<equation = "bij,jk">(x, w)', STACK, w=weights(4, 2)),
    mixed('y = Einsum<equation = "...i,...i->i">(x, x)', STACK),
    apart('y = Einsum<equation = "bii->bi">(x)', "float[B, 3, 3] x"),
    mixed('y = Einsum<equation = "bbi->bi">(x)', "float[B, 2, 3] x"),
    mixed('y = Einsum<equation = "...i,bi">(x, z)', f"{STACK}, float[B, 4] z"),
    # Convolutions and pools
    apart("y = Conv(x, w)", IMAGE, w=KERNEL),
    apart(
        "y = Conv<dilations = [2]>(x, w, b)", "float[B, 3, 12] x", w=weights(2, 3, 3), b=weights(2)
    ),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  y = Conv(a, w)", "float[B, 1, 5] x", w=weights(2, 1, 3)
    ),
    mixed(
        "a = Transpose<perm = [2, 1, 0]>(x)  b = Conv<pads = [1, 1]>(a, w)  "
        "y = Transpose<perm = [2, 1, 0]>(b)",
        "float[B, 3, 1] x",
        w=weights(2, 3, 3),
    ),
    mixed("y = Conv(w, x)", "float[B, 3, 2, 2] x", w=weights(1, 3, 4, 4)),
    apart("y = ConvInteger(x, w)", "uint8[B, 3, 5] x", w=np.ones((2, 3, 3), np.uint8)),
    apart("y = ConvTranspose<strides = [2, 2]>(x, w)", IMAGE, w=weights(3, 2, 3, 3)),
    apart(
        "y = QLinearConv(x, s, o, w, s, o, s, o)",
        "uint8[B, 3, 5, 5] x",
        w=np.ones((2, 3, 3, 3), np.uint8),
        s=S,
        o=Z,
    ),
    apart(
        "y = DeformConv<kernel_shape = [2, 2]>(x, w, f)",
        "float[B, 1, 3, 3] x, float[B, 8, 2, 2] f",
        w=weights(1, 1, 2, 2),
    ),
    *(
        apart(f"y = {name}<kernel_shape = [2, 2]>(x)", IMAGE)
        for name in ("AveragePool", "LpPool", "MaxPool")
    ),
    *(apart(f"y = Global{name}Pool(x)", IMAGE) for name in ("Average", "Max", "Lp")),
    mixed("a, y = MaxPool<kernel_shape = [2, 2]>(x)", IMAGE),
    mixed(
        "a = Transpose<perm = [1, 2, 0]>(x)  y = MaxPool<kernel_shape = [2]>(a)", "float[B, 1, 1] x"
    ),
    mixed("a = Transpose<perm = [1, 2, 0]>(x)  y = GlobalAveragePool(a)", "float[B, 1, 1] x"),
    apart(
        "n = Shape<end = 1>(x)  f = Mul(n, c)  q = Concat<axis = 0>(o, f, h)  r = Reshape(x, q)  "
        "p = MaxPool<kernel_shape = [2]>(r)  y = Reshape(p, s)",
        "float[B, 4, 6] x",
        c=ints(4),
        o=ints(1),
        h=ints(6),
        s=ints(-1, 20),
    ),
    # Resizing, warping
    apart("y = Resize(x, , s)", IMAGE, s=np.array([1, 1, 2, 2], np.float32)),
    apart(
        "n = Shape<end = 2>(x)  t = Concat<axis = 0>(n, p)  y = Resize(x, , , t)",
        IMAGE,
        p=ints(4, 4),
    ),
    apart(
        'y = Resize<axes = [2, 3], mode = "linear">(x, , s)',
        IMAGE,
        s=np.array([0.5, 2], np.float32),
    ),
    apart("y = Resize(x, s)", IMAGE, s=np.array([1, 1, 2, 2], np.float32), version=10),
    apart("y = Upsample(x, s)", IMAGE, s=np.array([1, 1, 2, 2], np.float32), version=9),
    apart("y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x)", IMAGE, version=8),
    mixed("y = Resize(x, , s)", IMAGE, s=np.array([2, 1, 1, 1], np.float32)),
    mixed('y = Resize<mode = "linear">(x, , s)', "float[B, 8] x", s=np.array([2, 1], np.float32)),
    apart(
        'y = Resize<axes = [2, 3], coordinate_transformation_mode = "tf_crop_and_resize">'
        "(x, r, , s)",
        IMAGE,
        r=np.array([0.1, 0.2, 0.8, 0.9], np.float32),
        s=ints(4, 4),
    ),
    mixed(
        'y = Resize<mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize">'
        "(x, r, s)",
        "float[B, 4] x",
        r=np.array([0.5, 0, 1, 1], np.float32),
        s=np.array([1, 2], np.float32),
        shown=False,  # ONNX Runtime takes no notice of a region of an axis that keeps its size
    ),
    apart("y = GridSample(x, g)", "float[B, 1, 4, 4] x, float[B, 2, 2, 2] g", among={"g": (-1, 1)}),
    mixed("y = GridSample(x, g)", "float[B, 1, 4, 4] x", g=weights(3, 2, 2, 2)),
    apart(
        "n = Shape<end = 1>(x)  s = Concat<axis = 0>(n, r)  y = AffineGrid(x, s)",
        "float[B, 2, 3] x",
        r=ints(1, 4, 4),
        version=20,
    ),
    # Attention
    apart(
        "y = RotaryEmbedding(x, c, c, p)",
        "float[B, 2, 3, 4] x, int64[B, 3] p",
        c=weights(6, 2),
        among={"p": (0, 5)},
        version=23,
    ),
    apart(
        "y = RotaryEmbedding(x, c, c)",
        "float[B, 2, 3, 4] x, float[B, 3, 2] c",
        version=23,
    ),
    apart(
        "y, p = LinearAttention<q_num_heads = 2, kv_num_heads = 2, "
        'update_rule = "linear">(x, x, x)',
        "float[B, 3, 8] x",
        version=27,
    ),
    apart(
        "y, p = CausalConvWithState(x, w, , s)",
        "float[B, 3, 8] x, float[B, 3, 1] s",
        w=weights(3, 1, 2),
        version=27,
    ),
    apart(
        "y = Attention(q, k, v)",
        "float[B, 2, 3, 4] q, float[B, 2, 5, 4] k, float[B, 2, 5, 4] v",
        version=23,
    ),
    apart(
        "y = Attention(q, k, v, m)",
        "float[B, 2, 3, 4] q, float[B, 2, 5, 4] k, float[B, 2, 5, 4] v",
        m=weights(3, 5),
        version=23,
    ),
    apart(
        "y = Attention(q, k, v, m)",
        "float[B, 2, 3, 4] q, float[B, 2, 5, 4] k, float[B, 2, 5, 4] v, float[B, 1, 3, 5] m",
        version=23,
    ),
    mixed(
        "a = ReduceMax<keepdims = 0>(m, z)  y = Attention(q, k, v, a)",
        "float[B, 2, 3, 4] q, float[B, 2, 5, 4] k, float[B, 2, 5, 4] v, float[B, 3, 5] m",
        z=ints(0),
        version=23,
    ),
]
