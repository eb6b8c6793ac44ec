"""How an answer is read from the outputs of a run, once their roles are known."""

from typing import Any

import numpy as np

from ml_pipeline.engine.signature.roles import Roles
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.engine.wire.answer import AnswerReader

LABELS = TensorSpec("label", "int64", (-1,))
WORDS = TensorSpec("label", "str", (-1,))
LIKELY = TensorSpec("probabilities", "float32", (-1, 3))
COLUMN = TensorSpec("variable", "float32", (-1, 1))
THREE_NAMES = ["setosa", "versicolor", "virginica"]
SOME = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]], np.float32)

BESIDE = Roles(0, 1, is_classifier=True, has_names=True)
"""A label, and the probabilities it was made of."""

LARGEST = Roles(None, 0, is_classifier=True, has_names=True)
"""Probabilities alone."""


def reader(
    *outputs: TensorSpec, roles: Roles, class_names: list[str] | None = None
) -> AnswerReader:
    return AnswerReader(outputs, roles, class_names)


def words(*values: str) -> Any:
    return np.array(values, object)


def test_probabilities_stand_beside_a_label() -> None:
    """Each comes from the output that has the role, wherever that stands."""
    roles = Roles(1, 0, is_classifier=True, has_names=True)

    answer = reader(LIKELY, LABELS, roles=roles).read([SOME, np.array([1, 0])])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is not None
    assert answer.probabilities.tolist() == SOME.tolist()
    assert (answer.scores, answer.labels) == (None, None)


def test_predictions_are_the_models_own() -> None:
    """Where the model gives labels they are not second-guessed from the probabilities."""
    answer = reader(LABELS, LIKELY, roles=BESIDE).read([np.array([0, 2]), SOME])

    assert answer.predictions.tolist() == [0, 2]


def test_scores_are_no_probabilities() -> None:
    """They have a field of their own."""
    roles = Roles(0, None, scores=1, is_classifier=True, has_names=True)

    answer = reader(LABELS, LIKELY, roles=roles).read([np.array([1, 0]), SOME * 9])

    assert answer.probabilities is None
    assert answer.scores is not None
    assert answer.scores.tolist() == (SOME * 9).tolist()


def test_a_lone_column_of_scores_is_flattened() -> None:
    """As scikit-learn's decision functions of two classes are."""
    roles = Roles(0, None, scores=1, is_classifier=True, has_names=True)
    margins = np.array([[-1.5], [2.5]], np.float32)

    answer = reader(LABELS, COLUMN, roles=roles).read([np.array([0, 1]), margins])

    assert answer.scores is not None
    assert answer.scores.tolist() == [-1.5, 2.5]


def test_lone_probabilities_are_read_by_their_maximum() -> None:
    """Positions of the largest are the predictions, where nothing says what the classes are."""
    answer = reader(LIKELY, roles=LARGEST, class_names=THREE_NAMES).read([SOME])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is not None
    assert answer.labels == ["versicolor", "setosa"]


def test_lone_probabilities_predict_the_class_of_the_column() -> None:
    """Where the graph knows it: what the label would have been."""
    roles = Roles(None, 0, classes=[10, 20, 30], values=[10, 20, 30], is_classifier=True)

    answer = reader(LIKELY, roles=roles).read([SOME])

    assert answer.predictions.tolist() == [20, 10]


def test_lone_scores_are_read_by_their_maximum() -> None:
    """As those of a LogSoftmax are."""
    answer = reader(LIKELY, roles=Roles(None, None, scores=0, is_classifier=True)).read([SOME])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is None
    assert answer.scores is not None


def test_columns_that_a_run_did_not_give_are_not_compared() -> None:
    """One column, or no dimension for them, is answered as it is."""
    narrow = TensorSpec("probabilities", "float32", (-1, -1))

    answer = reader(narrow, roles=LARGEST).read([np.array([[0.25], [0.5]], np.float32)])

    assert answer.predictions.tolist() == [0.25, 0.5]
    assert (answer.probabilities, answer.labels) == (None, None)


def test_lone_column_is_flattened() -> None:
    """`[B, 1]` of a regressor is given as `[B]`."""
    answer = reader(COLUMN, roles=Roles()).read([np.array([[1.5], [2.5]], np.float32)])

    assert answer.predictions.tolist() == [1.5, 2.5]
    assert (answer.probabilities, answer.labels) == (None, None)


def test_several_targets_are_kept() -> None:
    """`[B, C]` of a regressor stays as it is."""
    answer = reader(LIKELY, roles=Roles()).read([SOME])

    assert answer.predictions.tolist() == SOME.tolist()


def test_flat_output_is_kept() -> None:
    """`[B]` stays `[B]`."""
    spec = TensorSpec("y", "float32", (-1,))

    answer = reader(spec, roles=Roles()).read([np.array([1.0, 2.0], np.float32)])

    assert answer.predictions.tolist() == [1.0, 2.0]


def test_higher_rank_is_kept() -> None:
    """An output of rank 3 stays as it is, also of one channel."""
    spec = TensorSpec("y", "float32", (-1, 1, 2))

    answer = reader(spec, roles=Roles()).read([np.zeros((2, 1, 2), np.float32)])

    assert answer.predictions.shape == (2, 1, 2)


def test_labels_that_lie_across_are_one_a_row() -> None:
    """Some converters write them as `[1, B]`."""
    across = TensorSpec("label", "int64", (1, -1))

    answer = reader(across, LIKELY, roles=BESIDE).read([np.array([[1, 0]]), SOME])

    assert answer.predictions.tolist() == [1, 0]


