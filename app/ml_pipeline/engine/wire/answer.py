"""Read a model's outputs as an answer: predictions, probabilities, scores, labels.

Which output plays which role is decided once, at load (`roles.py`).
"""

from typing import Any

import numpy as np

from ml_pipeline.engine.graph.report import Classes, Meaning
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.bfloat import widened
from ml_pipeline.engine.signature.metadata import DeclaredMetadata
from ml_pipeline.engine.signature.roles import ACROSS, Roles, find_roles
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.engine.wire.json_pieces import is_heavy_answer
from ml_pipeline.errors import RunRefused

Cut = tuple[Any, Any, Any, list[str] | None]
"""Predictions, probabilities, scores and labels of one request."""


class Answers:
    """What the clients of one run asked for, before encoding: one entry a row in each.

    A whole batch is read at once, and each request takes its rows out of plain lists, because a
    call of numpy costs about as much for 32 rows as for one.

    Args:
        predictions: `[B, …]`.
        probabilities: `[B, C]`.
        scores: `[B, …]`.
        labels: Words, B of them.
    """

    __slots__ = ("_lists", "labels", "predictions", "probabilities", "scores")

    def __init__(
        self,
        predictions: Array,
        probabilities: Array | None,
        scores: Array | None,
        labels: list[str] | None,
    ) -> None:
        self.predictions = predictions
        self.probabilities = probabilities
        self.scores = scores
        self.labels = labels
        self._lists: tuple[Any, list[Any] | None, list[Any] | None] | None = None

    def as_lists(self, rows: slice | None) -> Cut:
        """Give some rows, or all, as JSON wants them."""
        if self._lists is None:
            if rows is not None and self._is_heavy:  # no request takes others' time
                predictions, likely, scores, labels = self.as_arrays(rows)
                return predictions.tolist(), _listed(likely), _listed(scores), labels
            likely, scores = self.probabilities, self.scores
            self._lists = (
                self.predictions.tolist(),
                _listed(likely),
                _listed(scores),
            )
        return _cut(*self._lists, self.labels, rows)

    @property
    def _is_heavy(self) -> bool:
        arrays = (self.predictions, self.probabilities, self.scores)
        return is_heavy_answer([array for array in arrays if array is not None])

    def as_arrays(self, rows: slice | None) -> Cut:
        """Give some rows, or all, as arrays; views."""
        return _cut(self.predictions, self.probabilities, self.scores, self.labels, rows)


class AnswerReader:
    """Reads outputs in the order of the model's signature.

    Args:
        outputs: Specs of the outputs; a ZipMap as the float `[B, C]` that the pool makes of it.
        roles: Which of them is what.
        class_names: Name of each class, in the order of the columns; None if they have none.
    """

    def __init__(
        self, outputs: tuple[TensorSpec, ...], roles: Roles, class_names: list[str] | None
    ) -> None:
        self.roles = roles
        self._bfloats = [index for index, spec in enumerate(outputs) if spec.dtype == "bfloat16"]
        place = roles.predictions
        self._places = place, roles.probabilities, roles.scores
        self._by_label = roles.by_label
        self._across = place is not None and outputs[place].shape == ACROSS
        self._chosen = roles.probabilities if roles.probabilities is not None else roles.scores
        self._values = None if roles.values is None else _as_array(roles.values)
        self._names = None
        if class_names is not None and roles.has_names:
            labels = roles.values or list(range(len(class_names)))
            self._names = dict(zip(labels, class_names, strict=True))

    def read(self, outputs: list[Array]) -> Answers:
        """Pick the answers out of the outputs of a run, `[B, …]` each. Views, no copy."""
        if self._bfloats:
            outputs = [widened(o) if i in self._bfloats else o for i, o in enumerate(outputs)]
        place, likely_place, scores_place = self._places
        if place is None:
            return self._by_largest(outputs)
        predictions = outputs[place]
        if predictions.ndim == 2:
            predictions = _flat(predictions, across=self._across)
        likely = None if likely_place is None else outputs[likely_place]
        if self._by_label and likely is not None:
            likely = likely[:, :, 1].T
        scores = None if scores_place is None else _flat(outputs[scores_place])
        return Answers(predictions, likely, scores, self._label(predictions))

    def _by_largest(self, outputs: list[Array]) -> Answers:
        """Predict the largest column; a run may have given no columns to compare."""
        assert self._chosen is not None
        columns = outputs[self._chosen]
        if columns.ndim != 2 or columns.shape[1] < 2:
            return Answers(_flat(columns), None, None, None)
        predictions: Array = np.argmax(columns, axis=1)
        if self._values is not None:
            predictions = self._values[predictions]
        _, likely, scores = self._places
        return Answers(
            predictions,
            None if likely is None else outputs[likely],
            None if scores is None else outputs[scores],
            self._label(predictions),
        )

    def _label(self, predictions: Array) -> list[str] | None:
        """Name each row's class: as the metadata does, or by words that the model gives."""
        if predictions.ndim != 1:
            return None
        names = self._names
        if names is not None:
            values = predictions.tolist()
            try:
                return list(map(names.__getitem__, values))
            except KeyError:  # a label that is no class: it names itself, and changes no other's
                return [names.get(value, str(value)) for value in values]
        return predictions.tolist() if predictions.dtype.hasobject else None


def open_reader(
    pool: SessionPool, sample: Tensors, meanings: list[Meaning], metadata: DeclaredMetadata
) -> AnswerReader:
    """Tell the roles of a model's outputs from the graph, the metadata and one run.

    Raises:
        ModelLoadError: The metadata contradicts the file.
    """
    outputs = pool.sessions[0].outputs
    try:
        arrays = pool.run(sample)
    except RunRefused:  # the trial of batching will say so
        arrays = []
    trial = [
        widened(a) if s.dtype == "bfloat16" else a for a, s in zip(arrays, outputs, strict=False)
    ]
    return AnswerReader(
        outputs, find_roles(outputs, meanings, metadata, trial), metadata.class_names
    )


def _flat(values: Array, *, across: bool = False) -> Array:
    """Give one value a row as `[B]`, where it came as `[B, 1]`, or as `[1, B]` if they lie across.

    A view.
    """
    if values.ndim != 2 or not (values.shape[1] == 1 or (across and len(values) == 1)):
        return values
    flat: Array = values.reshape(-1)
    return flat


def _listed(array: Array | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def _as_array(values: Classes) -> Array:
    words = any(isinstance(each, str) for each in values)
    array: Array = np.array(values, object if words else np.int64)
    return array


def _cut(
    predictions: Any, probabilities: Any, scores: Any, labels: list[str] | None, rows: slice | None
) -> Cut:
    if rows is None:
        return predictions, probabilities, scores, labels
    return (
        predictions[rows],
        None if probabilities is None else probabilities[rows],
        None if scores is None else scores[rows],
        None if labels is None else labels[rows],
    )
