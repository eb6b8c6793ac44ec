"""A sort of the rows that is undone, as PyTorch packs sequences, leaves rows apart."""

import numpy as np
import onnx
import pytest

from ml_pipeline.engine.graph.batch_axis import judge
from tests import models
from tests.models import node, reference

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.standard_normal((6, 4, 2)).astype(np.float32)
LENGTHS = np.array([2, 4, 1, 3, 4, 2])


def packed(*, undone: bool = True, inverse: str = "scatter") -> bytes:
    """Sort rows by their lengths, run a GRU over them, and put its last states back."""
    weights = {
        "weights": RANDOM.standard_normal((1, 9, 2)).astype(np.float32),
        "recurrence": RANDOM.standard_normal((1, 9, 3)).astype(np.float32),
        "first": np.array(0),
        "one": np.array(1),
        "zeroth": np.array([0]),
    }
    put_back = {
        "scatter": [
            node("Range", ["first", "count", "one"], ["places"]),
            node(
                "ConstantOfShape",
                ["counts"],
                ["zeros"],
                value=onnx.helper.make_tensor("zero", onnx.TensorProto.INT64, [1], [0]),
            ),
            node("ScatterElements", ["zeros", "order", "places"], ["back"], axis=0),
        ],
        "sort": [node("TopK", ["order", "counts"], ["numbers", "back"], axis=0, largest=0)],
    }
    nodes = [
        node("Shape", ["lengths"], ["counts"]),
        node("Squeeze", ["counts", "zeroth"], ["count"]),
        node("TopK", ["lengths", "counts"], ["longest", "order"], axis=0),
        node("Gather", ["x", "order"], ["sorted"], axis=0),
        node("Transpose", ["sorted"], ["by_time"], perm=[1, 0, 2]),
        node("Cast", ["longest"], ["sizes"], to=onnx.TensorProto.INT32),
        node(
            "GRU",
            ["by_time", "weights", "recurrence", "", "sizes"],
            ["", "last"],
            hidden_size=3,
        ),
        node("Squeeze", ["last", "zeroth"], ["states"]),
        *put_back[inverse],
        node("Gather", ["states", "back" if undone else "order"], ["y"], axis=0),
    ]
    return models.graph(
        nodes,
        [models.tensor("x", "float32", ["n", 4, 2]), models.tensor("lengths", "int64", ["n"])],
        [models.tensor("y", "float32", ["n", 3])],
        **weights,
    )


@pytest.mark.parametrize("inverse", ["scatter", "sort"])
def test_a_sort_that_is_undone_leaves_rows_apart(inverse: str) -> None:
    """Together they are what they are apart, and the graph says so."""
    model = packed(inverse=inverse)
    together = reference(model, {"x": ROWS, "lengths": LENGTHS})[0]
    apart = [
        reference(model, {"x": ROWS[i : i + 1], "lengths": LENGTHS[i : i + 1]})[0] for i in range(6)
    ]

    assert judge(onnx.load_from_string(model)).verdict == "independent"
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-5)


def test_a_sort_that_is_not_undone_couples_rows() -> None:
    """Sorted once more, rows are in nobody's order."""
    found = judge(onnx.load_from_string(packed(undone=False)))

    assert found.verdict == "coupled"
    assert "Gather" in found.node


def test_rows_that_stay_sorted_couple() -> None:
    """An output in another order has other rows' answers."""
    model = models.graph(
        [
            node("Shape", ["x"], ["count"]),
            node("TopK", ["x", "count"], ["y", "order"], axis=0),
        ],
        [models.tensor("x", "float32", ["n"])],
        [models.tensor("y", "float32", ["n"])],
    )

    found = judge(onnx.load_from_string(model))

    assert (found.verdict, found.reason) == ("coupled", "output y has the rows in another order")
