"""ai.onnx.ml, text, recurrent networks."""

import numpy as np

from tests.engine.graph.examples.example import apart, ints, mixed, weights

X, ONE_AXIS, TEXT = "float[B, 4] x", "float[B] x", "string[B, 1] x"
ML = "ai.onnx.ml"
LINEAR = "coefficients = [1.0, -2.0, 0.5, 1.0], intercepts = [0.5]"
CLASSES = (
    "coefficients = [1.0, -2.0, 0.5, 1.0, -1.0, 2.0, -0.5, -1.0], intercepts = [0.5, -0.5], "
    "classlabels_ints = [3, 5]"
)
NODES = (
    "nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [1, 0, 0], "
    'nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.5, 0.0, 0.0], '
    "nodes_truenodeids = [1, 0, 0], nodes_falsenodeids = [2, 0, 0], "
    "nodes_missing_value_tracks_true = [0, 0, 0]"
)
LEAVES = (
    f"{NODES}, class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1], "
    "class_weights = [1.0, 1.0], classlabels_int64s = [3, 5]"
)
TARGETS = (
    f"{NODES}, n_targets = 1, target_treeids = [0, 0], target_nodeids = [1, 2], "
    "target_ids = [0, 0], target_weights = [1.0, 2.0]"
)
TREE = (
    "n_targets = 1, tree_roots = [0], nodes_featureids = [1], nodes_modes = uint8[1] {0}, "
    "nodes_splits = float[1] {0.5}, nodes_truenodeids = [0], nodes_trueleafs = [1], "
    "nodes_falsenodeids = [1], nodes_falseleafs = [1], leaf_targetids = [0, 0], "
    "leaf_weights = float[2] {1.0, 2.0}"
)
SUPPORT = (
    'kernel_type = "RBF", kernel_params = [0.5, 0.0, 3.0], '
    "support_vectors = [1.0, 0.0, 2.0, 1.0, -1.0, 1.0, 0.0, 0.5], coefficients = [1.0, -1.0]"
)
NGRAMS = (
    'mode = "TF", min_gram_length = 1, max_gram_length = 1, max_skip_count = 0, '
    'ngram_counts = [0], ngram_indexes = [0, 1, 2], pool_strings = ["a", "bad", "c"]'
)
NUMBERED = (
    'mode = "TF", min_gram_length = 1, max_gram_length = 2, max_skip_count = 0, '
    "ngram_counts = [0, 2], ngram_indexes = [0, 1, 2], pool_int64s = [0, 1, 0, 1]"
)
TOKENIZER = 'Tokenizer<mark = 0, mincharnum = 1, pad_value = "#", separators = [" "]>'
LSTM = {"w": weights(1, 8, 4), "r": weights(1, 8, 2)}
SERIES, SWAP = "float[B, 5, 4] x", "a = Transpose<perm = [1, 0, 2]>(x)  "
BACK = "  y = Transpose<perm = [2, 0, 1, 3]>(h)"