def test_labels_of_several_classes_a_row_are_kept() -> None:
    """Multi-label: they have no one name a row."""
    several = TensorSpec("label", "int64", (-1, 3))
    roles = Roles(0, 1, is_classifier=True)

    answer = reader(several, LIKELY, roles=roles, class_names=THREE_NAMES).read(
        [np.array([[0, 1, 0]]), SOME[:1]]
    )

    assert answer.predictions.tolist() == [[0, 1, 0]]
    assert answer.labels is None


def test_probabilities_of_each_label_are_given_by_row() -> None:
    """Of `[L, b, 2]`, no and yes of each label, the second: `[b, L]`."""
    several = TensorSpec("label", "int64", (-1, 2))
    apart = TensorSpec("probabilities", "float32", (2, -1, 2))
    likely = np.array([[[0.75, 0.25]] * 3, [[0.5, 0.5]] * 3], np.float32)

    answer = reader(several, apart, roles=Roles(0, 1, by_label=True, is_classifier=True)).read(
        [np.zeros((3, 2), np.int64), likely]
    )

    assert answer.probabilities is not None
    assert answer.probabilities.tolist() == [[0.25, 0.5]] * 3


def test_class_names_name_the_predictions() -> None:
    """Labels 0…C-1 are positions in the class names."""
    answer = reader(LABELS, LIKELY, roles=BESIDE, class_names=THREE_NAMES).read(
        [np.array([2, 0]), SOME]
    )

    assert answer.labels == ["virginica", "setosa"]


def test_booleans_are_the_classes_0_and_1() -> None:
    """A label of type bool is named as well."""
    labels = TensorSpec("label", "bool", (-1,))

    answer = reader(labels, LIKELY, roles=BESIDE, class_names=["no", "yes"]).read(
        [np.array([True, False]), SOME]
    )

    assert answer.predictions.tolist() == [True, False]
    assert answer.labels == ["yes", "no"]


def test_names_are_held_against_the_classes() -> None:
    """A prediction is named by its place among the classes."""
    roles = Roles(0, 1, values=[10, 20, 30], is_classifier=True, has_names=True)
    named = reader(LABELS, LIKELY, roles=roles, class_names=THREE_NAMES)

    answer = named.read([np.array([30, 10]), SOME])

    assert answer.predictions.tolist() == [30, 10]
    assert answer.labels == ["virginica", "setosa"]


def test_string_labels_are_looked_up_in_the_names() -> None:
    """Labels may be strings and still have a name each."""
    roles = Roles(0, 1, values=["a", "b", "c"], is_classifier=True, has_names=True)

    answer = reader(WORDS, LIKELY, roles=roles, class_names=THREE_NAMES).read(
        [words("c", "a"), SOME]
    )

    assert answer.labels == ["virginica", "setosa"]


def test_string_predictions_are_their_own_labels() -> None:
    """Without class names the words of the model are the labels."""
    answer = reader(WORDS, roles=BESIDE).read([words("b", "a"), SOME])

    assert answer.predictions.tolist() == answer.labels == ["b", "a"]


def test_several_strings_a_row_are_no_labels() -> None:
    """`labels` is one word a row, or null."""
    spec = TensorSpec("y", "str", (-1, 2))
    values = np.array([["a", "b"], ["c", "d"]], object)

    answer = reader(spec, roles=Roles()).read([values])

    assert answer.predictions.tolist() == [["a", "b"], ["c", "d"]]
    assert answer.labels is None


def test_no_rows_have_no_labels() -> None:
    """A detector may find nothing: no words, and no error."""
    answer = reader(WORDS, roles=Roles()).read([words()])

    assert answer.predictions.tolist() == answer.labels == []


def test_a_label_that_is_no_class_names_itself() -> None:
    """It is not given the name of another, and changes no other's."""
    answer = reader(LABELS, LIKELY, roles=BESIDE, class_names=THREE_NAMES).read(
        [np.array([2, 3]), SOME]
    )

    assert answer.predictions.tolist() == [2, 3]
    assert answer.labels == ["virginica", "3"]


def test_a_batch_is_cut_into_its_requests() -> None:
    """Each takes its rows of every field."""
    roles = Roles(0, 1, scores=2, is_classifier=True, has_names=True)
    named = reader(LABELS, LIKELY, LIKELY, roles=roles, class_names=THREE_NAMES)
    answer = named.read([np.array([2, 0]), SOME, SOME * 2])

    predictions, likely, scores, labels = answer.as_lists(slice(1, 2))

    assert (predictions, labels) == ([0], ["setosa"])
    assert (likely, scores) == (SOME[1:].tolist(), (SOME[1:] * 2).tolist())


def test_reading_copies_nothing() -> None:
    """Predictions, probabilities and scores are views of the outputs."""
    labels, likely, scores = np.array([1, 0]), SOME.copy(), SOME[:, :1].copy()
    roles = Roles(0, 1, scores=2, is_classifier=True)

    answer = reader(LABELS, LIKELY, COLUMN, roles=roles).read([labels, likely, scores])

    assert np.shares_memory(answer.predictions, labels)
    assert answer.probabilities is not None
    assert np.shares_memory(answer.probabilities, likely)
    assert answer.scores is not None
    assert np.shares_memory(answer.scores, scores)
