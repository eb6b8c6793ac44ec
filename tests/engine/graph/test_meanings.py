"""What the outputs of a graph are, operator by operator; converted models are `tests/families`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ml_pipeline.engine.graph.read import report
from ml_pipeline.engine.graph.report import Meaning
from tests import models

ML = {
    *("ArrayFeatureExtractor", "Binarizer", "LabelEncoder", "LinearClassifier", "Normalizer"),
    *("SVMClassifier", "TreeEnsembleClassifier", "ZipMap"),
}
WORDS = ["low", "middle", "high"]

Step = tuple[str, str, str, dict[str, Any]]
"""Operator, inputs and outputs by spaces, attributes."""


def step(operator: str, inputs: str, outputs: str, **attributes: Any) -> Step:
    return operator, inputs, outputs, attributes


def meanings(
    steps: Sequence[Step], outputs: dict[str, str], **constants: Any
) -> dict[str, Meaning]:
    """Read a graph of float32 `x`, `[b, 4]`, and `z`, three columns made of it."""
    weights = {"W": np.ones((4, 3), np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "W"], ["z"])]
    for operator, inputs, made, attributes in steps:
        domain = "ai.onnx.ml" if operator in ML else ""
        nodes.append(
            helper.make_node(operator, inputs.split(), made.split(), domain=domain, **attributes)
        )
    weights |= {name: np.asarray(value) for name, value in constants.items()}
    graph = models.graph(
        nodes,
        [models.tensor("x", "float32", [None, 4])],
        [models.tensor(name, dtype, None) for name, dtype in outputs.items()],
        **weights,
    )
    told = report(onnx.load_from_string(graph)).meanings
    assert [meaning.name for meaning in told] == list(outputs)
    return {meaning.name: meaning for meaning in told}


ONE = np.float32(1)
ZERO = np.float32(0)
FLAT = np.array([-1], np.int64)
COLUMNS = np.array([1], np.int64)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([step("Softmax", "z", "y")], "probability"),
        ([step("Softmax", "z", "y", axis=0)], "value"),
        ([step("Sigmoid", "z", "y")], "probability"),
        ([step("LogSoftmax", "z", "y")], "score"),
        ([step("Identity", "z", "y")], "value"),
        ([step("Tanh", "z", "y")], "value"),
        ([step("Softmax", "z", "p"), step("Identity", "p", "q"), step("Cast", "q", "y", to=1)],
         "probability"),
        ([step("Softmax", "z", "p"), step("Cast", "p", "q", to=9), step("Cast", "q", "y", to=1)],
         "value"),
        ([step("Softmax", "z", "p"), step("MatMul", "p W2", "y")], "value"),
        ([step("Softmax", "z", "p"), step("Log", "p", "y")], "score"),
        ([step("LogSoftmax", "z", "p"), step("Exp", "p", "y")], "probability"),
        ([step("ReduceLogSumExp", "z columns", "s"), step("Sub", "z s", "l"),
          step("Exp", "l", "y")], "probability"),
        ([step("Exp", "z", "e"), step("ReduceSum", "e columns", "s"), step("Div", "e s", "y")],
         "probability"),
        ([step("Exp", "z", "e"), step("ReduceSum", "e columns", "s", keepdims=0),
          step("Unsqueeze", "s columns", "u"), step("Shape", "e", "shape"),
          step("Expand", "u shape", "wide"), step("Div", "e wide", "y")], "probability"),
        ([step("Exp", "z", "e"), step("ReduceSum", "z columns", "s"), step("Div", "e s", "y")],
         "value"),
        ([step("Neg", "z", "n"), step("Exp", "n", "e"), step("Add", "e one", "a"),
          step("Reciprocal", "a", "y")], "probability"),
        ([step("Neg", "z", "n"), step("Exp", "n", "e"), step("Add", "one e", "a"),
          step("Div", "one a", "y")], "probability"),
        ([step("Sigmoid", "z", "p"), step("Normalizer", "p", "y", norm="L1")], "probability"),
        ([step("Sigmoid", "z", "p"), step("Normalizer", "p", "y", norm="L2")], "value"),
        ([step("Normalizer", "x", "y", norm="L1")], "value"),
        ([step("Softmax", "z", "p"), step("Softmax", "x", "q"), step("Add", "p q", "y")], "score"),
        ([step("Softmax", "z", "p"), step("Softmax", "x", "q"), step("Add", "p q", "s"),
          step("Div", "s two", "y")], "probability"),
        ([step("Softmax", "z", "p"), step("Softmax", "x", "q"), step("Mean", "p q", "y")],
         "probability"),
        ([step("Softmax", "z", "p"), step("Mul", "p two", "y")], "score"),
        ([step("Softmax", "z", "p"), step("Mul", "p one", "y")], "probability"),
        ([step("Sigmoid", "z", "p"), step("Sub", "one p", "y")], "probability"),
        ([step("Sigmoid", "z", "p"), step("Sub", "p one", "y")], "score"),
        ([step("Sigmoid", "z", "p"), step("Sub", "one p", "q"),
          step("Concat", "q p", "y", axis=1)], "probability"),
        ([step("Clip", "z zero one", "p"), step("Sub", "one p", "q"),
          step("Concat", "q p", "y", axis=1)], "probability"),
        ([step("Softmax", "z", "p"), step("Concat", "p z", "y", axis=1)], "value"),
    ],
)  # fmt: skip
def test_probabilities_are_told_by_their_operator(steps: list[Step], kind: str) -> None:
    """And by what is done to them on the way out."""
    told = meanings(
        steps, {"y": "float32"}, W2=np.ones((3, 2), np.float32),
        columns=COLUMNS, one=ONE, two=np.float32(2), zero=ZERO,
    )  # fmt: skip

    assert told["y"].kind == kind


@pytest.mark.parametrize(
    ("steps", "exclusive"),
    [
        ([step("Softmax", "z", "y")], True),
        ([step("Sigmoid", "z", "y")], False),
        ([step("Softmax", "z", "p"), step("Slice", "p zero one columns", "y")], False),
        ([step("Sigmoid", "z", "p"), step("Sub", "onef p", "q"),
          step("Concat", "q p", "y", axis=-1)], True),
    ],
)  # fmt: skip
def test_columns_compete_where_one_of_them_is_true(steps: list[Step], exclusive: bool) -> None:
    """Then the largest is the prediction."""
    told = meanings(
        steps, {"y": "float32"}, columns=COLUMNS, onef=ONE,
        zero=np.array([0]), one=np.array([1]),
    )  # fmt: skip

    assert told["y"].exclusive is exclusive


@pytest.mark.parametrize(
    ("steps", "classes"),
    [
        ([step("ArgMax", "z", "y", axis=1)], None),
        ([step("ArgMax", "z", "i", axis=-1), step("Gather", "numbers i", "y")], [3, 5, 9]),
        ([step("ArgMax", "z", "i", axis=1), step("ArrayFeatureExtractor", "numbers i", "a"),
          step("Cast", "a", "b", to=1), step("Reshape", "b flat", "y")], [3, 5, 9]),
        ([step("ArgMax", "z", "i", axis=1, keepdims=0),
          step("LabelEncoder", "i", "y", keys_int64s=[2, 1, 0], values_strings=WORDS)],
         ["high", "middle", "low"]),
        ([step("ArgMax", "z", "i", axis=1, keepdims=0), step("Gather", "numbers i", "n"),
          step("LabelEncoder", "n", "y", keys_int64s=[3, 5, 9], values_strings=WORDS)], WORDS),
        ([step("ArgMin", "z", "y", axis=1)], None),
        ([step("Binarizer", "z", "b", threshold=0.5), step("Cast", "b", "y", to=7)], None),
        ([step("Greater", "z zero", "b"), step("Not", "b", "n"), step("Cast", "n", "y", to=7)],
         None),
        ([step("Sign", "z", "b"), step("Cast", "b", "y", to=7)], []),
        ([step("Less", "z zero", "b"), step("Cast", "b", "i", to=7), step("Mul", "i two", "y")],
         []),
    ],
)  # fmt: skip
def test_labels_are_told_by_their_operator(
    steps: list[Step], classes: list[int | str] | None
) -> None:
    """With the values that they take, where the graph lists them."""
    told = meanings(
        steps, {"y": "int64"}, numbers=np.array([3, 5, 9]), flat=FLAT, zero=ZERO, two=np.array(2)
    )  # fmt: skip

    assert (told["y"].kind, told["y"].classes) == ("label", classes)


@pytest.mark.parametrize(
    "steps",
    [
        [step("ArgMax", "z", "y", axis=0)],
        [step("TopK", "z one", "v y")],
        [step("NonZero", "z", "y")],
        [step("ArgMax", "z", "i", axis=1), step("Gather", "table i", "y")],
        [step("ArgMax", "z", "i", axis=1), step("Gather", "floats i", "y")],
    ],
)
def test_other_integers_are_no_labels(steps: list[Step]) -> None:
    """Nor is what is looked up by a label, unless it is one value for each."""
    told = meanings(
        steps,
        {"y": "int64"},
        one=np.array([1]),
        table=np.zeros((3, 2), np.int64),
        floats=np.zeros(3, np.float32),
    )

    assert told["y"].kind == "value"


def test_a_mask_behind_values_is_no_label() -> None:
    """Only what comes first is the answer; what lies beyond a threshold may be many things."""
    told = meanings(
        [step("Greater", "z zero", "mask")], {"z": "float32", "mask": "bool"}, zero=ZERO
    )

    assert [meaning.kind for meaning in told.values()] == ["value", "value"]


@pytest.mark.parametrize(
    ("decision", "numbers", "kind"),
    [("ArgMax", "z", "score"), ("ArgMin", "z", "distance"), ("ArgMin", "root", "distance")],
)
def test_numbers_that_decide_a_label_are_told_by_the_decision(
    decision: str, numbers: str, kind: str
) -> None:
    """The largest is a score, the least a distance; a root keeps the order of columns."""
    told = meanings(
        [
            step("Sqrt", "z", "root"),
            step(decision, "z", "i", axis=1, keepdims=0),
            step("Gather", "words i", "label"),
        ],
        {"label": "str", numbers: "float32"},
        words=np.array(WORDS, object),
    )

    assert told[numbers].kind == kind
    assert told[numbers].decides == "label"
    assert told[numbers].classes == WORDS


def test_each_label_has_its_own_columns() -> None:
    """Of two heads of one trunk, and an embedding beside them."""
    told = meanings(
        [
            step("MatMul", "z W3", "features"),
            step("MatMul", "z W3", "age_logits"), step("Softmax", "age_logits", "age_likely"),
            step("ArgMax", "age_likely", "age", axis=1, keepdims=0),
            step("MatMul", "z W3", "kind_logits"), step("Softmax", "kind_logits", "kind_likely"),
            step("ArgMax", "kind_logits", "kind", axis=1, keepdims=0),
        ],
        {"features": "float32", "kind_likely": "float32", "age_likely": "float32",
         "age": "int64", "kind": "int64"},
        W3=np.ones((3, 3), np.float32),
    )  # fmt: skip

    assert told["features"].kind == "value"
    assert (told["age_likely"].decides, told["kind_likely"].decides) == ("age", "kind")


def test_a_zipmap_is_sorted() -> None:
    """As ONNX Runtime gives it, whatever the order of the attribute."""
    told = meanings(
        [
            step("Softmax", "z", "p"),
            step("ZipMap", "p", "y", classlabels_strings=["b", "c", "a"]),
        ],
        {"y": "float32"},
    )

    assert (told["y"].kind, told["y"].classes) == ("probability", ["a", "b", "c"])


def linear(**attributes: Any) -> Step:
    """Give a LinearClassifier of three classes."""
    weights = {"coefficients": [1.0] * 12, "intercepts": [0.0] * 3}
    labels = {"classlabels_ints": [3, 5, 9]}
    return step("LinearClassifier", "x", "label y", **weights, **(labels | attributes))


def svm(**attributes: Any) -> Step:
    """Give an SVMClassifier of two classes."""
    return step(
        "SVMClassifier", "x", "label y", classlabels_ints=[3, 5], coefficients=[1.0, -1.0],
        kernel_type="LINEAR", rho=[0.0], support_vectors=[1.0] * 8, vectors_per_class=[1, 1],
        **attributes,
    )  # fmt: skip


def trees(weights: Sequence[Sequence[float]], **attributes: Any) -> Step:
    """Give a TreeEnsembleClassifier of single leaves: a row of weights by class for each tree."""
    num_trees, num_classes = len(weights), len(weights[0])
    by_class = {
        "class_ids": list(range(num_classes)) * num_trees,
        "class_treeids": [tree for tree in range(num_trees) for _ in range(num_classes)],
        "class_nodeids": [0] * num_trees * num_classes,
        "class_weights": [float(weight) for row in weights for weight in row],
    }
    labels = {"classlabels_int64s": [3, 5, 9][: max(num_classes, 2)]}
    return step("TreeEnsembleClassifier", "x", "label y", **(labels | by_class | attributes))


@pytest.mark.parametrize(
    ("classifier", "kind", "classes"),
    [
        (linear(post_transform="SOFTMAX"), "probability", [3, 5, 9]),
        (linear(post_transform="LOGISTIC"), "probability", [3, 5, 9]),
        (linear(post_transform="NONE"), "score", [3, 5, 9]),
        (svm(prob_a=[1.0], prob_b=[0.0]), "probability", [3, 5]),
        (svm(), "score", None),
        (svm(post_transform="LOGISTIC"), "score", None),
        (trees([[0.5, 0, 0], [0.2, 0.3, 0]]), "probability", [3, 5, 9]),
        (trees([[0.5, 0, 0], [0.2, 0.9, 0]]), "score", [3, 5, 9]),
        (trees([[0.5, 0, 0], [0.7, -0.2, 0]]), "score", [3, 5, 9]),
        (trees([[0.5, 0, 0], [0.5, 0, 0]], base_values=[0.1, 0.1, 0.1]), "score", [3, 5, 9]),
        (trees([[0.4], [0.3]]), "probability", [3, 5]),
        (trees([[0.4], [1.3]]), "score", [3, 5]),
        (trees([[4.0, 0, 0]], post_transform="SOFTMAX"), "probability", [3, 5, 9]),
    ],
)
def test_classifiers_say_whether_they_give_probabilities(
    classifier: Step, kind: str, classes: list[int] | None
) -> None:
    """By their transformation, an SVM's calibration, or leaves that are shares."""
    told = meanings([classifier], {"label": "int64", "y": "float32"})

    labels = {"SVMClassifier": [3, 5]}.get(classifier[0], classes)
    assert (told["label"].kind, told["label"].classes) == ("label", labels)
    assert (told["y"].kind, told["y"].classes) == (kind, classes)


def test_the_node_is_named_that_made_it_so() -> None:
    """For people."""
    told = meanings([step("Softmax", "z", "p", name="head"), step("Identity", "p", "y")],
                    {"y": "float32"})  # fmt: skip

    assert told["y"].node == "Softmax head"


def test_a_graph_of_a_thousand_steps_is_read_at_once() -> None:
    """Without recursion, and each tensor once."""
    steps = [step("Add", f"h{k} z", f"h{k + 1}") for k in range(1100)]

    told = meanings(
        [step("Identity", "z", "h0"), *steps, step("ArgMax", "h1100", "label", axis=1)],
        {"label": "int64", "h1100": "float32"},
    )

    assert told["h1100"].kind == "score"


def test_subgraphs_are_left_alone() -> None:
    """What a branch makes is not known."""
    shared = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    then = helper.make_graph([helper.make_node("Softmax", ["z"], ["b"])], "then", [], shared)
    other = helper.make_graph([helper.make_node("Identity", ["z"], ["b"])], "else", [], shared)

    told = meanings(
        [step("If", "yes", "y", then_branch=then, else_branch=other)],
        {"y": "float32"},
        yes=np.array(True),
    )

    assert told["y"].kind == "value"
