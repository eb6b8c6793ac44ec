"""Which values inputs take: indices, masks, lengths, words, missing ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from ml_pipeline.engine.graph.domains import MOST_WORDS, domains
from ml_pipeline.engine.graph.report import Domain
from tests import models, odd_models


def found(nodes: Sequence[NodeProto], dtype: str = "int64", **constants: Any) -> Domain:
    """Give what is told of an input x, of which such graphs are only read, never run."""
    weights = {"zero": np.array(0, np.int64), "table": np.zeros((9, 4), np.float32)}
    model = models.graph(
        nodes,
        [models.tensor("x", dtype, [None, "time"]), models.tensor("a", "float32", [None, 4])],
        [models.tensor("y", "float32", None)],
        **{**weights, **constants},
    )
    return domains(onnx.load_from_string(model))[0]


def moved(*operators: str) -> list[NodeProto]:
    """Give a chain of operators from x to `moved`, each with nothing but its data."""
    names = ["x", *(f"step{number}" for number in range(len(operators) - 1)), "moved"]
    return [
        models.node(operator, [before], [after])
        for operator, before, after in zip(operators, names, names[1:], strict=False)
    ]


gather = models.node("Gather", ["table", "moved"], ["y"])


def test_nothing_understood_is_nothing_told() -> None:
    """A number that is multiplied may be anything."""
    nodes = [models.node("Mul", ["x", "zero"], ["y"])]

    assert found(nodes) == Domain("x")


# Indices.


@pytest.mark.parametrize(
    "operator",
    ["Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"],
)
def test_an_index_is_below_the_size_of_its_table(operator: str) -> None:
    """However its values are moved about before."""
    assert found([*moved("Identity", operator), gather]) == Domain("x", 0, 8)


@pytest.mark.parametrize(
    ("operator", "attributes", "high"),
    [
        pytest.param("Gather", {"axis": 1}, 3, id="another-axis"),
        pytest.param("GatherElements", {}, 8, id="elements"),
        pytest.param("GatherBlockQuantized", {"gather_axis": 1}, 3, id="quantised-blocks"),
        pytest.param("ArrayFeatureExtractor", {}, 3, id="last-axis"),
    ],
)
def test_tables_are_looked_into_along_their_axis(
    operator: str, attributes: dict[str, int], high: int
) -> None:
    """Each operator has its own."""
    node = models.node(operator, ["table", "x"], ["y"], **attributes)

    assert found([node]) == Domain("x", 0, high)


def test_a_quantised_table_is_one() -> None:
    """Its numbers are made floats on the way."""
    nodes = [
        models.node("DequantizeLinear", ["bytes", "scale"], ["wide"]),
        models.node("Gather", ["wide", "x"], ["y"]),
    ]

    assert found(nodes, bytes=np.zeros((7, 4), np.int8), scale=np.array(1, np.float32)).high == 6


def test_a_table_in_another_file_is_one(tmp_path: Any) -> None:
    """Its size is in the graph."""
    path = tmp_path / "a.onnx"
    model = onnx.load_from_string(odd_models.bert_model())
    onnx.save(model, path, save_as_external_data=True, location="w", size_threshold=0)

    assert domains(onnx.load(path, load_external_data=False))[0].high == 29


def test_what_is_added_to_an_index_is_taken_off() -> None:
    """Positions behind two places that mean something else."""
    nodes = [models.node("Add", ["x", "two"], ["moved"]), gather]

    assert found(nodes, two=np.array(2, np.int64)) == Domain("x", 0, 6)


def test_of_two_tables_the_smaller_counts() -> None:
    """An index leads into both."""
    nodes = [*moved("Identity"), gather, models.node("Gather", ["small", "x"], ["z"])]

    assert found(nodes, small=np.zeros((3, 2), np.float32)).high == 2


def test_what_is_put_together_keeps_its_domain() -> None:
    """Each part leads into the table."""
    nodes = [models.node("Concat", ["x", "zero"], ["moved"], axis=1), gather]

    assert found(nodes).high == 8


def test_a_table_that_requests_fill_has_no_size() -> None:
    """Nothing is known of it."""
    assert found([models.node("Gather", ["a", "x"], ["y"])]) == Domain("x")


def test_a_class_is_below_the_depth() -> None:
    """Of OneHot, which gives nothing but zeros for others."""
    nodes = [models.node("OneHot", ["x", "five", "values"], ["y"])]

    assert found(nodes, five=np.array([5], np.int64)) == Domain("x", 0, 4)


def test_an_index_in_a_branch_is_one() -> None:
    """A branch sees what is outside."""
    output = [helper.make_tensor_value_info("looked", TensorProto.FLOAT, None)]
    made = helper.make_graph([models.node("Gather", ["table", "x"], ["looked"])], "b", [], output)
    nodes = [models.node("If", ["zero"], ["y"], then_branch=made, else_branch=made)]

    assert found(nodes).high == 8


def test_words_of_a_fused_embedding_are_below_its_tables() -> None:
    """Of com.microsoft: words, types of token, a mask, positions."""
    names = ["x", "types", "words", "places", "kinds", "gamma", "beta", "mask", "positions"]
    fused = helper.make_node("EmbedLayerNormalization", names, ["y", "m"], domain="com.microsoft")
    inputs = [models.tensor(n, "int32", [None, 4]) for n in ("x", "types", "mask", "positions")]
    tables = {"words": 30, "places": 16, "kinds": 2}
    made = helper.make_graph(
        [fused],
        "g",
        inputs,
        [models.tensor("y", "float32", None)],
        [onnx.numpy_helper.from_array(np.zeros((n, 8), "f4"), k) for k, n in tables.items()],
    )

    read = {each.name: each.high for each in domains(helper.make_model(made))}

    assert read == {"x": 29, "types": 1, "mask": 1, "positions": 15}


def test_inputs_of_a_transformer_are_told_apart() -> None:
    """Words, a mask and types of token, as exporters write them."""
    read = domains(onnx.load_from_string(odd_models.bert_model()))

    assert [(each.name, each.low, each.high) for each in read] == [
        ("input_ids", 0, 29),
        ("attention_mask", 0, 1),
        ("token_type_ids", 0, 1),
    ]


# Masks.

to_bool = models.node("Cast", ["x"], ["seen"], to=TensorProto.BOOL)
masks = [
    pytest.param([to_bool], id="cast-to-bool"),
    pytest.param([models.node("Where", ["x", "a", "a"], ["y"])], id="where"),
    pytest.param(
        [
            models.node("Equal", ["x", "zero"], ["unseen"]),
            models.node("Where", ["unseen", "a", "a"], ["y"]),
        ],
        id="where-zero",
    ),
    pytest.param(
        [
            models.node("Cast", ["x"], ["float"], to=TensorProto.FLOAT),
            models.node("Sub", ["one", "float"], ["unseen"]),
            models.node("Mul", ["unseen", "never"], ["y"]),
        ],
        id="times-a-large-number",
    ),
]


NEVER: dict[str, Any] = {"one": np.array(1, np.float32), "never": np.array(-1e4, np.float32)}


@pytest.mark.parametrize("nodes", masks)
def test_a_mask_is_of_zeros_and_ones(nodes: list[NodeProto]) -> None:
    """Whatever exporters make of it."""
    assert found(nodes, **NEVER) == Domain("x", 0, 1)


def test_a_mask_may_be_of_floats() -> None:
    """Then the large number behind it tells."""
    nodes = [
        models.node("Sub", ["one", "x"], ["unseen"]),
        models.node("Mul", ["unseen", "never"], ["y"]),
    ]

    assert found(nodes, "float32", **NEVER) == Domain("x", 0, 1)


def test_padding_is_no_mask() -> None:
    """Words are compared with it, and are still words."""
    nodes = [
        models.node("Equal", ["x", "zero"], ["padding"]),
        models.node("Where", ["padding", "a", "a"], ["z"]),
        models.node("Gather", ["table", "x"], ["y"]),
    ]

    assert found(nodes) == Domain("x", 0, 8)


def test_a_float_that_is_taken_from_one_is_no_mask() -> None:
    """Without a large factor behind it is a share, say."""
    nodes = [
        models.node("Sub", ["one", "x"], ["rest"]),
        models.node("Mul", ["rest", "one"], ["y"]),
    ]

    assert found(nodes, "float32", one=np.array(1, np.float32)) == Domain("x")


# Lengths.


@pytest.mark.parametrize(
    "node",
    [
        models.node("LSTM", ["a", "W", "R", "", "x"], ["y"]),
        models.node("GRU", ["a", "W", "R", "", "x"], ["y"]),
        models.node("Attention", ["a", "a", "a", "", "", "", "x"], ["y"]),
        models.node("ReverseSequence", ["a", "x"], ["y"]),
    ],
    ids=["lstm", "gru", "attention", "reversed"],
)
def test_a_number_of_steps_is_a_length(node: NodeProto) -> None:
    """At least one; the most is as long as the sequence."""
    assert found([node]) == Domain("x", low=1, length=True)


def test_what_is_compared_with_a_range_is_a_length() -> None:
    """A mask is made of it."""
    nodes = [
        models.node("Range", ["zero", "most", "one"], ["steps"]),
        models.node("Unsqueeze", ["steps", "zero"], ["row"]),
        models.node("Unsqueeze", ["x", "one"], ["column"]),
        models.node("Less", ["row", "column"], ["y"]),
    ]

    assert found(nodes, one=np.array(1, np.int64), most=np.array(7, np.int64)).length


# Vocabularies.


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("LabelEncoder", {"keys_strings": ["good", "bad"], "values_int64s": [0, 1]}),
        ("OneHotEncoder", {"cats_strings": ["good", "bad"]}),
        ("CategoryMapper", {"cats_strings": ["good", "bad"], "cats_int64s": [0, 1]}),
        ("TfIdfVectorizer", {"pool_strings": ["good", "bad"]}),
        ("StringNormalizer", {"stopwords": ["good", "bad"]}),
    ],
)
def test_words_of_an_encoder_are_known(operator: str, attributes: dict[str, Any]) -> None:
    """Those that it has a code for."""
    assert found([models.node(operator, ["x"], ["y"], **attributes)], "str").words == [
        "good",
        "bad",
    ]


def test_words_of_a_tensor_are_known() -> None:
    """Newer encoders have them as one."""
    keys = onnx.numpy_helper.from_array(np.array(["good", "bad"], object))

    assert found([models.node("LabelEncoder", ["x"], ["y"], keys_tensor=keys)], "str").words == [
        "good",
        "bad",
    ]


@pytest.mark.parametrize("operator", ["StringSplit", "StringNormalizer", "Tokenizer"])
def test_words_behind_a_split_are_known(operator: str) -> None:
    """A string is made of them."""
    encoder = models.node("LabelEncoder", ["moved"], ["y"], keys_strings=["good"])

    assert found([*moved(operator), encoder], "str").words == ["good"]


def test_whole_numbers_of_an_encoder_are_known() -> None:
    """Categories need not be words."""
    node = models.node("OneHotEncoder", ["x"], ["y"], cats_int64s=[3, 7])

    assert found([node]).numbers == [3, 7]


def test_of_a_large_vocabulary_some_words_are_told() -> None:
    """More would tell a trial nothing new."""
    words = [f"word{number}" for number in range(1000)]
    node = models.node("LabelEncoder", ["x"], ["y"], keys_strings=words)

    assert found([node], "str").words == words[:MOST_WORDS]


# Missing values.


@pytest.mark.parametrize(
    ("operator", "attributes", "missing"),
    [
        ("IsNaN", {}, True),
        ("Imputer", {"replaced_value_float": float("nan")}, True),
        ("Imputer", {"replaced_value_float": -1.0}, False),
        ("TreeEnsembleRegressor", {"nodes_missing_value_tracks_true": [0, 1]}, True),
        ("TreeEnsembleClassifier", {"nodes_missing_value_tracks_true": [0, 0]}, False),
        ("TreeEnsemble", {"nodes_missing_value_tracks_true": [1]}, True),
        ("Mul", {}, False),
    ],
)
def test_missing_values_are_for_who_knows_them(
    operator: str, attributes: dict[str, Any], missing: bool
) -> None:
    """Of others NaN would make NaN."""
    assert found([models.node(operator, ["x"], ["y"], **attributes)], "float32").missing == missing
