"""Which output plays which role, and how an answer is read from them."""

from typing import Any

import numpy as np
import pytest

from app.engine.answer import AnswerReader
from app.engine.tensor import TensorSpec

LABELS = TensorSpec("label", "int64", (-1,))
WORDS = TensorSpec("label", "str", (-1,))
SCORES = TensorSpec("probabilities", "float32", (-1, 3))
COLUMN = TensorSpec("variable", "float32", (-1, 1))
THREE_NAMES = ["setosa", "versicolor", "virginica"]
SOME_SCORES = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]], np.float32)


def reader(
    *outputs: TensorSpec,
    class_names: list[str] | None = None,
    class_labels: list[int | str] | None = None,
    classifier: bool = False,
) -> AnswerReader:
    return AnswerReader(
        outputs, class_names=class_names, class_labels=class_labels, classifier=classifier
    )


def words(*values: str) -> Any:
    return np.array(values, object)


def test_labels_beside_scores_make_a_classifier() -> None:
    """Rule 1: integers beside `[B, C]` floats are the predictions, the floats probabilities."""
    answer = reader(LABELS, SCORES).read([np.array([1, 0]), SOME_SCORES])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is not None
    assert answer.probabilities.tolist() == SOME_SCORES.tolist()
    assert answer.labels is None


def test_order_of_the_outputs_does_not_matter() -> None:
    """Rule 1 goes by dtype and rank, not by position."""
    answer = reader(SCORES, LABELS).read([SOME_SCORES, np.array([2, 2])])

    assert answer.predictions.tolist() == [2, 2]


def test_predictions_are_the_models_own() -> None:
    """Where the model gives labels they are not second-guessed from the probabilities."""
    answer = reader(LABELS, SCORES).read([np.array([0, 2]), SOME_SCORES])

    assert answer.predictions.tolist() == [0, 2]


def test_lone_scores_of_a_classifier_are_read_by_their_maximum() -> None:
    """Rule 2: positions of the largest probability are the predictions."""
    answer = reader(SCORES, classifier=True).read([SOME_SCORES])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is not None


def test_class_names_alone_tell_a_classifier() -> None:
    """Names of classes in the metadata make lone scores probabilities."""
    answer = reader(SCORES, class_names=THREE_NAMES).read([SOME_SCORES])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.labels == ["versicolor", "setosa"]


def test_lone_column_is_flattened() -> None:
    """Rule 3: `[B, 1]` of a regressor is given as `[B]`."""
    answer = reader(COLUMN).read([np.array([[1.5], [2.5]], np.float32)])

    assert answer.predictions.tolist() == [1.5, 2.5]
    assert (answer.probabilities, answer.labels) == (None, None)


def test_several_targets_are_kept() -> None:
    """Rule 3: `[B, C]` of a regressor stays as it is."""
    answer = reader(SCORES).read([SOME_SCORES])

    assert answer.predictions.tolist() == SOME_SCORES.tolist()
    assert answer.probabilities is None


def test_flat_output_is_kept() -> None:
    """Rule 3: `[B]` stays `[B]`."""
    spec = TensorSpec("y", "float32", (-1,))

    answer = reader(spec).read([np.array([1.0, 2.0], np.float32)])

    assert answer.predictions.tolist() == [1.0, 2.0]


def test_higher_rank_is_kept() -> None:
    """Rule 3: an output of rank 3 stays as it is, also of one channel."""
    spec = TensorSpec("y", "float32", (-1, 1, 2))

    answer = reader(spec).read([np.zeros((2, 1, 2), np.float32)])

    assert answer.predictions.shape == (2, 1, 2)


def test_first_output_of_several_is_the_prediction() -> None:
    """Rule 3: with outputs that are no classifier's, the first one answers."""
    second = TensorSpec("spread", "float32", (-1, 1))

    answer = reader(COLUMN, second).read(
        [np.array([[1.0]], np.float32), np.array([[9.0]], np.float32)]
    )

    assert answer.predictions.tolist() == [1.0]


def test_lone_integers_are_predictions_without_probabilities() -> None:
    """A model that gives only labels has no probabilities."""
    answer = reader(LABELS, classifier=True).read([np.array([1, 0])])

    assert answer.predictions.tolist() == [1, 0]
    assert answer.probabilities is None


def test_class_names_name_the_predictions() -> None:
    """Labels 0…C-1 are positions in the class names."""
    answer = reader(LABELS, SCORES, class_names=THREE_NAMES).read([np.array([2, 0]), SOME_SCORES])

    assert answer.labels == ["virginica", "setosa"]


def test_listed_class_labels_are_held_against_the_names() -> None:
    """Where the labels are listed, a prediction is named by its place in that list."""
    names = reader(LABELS, SCORES, class_names=THREE_NAMES, class_labels=[10, 20, 30])

    answer = names.read([np.array([30, 10]), SOME_SCORES])

    assert answer.predictions.tolist() == [30, 10]
    assert answer.labels == ["virginica", "setosa"]


def test_string_labels_are_looked_up_in_the_names() -> None:
    """Labels may be strings and still have a name each."""
    names = reader(WORDS, SCORES, class_names=THREE_NAMES, class_labels=["a", "b", "c"])

    answer = names.read([words("c", "a"), SOME_SCORES])

    assert answer.labels == ["virginica", "setosa"]


def test_string_predictions_are_their_own_labels() -> None:
    """Without class names the words of the model are the labels."""
    answer = reader(WORDS, SCORES).read([words("b", "a"), SOME_SCORES])

    assert answer.predictions.tolist() == answer.labels == ["b", "a"]


def test_strings_without_scores_are_their_own_labels() -> None:
    """A model that gives nothing but words is labelled by them."""
    answer = reader(WORDS).read([words("b", "a")])

    assert answer.predictions.tolist() == answer.labels == ["b", "a"]


def test_label_outside_the_range_is_named_by_its_probability() -> None:
    """A label that has no name takes that of the largest probability, and changes no other's."""
    answer = reader(LABELS, SCORES, class_names=THREE_NAMES).read([np.array([2, 3]), SOME_SCORES])

    assert answer.predictions.tolist() == [2, 3]
    assert answer.labels == ["virginica", "setosa"]


@pytest.mark.parametrize(
    ("outputs", "classifier", "expected"),
    [
        ((LABELS, SCORES), False, True),
        ((WORDS, SCORES), False, True),
        ((SCORES,), True, True),
        ((SCORES,), False, False),
        ((COLUMN,), False, False),
        ((LABELS,), False, False),
    ],
)
def test_classifiers_are_recognised(
    outputs: tuple[TensorSpec, ...], classifier: bool, expected: bool
) -> None:
    """A classifier has probabilities, and labels or metadata that say so."""
    assert reader(*outputs, classifier=classifier).is_classifier is expected


def test_reading_copies_nothing() -> None:
    """Predictions and probabilities are views of the outputs."""
    labels, scores = np.array([1, 0]), SOME_SCORES.copy()

    answer = reader(LABELS, SCORES).read([labels, scores])

    assert np.shares_memory(answer.predictions, labels)
    assert answer.probabilities is not None
    assert np.shares_memory(answer.probabilities, scores)