EXAMPLES = [
    apart(f"y = {ML}.Binarizer<threshold = 0.5>(x)", X),
    apart(f'y = {ML}.CategoryMapper<cats_int64s = [1, 2], cats_strings = ["a", "bad"]>(x)', TEXT),
    apart(f'y = {ML}.LabelEncoder<keys_strings = ["a", "bad"], values_int64s = [1, 2]>(x)', TEXT),
    apart(
        f"y = {ML}.LabelEncoder<keys_int64s = [1, 2], values_floats = [1.0, 2.0]>(x)", "int64[B] x"
    ),
    apart(f"y = {ML}.Scaler<offset = [1.0, 2.0, 3.0, 4.0], scale = [1.0, 2.0, 3.0, 4.0]>(x)", X),
    apart(f"y = {ML}.Scaler<offset = [1.0], scale = [2.0]>(x)", X),
    mixed(
        f"a = Transpose(x)  b = {ML}.Scaler<offset = [1.0, 2.0], scale = [1.0, 2.0]>(a)  "
        "y = Transpose(b)",
        X,
    ),
    apart(
        f"y = {ML}.Imputer<imputed_value_floats = [1.0, 2.0, 3.0, 4.0], "
        "replaced_value_float = 0.0>(x)",
        X,
    ),
    apart(
        f"y = {ML}.Imputer<imputed_value_int64s = [7], replaced_value_int64 = 2>(x)",
        "int64[B, 4] x",
    ),
    apart(
        f"y = {ML}.FeatureVectorizer<inputdimensions = [4, 2]>(x, z)",
        "float[B, 4] x, float[B, 2] z",
    ),
    *(apart(f'y = {ML}.Normalizer<norm = "{norm}">(x)', X) for norm in ("MAX", "L1", "L2")),
    mixed(f'y = {ML}.Normalizer<norm = "L1">(x)', ONE_AXIS),
    apart(f"y = {ML}.LinearRegressor<{LINEAR}>(x)", X),
    apart(f'y, y2 = {ML}.LinearClassifier<{CLASSES}, post_transform = "SOFTMAX">(x)', X),
    mixed(f"y, s = {ML}.LinearClassifier<{CLASSES}>(x)", "float[B] x"),
    apart(f"y = {ML}.SVMRegressor<{SUPPORT}, n_supports = 2, rho = [0.5]>(x)", X),
    apart(
        f"y, y2 = {ML}.SVMClassifier<{SUPPORT}, vectors_per_class = [1, 1], rho = [0.5], "
        "classlabels_ints = [3, 5]>(x)",
        X,
    ),
    apart(f"y, y2 = {ML}.TreeEnsembleClassifier<{LEAVES}>(x)", X),
    apart(f"y = {ML}.TreeEnsembleRegressor<{TARGETS}>(x)", X),
    apart(f"y = {ML}.TreeEnsemble<{TREE}>(x)", X, ml=5),
    apart(
        f"l, p = {ML}.LinearClassifier<{CLASSES}>(x)  "
        f"y = {ML}.ZipMap<classlabels_int64s = [3, 5]>(p)",
        X,
    ),
    apart(f"y = {ML}.OneHotEncoder<cats_int64s = [0, 1, 2]>(x)", "int64[B, 2] x"),
    apart(f'y = {ML}.OneHotEncoder<cats_strings = ["a", "c"]>(x)', TEXT),
    apart(f"y = {ML}.ArrayFeatureExtractor(x, n)", X, n=ints(2, 0)),
    mixed(f"y = {ML}.ArrayFeatureExtractor(x, n)", ONE_AXIS, n=ints(0)),
    mixed(f"y = {ML}.ArrayFeatureExtractor(w, i)", "int64[B] i", w=weights(3), among={"i": (0, 2)}),
    apart(
        f"a = {ML}.ArrayFeatureExtractor(w, i)  y = Reshape(a, s)",
        "int64[B] i",
        w=weights(3),
        s=ints(-1, 1),
        among={"i": (0, 2)},
    ),
    # Text
    apart('y = StringNormalizer<case_change_action = "LOWER", locale = "C">(x)', "string[B] x"),
    mixed('y = StringNormalizer<is_case_sensitive = 1, stopwords = ["a"]>(x)', "string[B] x"),
    mixed(
        'a = StringNormalizer<is_case_sensitive = 1, stopwords = ["a"]>(x)  s = Shape(a)  '
        "y = Expand(w, s)",
        "string[B] x",
        w=np.float32(1),
    ),
    mixed('y, n = StringSplit<delimiter = " ">(x)', "string[B] x"),
    apart('a, y = StringSplit<delimiter = " ">(x)', "string[B] x"),
    mixed(
        f'a, n = StringSplit<delimiter = " ">(x)  '
        f'b = {ML}.LabelEncoder<keys_strings = ["a", "b"], values_floats = [1.0, 2.0]>(a)  '
        "y = ReduceMean<keepdims = 0>(b, last)",
        "string[B] x",
        last=ints(-1),
    ),
    mixed(f"y = com.microsoft.{TOKENIZER}(x)", "string[B] x"),
    mixed(
        'a, n = StringSplit<delimiter = " ">(x)  s = Shape(a)  b = Cast<to = 1>(s)  '
        "c = Cast<to = 1>(n)  m = ReduceMax<keepdims = 0>(b)  y = Mul(c, m)",
        "string[B] x",
    ),
    apart(f"a = com.microsoft.{TOKENIZER}(x)  y = TfIdfVectorizer<{NGRAMS}>(a)", "string[B] x"),
    apart(
        f"a = com.microsoft.{TOKENIZER}(x)  b = Squeeze(a, one)  y = TfIdfVectorizer<{NGRAMS}>(b)",
        TEXT,
        one=ints(1),
    ),
    mixed(
        f"a = com.microsoft.{TOKENIZER}(x)  y = TfIdfVectorizer<{NGRAMS}>(a)".replace('"#"', '"a"'),
        "string[B] x",
    ),
    apart(f"y = TfIdfVectorizer<{NUMBERED}>(x)", "int64[B, 6] x", among={"x": (0, 2)}),
    mixed(f"y = TfIdfVectorizer<{NUMBERED}>(x)", "int64[B] x", among={"x": (0, 2)}),
    # Recurrent
    apart(SWAP + "h = LSTM<hidden_size = 2>(a, w, r)" + BACK, SERIES, **LSTM),
    apart(
        SWAP + "h, b = GRU<hidden_size = 2>(a, w, r)  y = Transpose<perm = [1, 0, 2]>(b)",
        SERIES,
        w=weights(1, 6, 4),
        r=weights(1, 6, 2),
    ),
    apart(
        SWAP + "h = GRU<hidden_size = 2, linear_before_reset = 1>(a, w, r)" + BACK,
        SERIES,
        w=weights(1, 6, 4),
        r=weights(1, 6, 2),
    ),
    apart(
        SWAP + 'h = RNN<hidden_size = 2, direction = "reverse">(a, w, r)' + BACK,
        SERIES,
        w=weights(1, 2, 4),
        r=weights(1, 2, 2),
    ),
    apart(
        SWAP + "h = LSTM<hidden_size = 2>(a, w, r, , l)" + BACK,
        f"{SERIES}, int32[B] l",
        **LSTM,
        among={"l": (1, 5)},
    ),
    apart(
        "n = Shape<end = 1>(x)  s = Concat<axis = 0>(f, n, e)  z = ConstantOfShape(s)  "
        + SWAP
        + "h = LSTM<hidden_size = 2>(a, w, r, , , z, z)"
        + BACK,
        SERIES,
        **LSTM,
        f=ints(1),
        e=ints(2),
    ),
    mixed("h = LSTM<hidden_size = 2>(x, w, r)  y = Squeeze(h, a)", SERIES, **LSTM, a=ints(1)),
    mixed(
        "h = GRU<hidden_size = 2>(x, w, r)  y = Squeeze(h, a)",
        SERIES,
        w=weights(1, 6, 4),
        r=weights(1, 6, 2),
        a=ints(1),
    ),
    mixed(
        "h = RNN<hidden_size = 2>(x, w, r)  y = Squeeze(h, a)",
        SERIES,
        w=weights(1, 2, 4),
        r=weights(1, 2, 2),
        a=ints(1),
    ),
]
