"""Read a model's outputs as an answer: predictions, probabilities, labels.

Which output plays which role is decided once, at load, from the signature and the metadata:

1. A rank-1 output of integers or strings beside a `[B, C]` float output (or a ZipMap, which
   arrives here as such an array): a classifier; the former are its predictions.
2. Metadata that says classifier, and one `[B, C]` float output alone, C > 1: the predictions are
   the positions of the largest probability.
3. Anything else: the first output is the predictions; `[B, 1]` is flattened to `[B]`.
"""

from typing import Any

import numpy as np

from app.engine.bfloat import widened
from app.engine.tensor import Array, TensorSpec

Cut = tuple[Any, Any, list[str] | None]
"""Predictions, probabilities and labels of one request."""


class Answers:
    """What the clients of one run asked for, before encoding: one entry a row in each.

    A whole batch is read at once, and each request takes its rows out of plain lists, because a
    call of numpy costs about as much for 32 rows as for one.

    Args:
        predictions: `[B, …]`.
        probabilities: `[B, C]`.
        labels: Words, B of them.
    """

    __slots__ = ("_lists", "labels", "predictions", "probabilities")

    def __init__(
        self, predictions: Array, probabilities: Array | None, labels: list[str] | None
    ) -> None:
        self.predictions = predictions
        self.probabilities = probabilities
        self.labels = labels
        self._lists: tuple[Any, list[Any] | None] | None = None

    def as_lists(self, rows: slice | None) -> Cut:
        """Give some rows, or all, as JSON wants them."""
        if self._lists is None:
            scores = self.probabilities
            self._lists = self.predictions.tolist(), None if scores is None else scores.tolist()
        return _cut(*self._lists, self.labels, rows)

    def as_arrays(self, rows: slice | None) -> Cut:
        """Give some rows, or all, as arrays; views."""
        return _cut(self.predictions, self.probabilities, self.labels, rows)


class AnswerReader:
    """Reads outputs in the order of the model's signature.

    Attributes:
        labels_at: Position of the output with the label of each row, or None.
        scores_at: Position of the output with the probabilities `[B, C]`, or None.
        is_classifier: Whether there are probabilities, and something says they are.

    Args:
        outputs: Specs of the outputs; a ZipMap as the float `[B, C]` that the pool makes of it.
        class_names: Name of each class from the metadata, or None.
        class_labels: Label of each class in the order of the probabilities, where known
            (ZipMap keys, or `output_classes` as a list); None means 0…C-1.
        classifier: Whether the metadata calls the model a classifier.
        names_by_position: Name a row by its largest probability instead of its label.
    """

    def __init__(
        self,
        outputs: tuple[TensorSpec, ...],
        *,
        class_names: list[str] | None,
        class_labels: list[int | str] | None,
        classifier: bool,
        names_by_position: bool = False,
    ) -> None:
        self.labels_at = _first(outputs, kinds="iuO", rank=1)
        self.scores_at = _first(outputs, kinds="f", rank=2)
        self._bfloats = [index for index, spec in enumerate(outputs) if spec.dtype == "bfloat16"]
        self.is_classifier = self.scores_at is not None and (
            self.labels_at is not None or classifier or class_names is not None
        )
        self._class_names = class_names
        self._by_position = names_by_position
        # Positions are 0…C-1 whatever the labels are called.
        labels = class_labels if self.labels_at is not None else None
        self._names = None if names_by_position else _names_by_label(class_names, labels)

    def read(self, outputs: list[Array]) -> Answers:
        """Pick the answers out of the outputs of a run, `[B, …]` each. Views, no copy."""
        if self._bfloats:
            outputs = [widened(o) if i in self._bfloats else o for i, o in enumerate(outputs)]
        if not self.is_classifier or self.scores_at is None or self._is_lone_score(outputs):
            values = outputs[0]
            flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
            return Answers(flat, None, flat.tolist() if flat.dtype.hasobject else None)
        scores = outputs[self.scores_at]
        if self.labels_at is None:
            predictions = np.argmax(scores, axis=1)
        else:
            predictions = outputs[self.labels_at]
        return Answers(predictions, scores, self._label(predictions.tolist(), scores))

    def _is_lone_score(self, outputs: list[Array]) -> bool:
        """One column and no labels, such as a sigmoid: its largest position would say nothing."""
        assert self.scores_at is not None
        return self.labels_at is None and outputs[self.scores_at].shape[1:] == (1,)

    def _label(self, predictions: list[int | str], scores: Array) -> list[str] | None:
        class_names, names = self._class_names, self._names
        if class_names is None:
            return [str(label) for label in predictions] if _are_words(predictions) else None
        if names is not None:
            try:
                return list(map(names.__getitem__, predictions))
            except KeyError:  # a label outside 0…C-1: its row alone is named by its position
                pass
        by_position = [class_names[position] for position in np.argmax(scores, axis=1)]
        rows = zip(predictions, by_position, strict=True)
        return [(names or {}).get(label, otherwise) for label, otherwise in rows]


def labels_are_positions(labels: Array, scores: Array) -> bool:
    """Tell from trial rows whether integer labels count the classes from 0.

    Then each label equals the position of the largest probability, in some of its rows at least:
    an SVC's probabilities may disagree with its labels now and then. Labels 1, 2, 3 never agree.
    """
    if labels.dtype.hasobject:
        return True
    agree = labels == np.argmax(scores, axis=1)
    return all(bool(np.any(agree[labels == label])) for label in np.unique(labels))


def _cut(predictions: Any, probabilities: Any, labels: list[str] | None, rows: slice | None) -> Cut:
    if rows is None:
        return predictions, probabilities, labels
    return (
        predictions[rows],
        None if probabilities is None else probabilities[rows],
        None if labels is None else labels[rows],
    )


def _first(outputs: tuple[TensorSpec, ...], *, kinds: str, rank: int) -> int | None:
    for index, output in enumerate(outputs):
        kind = "f" if output.dtype == "bfloat16" else output.numpy_dtype.kind
        if kind in kinds and len(output.shape) == rank:
            return index
    return None


def _names_by_label(
    class_names: list[str] | None, class_labels: list[int | str] | None
) -> dict[int | str, str] | None:
    if class_names is None:
        return None
    labels: list[int | str] = class_labels or list(range(len(class_names)))
    return dict(zip(labels, class_names, strict=True))


def _are_words(predictions: list[int | str]) -> bool:
    return bool(predictions) and isinstance(predictions[0], str)
