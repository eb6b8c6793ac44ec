"""Which output of a model plays which role in an answer. Decided once, at load.

The graph tells what each output is (`graph/meanings.py`), a trial run confirms it, and the metadata
has the last word:

1. Outputs that the metadata names.
2. A label is the predictions; the probabilities, or else the scores or distances, that it was made
   of stand beside it.
3. Without a label the first output answers. Where its columns compete, as those of a softmax do,
   the largest is the prediction. Metadata that speaks of classes says so of any `[b, C]` output,
   unless one of integers or words is there to be the label.

What nothing tells to be probabilities is never called so.
"""

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ml_pipeline.engine.graph.report import Classes, Kind, Meaning
from ml_pipeline.engine.signature.metadata import DeclaredMetadata, check_classes, find_output
from ml_pipeline.engine.signature.tensor import Array, TensorSpec

TOLERANCE = 0.02
"""By which probabilities may miss 0, 1 and their sum: those of int8 are in steps of 1/256."""

ACROSS = (1, -1)
"""Shape of labels that lie along the second axis, as some converters write them."""


class Roles(Struct, frozen=True):
    """Places of outputs in the order of the signature, and what their columns are called.

    Attributes:
        predictions: None where the largest of the probabilities or scores predicts.
        probabilities: `[b, C]`; None if there are none.
        by_label: Whether they come as `[L, b, 2]` instead: of each of several labels, no and yes.
        scores: Numbers by which a class is chosen and which are no probabilities; likewise.
        scores_by_class: Whether each column of the scores is one class's.
        classes: The label of each class, in the order of the columns; None if nothing tells.
        values: What predictions are, class by class; None where they count from 0.
        is_classifier: Whether predictions are classes.
        has_names: Whether each row has one of those values, and may be given its name.
    """

    predictions: int | None = 0
    probabilities: int | None = None
    by_label: bool = False
    scores: int | None = None
    scores_by_class: bool = False
    classes: Classes | None = None
    values: Classes | None = None
    is_classifier: bool = False
    has_names: bool = False


class Candidate(Struct, frozen=True):
    """One output, as far as graph and trial tell.

    Attributes:
        place: In the order of the signature.
        spec: As the signature has it.
        meaning: As the graph has it.
        rank: Number of dimensions.
        columns: Size of the second of two dimensions, -1 = any; 1 of one dimension, else 0.
        comes_to_one: Whether the columns of each row do.
    """

    place: int
    spec: TensorSpec
    meaning: Meaning
    rank: int
    columns: int
    comes_to_one: bool

    @property
    def kind(self) -> Kind:
        """What it is."""
        return self.meaning.kind

    @property
    def is_table(self) -> bool:
        """Whether it is `[b, C]` of floats, C > 1."""
        is_float = self.spec.dtype == "bfloat16" or self.spec.numpy_dtype.kind == "f"
        return is_float and self.rank == 2 and self.columns != 1

    def lies_by_label(self, num_labels: int) -> bool:
        """Whether it is `[L, b, 2]`, as scikit-learn's forests of several labels are converted."""
        return self.rank == 3 and self.spec.shape == (num_labels, -1, 2)


def find_roles(
    outputs: tuple[TensorSpec, ...],
    meanings: list[Meaning],
    metadata: DeclaredMetadata,
    trial: list[Array],
) -> Roles:
    """Give each role its output.

    Args:
        outputs: Specs; a ZipMap as the float `[B, C]` that the pool makes of it.
        meanings: What the graph says, by name of the output.
        metadata: What is said beside it.
        trial: Outputs of one run, of which bfloat16 is widened; none where it failed.

    Raises:
        ModelLoadError: The metadata names an output that is not there, or contradicts the classes.
    """
    told = {meaning.name: meaning for meaning in meanings}
    candidates = [
        _candidate(place, spec, told.get(spec.name, Meaning(spec.name)), trial)
        for place, spec in enumerate(outputs)
    ]
    named = metadata.outputs
    label = find_output(outputs, "predictions", named.predictions)
    probabilities = find_output(outputs, "probabilities", named.probabilities)
    scores = find_output(outputs, "scores", named.scores)
    if label is None:
        label = next((c.place for c in candidates if c.kind == "label" and 1 <= c.rank <= 2), None)
    if label is None and metadata.is_classifier:  # of which the graph does not tell how it is made
        label = next((c.place for c in candidates if _is_one_a_row(c)), None)
    if label is not None:
        roles = _beside_a_label(candidates, label, probabilities, scores)
    else:
        roles = _without_a_label(candidates, metadata.is_classifier, probabilities, scores)
    return _with_classes(roles, candidates, metadata)


