"""The classifiers of ai.onnx.ml: their classes, and whether their scores are probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, numpy_helper

from ml_pipeline.engine.graph.facts import Fact
from ml_pipeline.engine.graph.nodes import attribute, title
from ml_pipeline.engine.graph.report import Classes

TOLERANCE = 1e-3
"""By which the leaves of a forest may miss 1: they are float32, and there are many trees."""


def classes_of(node: NodeProto) -> Classes | None:
    """List the classes of a classifier or a ZipMap, in the order of the attribute."""
    for kind in ("ints", "int64s", "strings"):
        if labels := attribute(node, f"classlabels_{kind}"):
            return list(labels)
    return None


def label_and_scores(node: NodeProto) -> tuple[Fact, Fact]:
    """Tell what the two outputs of a classifier are."""
    classes, name = classes_of(node), title(node)
    label = Fact("label", name, classes, decided_by=node.output[1])
    if _gives_probabilities(node, len(classes or [])):
        softmax = attribute(node, "post_transform", "NONE").startswith("SOFTMAX")
        one_of = softmax or node.op_type != "LinearClassifier" or len(classes or []) == 2
        return label, Fact("probability", name, classes, exclusive=one_of, mass=1.0)
    # Scores of an SVM are by pair of classes, and those of two classes stand the other way round.
    by_class = node.op_type != "SVMClassifier"
    return label, Fact("score", name, classes if by_class else None, exclusive=by_class)


def _gives_probabilities(node: NodeProto, num_classes: int) -> bool:
    if node.op_type == "SVMClassifier":
        return bool(attribute(node, "prob_a"))
    if attribute(node, "post_transform", "NONE") != "NONE":
        return True
    return node.op_type == "TreeEnsembleClassifier" and _leaves_are_shares(node, num_classes)


def _leaves_are_shares(node: NodeProto, num_classes: int) -> bool:
    """Whether a leaf holds shares of the classes, which over all trees come to 1: a forest does.

    A boosted model without a transformation has the same operator, and gives margins. Of two
    classes the second may be left out: ONNX Runtime makes it 1 minus the first.
    """
    weights = _numbers(node, "class_weights")
    if np.any(_numbers(node, "base_values") != 0) or not weights.size or np.any(weights < 0):
        return False
    trees = _numbers(node, "class_treeids")
    leaf = np.stack([trees, _numbers(node, "class_nodeids")])
    leaves, place = np.unique(leaf, axis=1, return_inverse=True)
    by_leaf = np.bincount(place.ravel(), weights)
    _, tree = np.unique(leaves[0], return_inverse=True)
    largest = np.zeros(tree.max() + 1)
    np.maximum.at(largest, tree.ravel(), by_leaf)
    if num_classes == 2 and len(np.unique(_numbers(node, "class_ids"))) == 1:
        return bool(largest.sum() <= 1 + TOLERANCE)
    least = np.full(len(largest), np.inf)
    np.minimum.at(least, tree.ravel(), by_leaf)
    return bool(abs(least.sum() - 1) < TOLERANCE and abs(largest.sum() - 1) < TOLERANCE)


def _numbers(node: NodeProto, name: str) -> npt.NDArray[Any]:
    tensor = attribute(node, f"{name}_as_tensor")  # of numbers that float32 is too coarse for
    values = attribute(node, name, []) if tensor is None else numpy_helper.to_array(tensor)
    return np.asarray(values, np.float64)
