"""Which output plays which role: the graph proposes, a run confirms, the metadata decides."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ml_pipeline.engine.graph.report import Meaning
from ml_pipeline.engine.signature.metadata import DeclaredMetadata, OutputNames
from ml_pipeline.engine.signature.roles import Roles, find_roles
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import ModelLoadError

LABEL = Meaning("label", "label", [3, 5, 9])
LIKELY = Meaning("likely", "probability", [3, 5, 9], exclusive=True, decides="label")
SCORES = Meaning("scores", "score", decides="label")
DISTANCES = Meaning("distances", "distance", decides="label")
GATES = Meaning("gates", "probability")
VALUES = Meaning("values")

SHARES = np.array([[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]], np.float32)
TRIALS: dict[str, npt.NDArray[Any]] = {
    "label": np.array([9, 3]),
    "likely": SHARES,
    "scores": SHARES - 7,
    "distances": SHARES * 7,
    "gates": np.array([[0.9, 0.9], [0.1, 0.2]], np.float32),
    "values": np.array([[7.0, -1.0], [0.0, 1.0]], np.float32),
}


def roles(
    *meanings: Meaning,
    trials: dict[str, npt.NDArray[Any]] = TRIALS,
    metadata: DeclaredMetadata | None = None,
) -> Roles:
    """Find the roles of outputs with these meanings, in this order."""
    arrays = [trials[meaning.name] for meaning in meanings]
    specs = tuple(
        TensorSpec(meaning.name, array.dtype.name, (-1, *array.shape[1:]))
        for meaning, array in zip(meanings, arrays, strict=True)
    )
    return find_roles(specs, list(meanings), metadata or DeclaredMetadata(), arrays)


def test_probabilities_go_with_their_label() -> None:
    """Whatever the order of the outputs, and whatever else is a fraction."""
    found = roles(GATES, VALUES, LIKELY, LABEL)

    assert (found.predictions, found.probabilities, found.scores) == (3, 2, None)
    assert found.classes == [3, 5, 9]
    assert found.is_classifier


@pytest.mark.parametrize("numbers", [SCORES, DISTANCES])
def test_scores_and_distances_are_no_probabilities(numbers: Meaning) -> None:
    """They are scores."""
    found = roles(LABEL, numbers)

    assert (found.predictions, found.probabilities, found.scores) == (0, None, 1)


def test_scores_beside_probabilities_are_left_out() -> None:
    """One set of numbers tells how sure a model is; all are given by the other protocol."""
    found = roles(LABEL, SCORES, LIKELY)

    assert (found.probabilities, found.scores) == (2, None)


def test_a_run_that_gives_no_fractions_contradicts_probabilities() -> None:
    """They are scores then, whatever the graph was taken to say."""
    found = roles(LABEL, LIKELY, trials={**TRIALS, "likely": SHARES * 3})

    assert (found.probabilities, found.scores) == (None, 1)


def test_missing_numbers_contradict_nothing() -> None:
    """A row of the trial may be one that the model cannot answer."""
    found = roles(LABEL, LIKELY, trials={**TRIALS, "likely": SHARES * np.nan})

    assert found.probabilities == 1


def test_lone_probabilities_predict_the_largest() -> None:
    """Columns that compete need no label."""
    found = roles(LIKELY)

    assert (found.predictions, found.probabilities) == (None, 0)
    assert found.values == [3, 5, 9]


def test_columns_that_do_not_come_to_one_do_not_compete() -> None:
    """A softmax over something else, put side by side."""
    found = roles(LIKELY, trials={**TRIALS, "likely": SHARES / 2})

    assert (found.predictions, found.probabilities) == (0, 0)


def test_sigmoids_predict_nothing_but_themselves() -> None:
    """Several may be true: the largest is no answer, also where metadata speaks of classes."""
    for metadata in (DeclaredMetadata(), DeclaredMetadata(model_type="classifier")):
        found = roles(GATES, metadata=metadata)

        assert (found.predictions, found.probabilities) == (0, 0)


def test_probabilities_behind_values_are_not_the_answer() -> None:
    """The first output answers; attention, say, is no class."""
    found = roles(VALUES, LIKELY)

    assert (found.predictions, found.probabilities) == (0, None)
    assert not found.is_classifier


@pytest.mark.parametrize(
    "metadata",
    [DeclaredMetadata(model_type="classifier"), DeclaredMetadata(class_names=["a", "b"])],
)
def test_metadata_that_speaks_of_classes_makes_values_scores(metadata: DeclaredMetadata) -> None:
    """The largest predicts, and is not called a probability."""
    found = roles(VALUES, metadata=metadata)

    assert (found.predictions, found.probabilities, found.scores) == (None, None, 0)


def test_metadata_that_speaks_of_classes_finds_the_label() -> None:
    """Integers of which the graph does not tell how they are made; all else stays open."""
    unknown = Meaning("label")

    found = roles(VALUES, unknown, metadata=DeclaredMetadata(class_names=["a", "b"]))

    assert (found.predictions, found.probabilities, found.scores) == (1, None, None)
    assert found.has_names


def test_metadata_that_speaks_of_classes_finds_the_probabilities() -> None:
    """Also behind an embedding."""
    found = roles(VALUES, LIKELY, metadata=DeclaredMetadata(model_type="classifier"))

    assert (found.predictions, found.probabilities) == (None, 1)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (OutputNames(probabilities="gates"), (0, 3, None)),
        (OutputNames(scores="values"), (0, 1, 2)),
        (OutputNames(predictions="values"), (2, None, None)),
        (OutputNames("values", "likely", "gates"), (2, 1, 3)),
    ],
)
def test_metadata_has_the_last_word(outputs: OutputNames, expected: tuple[int | None, ...]) -> None:
    """An output that it names has the role, and leaves the others what they are."""
    found = roles(LABEL, LIKELY, VALUES, GATES, metadata=DeclaredMetadata(outputs=outputs))

    assert (found.predictions, found.probabilities, found.scores) == expected


def test_probabilities_that_only_the_metadata_knows_predict_the_largest() -> None:
    """Where they come to 1 in each row."""
    metadata = DeclaredMetadata(outputs=OutputNames(probabilities="values"))

    found = roles(VALUES, trials={"values": SHARES}, metadata=metadata)

    assert (found.predictions, found.probabilities) == (None, 0)


@pytest.mark.parametrize("role", ["predictions", "probabilities", "scores"])
def test_metadata_names_outputs_that_are_there(role: str) -> None:
    """Else the field is named, what it may be and what it is."""
    metadata = DeclaredMetadata(outputs=OutputNames(**{role: "nowhere"}))

    with pytest.raises(
        ModelLoadError, match=f"outputs.{role}: expected one of label, likely; found nowhere"
    ):
        roles(LABEL, LIKELY, metadata=metadata)


def test_classes_are_counted_by_the_label() -> None:
    """Scores of pairs of classes are more than there are classes."""
    pairs = {**TRIALS, "scores": np.zeros((2, 6), np.float32)}

    found = roles(LABEL, SCORES, trials=pairs, metadata=DeclaredMetadata(class_names=list("abc")))

    assert found.has_names


def test_names_of_another_number_than_the_classes_are_refused() -> None:
    """Though no column counts them."""
    with pytest.raises(ModelLoadError, match="class_names: number of names: expected 3"):
        roles(LABEL, metadata=DeclaredMetadata(class_names=["a", "b"]))


def test_labels_of_which_nobody_lists_the_values_have_no_names() -> None:
    """A name by position would be a guess; metadata may list them."""
    names, unlisted = ["normal", "anomaly"], Meaning("label", "label", [])

    guessed = roles(unlisted, metadata=DeclaredMetadata(class_names=names))
    listed = roles(unlisted, metadata=DeclaredMetadata(class_names=names, output_classes=[9, 3]))

    assert not guessed.has_names
    assert listed.has_names
    assert listed.values == [9, 3]


def test_labels_that_count_from_0_need_no_list() -> None:
    """The graph says so; what the metadata lists are the classes, not what predictions are."""
    counting = Meaning("label", "label")
    metadata = DeclaredMetadata(output_classes=["x", "y", "z"], class_names=["a", "b", "c"])

    found = roles(counting, metadata=metadata)

    assert (found.values, found.classes) == (None, ["x", "y", "z"])
    assert found.has_names


def test_labels_are_listed_in_the_order_of_the_columns() -> None:
    """A ZipMap sorts them; names are in its order."""
    words, shares = Meaning("label", "label", ["b", "a"]), Meaning("likely", "probability",
                                                                   ["a", "b"])  # fmt: skip

    assert roles(words, shares).values == ["a", "b"]


def test_lists_of_classes_and_names_agree() -> None:
    """Also where nothing else is known."""
    metadata = DeclaredMetadata(output_classes=[9, 3], class_names=["a", "b", "c"])

    with pytest.raises(ModelLoadError, match="class_names: number of names: expected 2"):
        roles(Meaning("label", "label", []), metadata=metadata)


def test_without_a_run_the_signature_tells_the_ranks() -> None:
    """A trial that fails leaves what the graph and the file say."""
    specs = (TensorSpec("label", "int64", (-1,)), TensorSpec("likely", "float32", (-1, 3)))

    found = find_roles(specs, [LABEL, LIKELY], DeclaredMetadata(), [])

    assert (found.predictions, found.probabilities) == (0, 1)


def test_a_graph_that_was_not_read_has_no_probabilities() -> None:
    """The first output answers."""
    specs = (TensorSpec("label", "int64", (-1,)), TensorSpec("likely", "float32", (-1, 3)))

    found = find_roles(specs, [], DeclaredMetadata(), [TRIALS["label"], SHARES])

    assert (found.predictions, found.probabilities) == (0, None)