def _candidate(place: int, spec: TensorSpec, meaning: Meaning, trial: list[Array]) -> Candidate:
    """Hold what the graph says of an output against one run."""
    shape, comes_to_one = spec.shape, True
    if trial:
        array, shape = trial[place], trial[place].shape
        comes_to_one = _comes_to_one(array)
        if meaning.kind == "probability" and not _are_fractions(array):
            meaning = replace(meaning, kind="score")
        elif meaning.kind == "probability" and not comes_to_one:
            meaning = replace(meaning, exclusive=False)
    columns = shape[1] if len(shape) == 2 else int(len(shape) == 1)
    return Candidate(place, spec, meaning, len(shape), columns, comes_to_one)


def _are_fractions(array: Array) -> bool:
    """Whether all values lie between 0 and 1; NaN is as good as any."""
    if array.dtype.kind != "f":
        return False
    return not np.any((array < -TOLERANCE) | (array > 1 + TOLERANCE))


def _comes_to_one(array: Array) -> bool:
    if array.ndim != 2 or array.dtype.kind != "f":
        return False
    return not np.any(np.abs(array.sum(axis=1, dtype=np.float64) - 1) > TOLERANCE)


def _beside_a_label(
    candidates: list[Candidate], label: int, probabilities: int | None, scores: int | None
) -> Roles:
    """Find what a label was made of; what else an output that is no label has beside it is open."""
    if candidates[label].kind != "label":
        return Roles(label, probabilities, scores=scores)
    name = candidates[label].spec.name
    others = [each for each in candidates if each.meaning.decides == name]
    others += [each for each in candidates if not each.meaning.decides and each.place != label]
    num_labels = candidates[label].columns
    if probabilities is None:
        fractions = [each for each in others if each.kind == "probability"]
        for each in fractions:
            if each.lies_by_label(num_labels):
                return Roles(label, each.place, by_label=True, is_classifier=True)
        probabilities = next((each.place for each in fractions if each.is_table), None)
    if scores is None and probabilities is None:
        numbers = (each for each in others if each.kind in ("score", "distance"))
        scores = next((each.place for each in numbers if 1 <= each.rank <= 2), None)
    return Roles(label, probabilities, scores=scores, is_classifier=True)


def _without_a_label(
    candidates: list[Candidate], is_classifier: bool, probabilities: int | None, scores: int | None
) -> Roles:
    """Read the first output, or the one that the metadata names or must mean."""
    place = probabilities if probabilities is not None else scores
    if place is None:
        tables = [each for each in candidates if each.is_table] if is_classifier else []
        tables.sort(key=lambda each: each.kind != "probability")  # those first
        place = tables[0].place if tables else 0
    chosen = candidates[place]
    competes = chosen.meaning.exclusive or (is_classifier and chosen.kind != "probability")
    if chosen.is_table:
        competes |= probabilities is not None and chosen.comes_to_one
        if probabilities is None and chosen.kind == "probability":
            probabilities = place
        if competes:
            scores = place if probabilities is None else scores
            return Roles(None, probabilities, scores=scores, is_classifier=True)
    return Roles(0, probabilities, scores=scores, is_classifier=probabilities is not None)


def _with_classes(roles: Roles, candidates: list[Candidate], metadata: DeclaredMetadata) -> Roles:
    """Find the classes, hold them against the metadata, and tell whether predictions have names."""
    place = roles.probabilities if roles.probabilities is not None else roles.scores
    columns = None if place is None else candidates[place]
    known = None if columns is None else columns.meaning.classes
    values, has_names = known, True
    if roles.predictions is not None:
        predictions = candidates[roles.predictions]
        values = _values(predictions, known, metadata.class_labels)
        known = known or predictions.meaning.classes or None
        has_names = _is_one_a_row(predictions) and values != []
        if predictions.columns == 1 and not has_names and values != []:  # a number has no name
            check_classes(metadata, 1)
    classes = known or metadata.class_labels
    width = columns.columns if columns is not None and roles.is_classifier else 0
    counts = (len(known or ()), width if width > 1 else 0, len(classes or ()))
    check_classes(metadata, next(filter(None, counts), None), known)
    return replace(
        roles,
        scores_by_class=roles.scores is not None and candidates[roles.scores].meaning.by_class,
        classes=classes,
        values=values,
        has_names=has_names,
    )


def _values(
    predictions: Candidate, of_columns: Classes | None, listed: Classes | None
) -> Classes | None:
    """List what predictions are, in the order of the columns; none if nobody knows."""
    classes = predictions.meaning.classes
    if predictions.kind != "label":
        return listed
    if classes == []:
        return listed or []
    if classes is not None and of_columns is not None and set(classes) == set(of_columns):
        return of_columns
    return classes


def _is_one_a_row(predictions: Candidate) -> bool:
    """Whether each row has one prediction that may be a class."""
    if predictions.kind != "label" and predictions.spec.numpy_dtype.kind == "f":
        return False
    return predictions.columns == 1 or predictions.spec.shape == ACROSS
