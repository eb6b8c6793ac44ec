"""com.microsoft: what ONNX Runtime's own tools write for attention and quantised transformers."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

X, STATES, BYTES = "float[B, 4] x", "float[B, 3, 8] x", "uint8[B, 4] x"
S, Z, I8 = np.float32(0.1), np.uint8(3), np.int8(0)
SMALL = (weights(4, 3) * 3).astype(np.int8)
PACKED = {"w": weights(8, 24), "b": weights(24)}
TABLES = {"c": weights(6, 2), "s": weights(6, 2)}
GROUPS = "com.microsoft.GroupQueryAttention<num_heads = 2, kv_num_heads = 1>"
IDS = "int32[B, 5] i"
EMBEDDING = {
    "w": weights(9, 8),
    "p": weights(6, 8),
    "g": weights(8),
    "b": weights(8),
    "t": weights(2, 8),
}
BLOCKS = np.random.default_rng(0).integers(0, 255, (3, 1, 8), np.uint8, endpoint=True)

EXAMPLES = [
    # Attention
    apart("y = com.microsoft.Attention<num_heads = 2>(x, w, b)", STATES, **PACKED),
    apart(
        "y = com.microsoft.Attention<num_heads = 2>(x, w, b, m)",
        f"{STATES}, int32[B, 3] m",
        among={"m": (0, 1)},
        **PACKED,
    ),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  c = com.microsoft.Attention<num_heads = 2>(a, w, b)  "
        "y = Transpose<perm = [1, 0, 2]>(c)",
        STATES,
        **PACKED,
    ),
    apart(
        "y = com.microsoft.QAttention<num_heads = 2>(x, w, b, s, r, , o, z)",
        "uint8[B, 3, 8] x",
        w=weights(8, 24).astype(np.int8),
        b=weights(24),
        s=S,
        r=S,
        o=Z,
        z=I8,
    ),
    apart("y = com.microsoft.MultiHeadAttention<num_heads = 2>(x, x, x)", STATES),
    apart(
        "y = com.microsoft.MultiHeadAttention<num_heads = 2>(x, k, k, , m)",
        f"{STATES}, float[B, 5, 8] k, int32[B, 5] m",
        among={"m": (0, 1)},
    ),
    apart(
        "y, p, v = com.microsoft.MultiHeadAttention<num_heads = 2>(x, x, x, , , , k, k)",
        f"{STATES}, float[B, 2, 5, 4] k",
    ),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  "
        "b = com.microsoft.MultiHeadAttention<num_heads = 2>(a, a, a)  "
        "y = Transpose<perm = [1, 0, 2]>(b)",
        STATES,
    ),
    apart(
        "y = com.microsoft.RotaryEmbedding(x, p, c, s)",
        "float[B, 2, 3, 4] x, int64[B, 3] p",
        among={"p": (0, 5)},
        **TABLES,
    ),
    apart(
        "y = com.microsoft.RotaryEmbedding(x, p, c, s)", "float[B, 2, 3, 4] x", p=ints(0), **TABLES
    ),
    apart(
        "y, m, e = com.microsoft.EmbedLayerNormalization(i, , w, p, , g, b)",
        IDS,
        among={"i": (0, 8)},
        **EMBEDDING,
    ),
    apart(
        "y, m = com.microsoft.EmbedLayerNormalization(i, j, w, p, t, g, b, k)",
        f"{IDS}, int32[B, 5] j, int32[B, 5] k",
        among={"i": (0, 8), "j": (0, 1), "k": (0, 1)},
        **EMBEDDING,
    ),
    apart(
        "y = com.microsoft.Attention<num_heads = 2>(x, w, b, , , a)",
        f"{STATES}, float[B, 2, 3, 3] a",
        **PACKED,
    ),
    apart(
        "y, p = com.microsoft.LinearAttention<q_num_heads = 2, kv_num_heads = 2, "
        'update_rule = "linear">(x, x, x)',
        STATES,
    ),
    apart(
        "y, p = com.microsoft.CausalConvWithState(x, w, , s)",
        "float[B, 3, 8] x, float[B, 3, 1] s",
        w=weights(3, 1, 2),
    ),
    apart(
        f"y, p, v = {GROUPS}(q, k, k, , , s, t)",
        "float[B, 3, 16] q, float[B, 3, 8] k, int32[B] s",
        t=np.int32(3),
        among={"s": (0, 2)},
    ),
    apart(
        f"y, p, v = {GROUPS}(q, k, k, c, c, s, t)",
        "float[B, 1, 16] q, float[B, 1, 8] k, float[B, 1, 5, 8] c, int32[B] s",
        t=np.int32(6),
        among={"s": (0, 5)},
    ),
    mixed(
        f"r = ReduceMax<keepdims = 0>(s)  y, p, v = {GROUPS}(q, k, k, , , s, r)",
        "float[B, 3, 16] q, float[B, 3, 8] k, int32[B] s",
        among={"s": (3, 3)},
    ),
    # Products
    apart("y = com.microsoft.FusedMatMul<transB = 1>(x, w)", X, w=weights(2, 4)),
    mixed("y = com.microsoft.FusedMatMul<transA = 1>(x, w)", X, w=weights(1, 2)),
    mixed("y = com.microsoft.FusedMatMul<transB = 1>(x, x)", X),
    apart("y = com.microsoft.FusedMatMul<transB = 1>(x, x)", STATES),
    apart(
        'y = com.microsoft.FusedGemm<activation = "Relu">(x, w, b)',
        X,
        w=weights(4, 2),
        b=weights(2),
    ),
    apart(
        "y = com.microsoft.MatMulIntegerToFloat(x, w, s, r, o, z, b)",
        BYTES,
        w=SMALL,
        s=S,
        r=np.array([0.1, 0.2, 0.3], np.float32),
        o=Z,
        z=I8,
        b=weights(3),
    ),
    mixed(
        "m = ReduceMax<keepdims = 0>(f)  y = com.microsoft.MatMulIntegerToFloat(x, w, m, s)",
        f"{BYTES}, float[B, 2] f",
        w=SMALL,
        s=S,
        among={"f": (0.1, 1)},
    ),
    apart(
        "y = com.microsoft.MatMulNBits<K = 16, N = 3, bits = 4, block_size = 16>(x, w, s)",
        "float[B, 16] x",
        w=BLOCKS,
        s=np.array([0.1, 0.2, 0.3], np.float32),
    ),
    apart(
        "y = com.microsoft.MatMulBnb4<K = 16, N = 4, block_size = 16, quant_type = 1>(x, w, s)",
        "float[B, 16] x",
        w=np.arange(32, dtype=np.uint8),
        s=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    ),
    apart(
        "y = com.microsoft.GatherBlockQuantized<block_size = 16>(w, i, s)",
        IDS,
        among={"i": (0, 2)},
        w=BLOCKS.reshape(3, 8),
        s=weights(3, 1),
    ),
    apart("y = com.microsoft.Trilu(x)", STATES),
    mixed("y = com.microsoft.Trilu(x)", X),
    apart(
        "y = com.microsoft.GatherND(w, i)", "int64[B, 2] i", among={"i": (0, 2)}, w=weights(3, 3)
    ),
    apart("y = com.microsoft.QuantizeLinear(x, s, o)", X, s=S, o=Z),
    apart("y = com.microsoft.DequantizeLinear(x, s, o)", BYTES, s=S, o=Z),
    apart("y = com.microsoft.QGemm(x, s, o, w, s, z, , s, o)", BYTES, w=SMALL, s=S, o=Z, z=I8),
    mixed(
        "a = com.microsoft.QGemm<transB = 1>(x, s, o, x, s, o, , s, o)  y = Identity(a)",
        BYTES,
        s=S,
        o=Z,
    ),
    mixed("y = com.microsoft.DynamicQuantizeMatMul(x, w, s, z)", X, w=SMALL, s=S, z=I8),
    mixed(
        "a = Transpose<perm = [1, 0, 2]>(x)  "
        "h = com.microsoft.DynamicQuantizeLSTM<hidden_size = 2>(a, w, r, , , , , , s, z, s, z)  "
        "y = Transpose<perm = [2, 0, 1, 3]>(h)",
        STATES,
        w=(weights(1, 8, 8) * 9).astype(np.int8),
        r=(weights(1, 2, 8) * 9).astype(np.int8),
        s=np.array([0.1], np.float32),
        z=np.array([0], np.int8),
    ),
    # Pictures
    apart(
        'y = com.microsoft.FusedConv<activation = "Relu">(x, w)',
        "float[B, 3, 5, 5] x",
        w=weights(2, 3, 3, 3),
    ),
    apart(
        'y = com.microsoft.FusedConv<activation = "Relu">(x, w, , z)',
        "float[B, 3, 5, 5] x, float[B, 2, 3, 3] z",
        w=weights(2, 3, 3, 3),
    ),
    apart(
        "y = com.microsoft.QLinearAveragePool<kernel_shape = [2, 2]>(x, s, o, s, o)",
        "uint8[B, 3, 4, 4] x",
        s=S,
        o=Z,
    ),
    apart(
        "y = com.microsoft.QLinearGlobalAveragePool(x, s, o, s, o)", "uint8[B, 3, 4, 4] x", s=S, o=Z
    ),
    apart('y = com.microsoft.CDist<metric = "euclidean">(x, w)', X, w=weights(3, 4)),
    mixed('y = com.microsoft.CDist<metric = "sqeuclidean">(x, x)', X),
]
