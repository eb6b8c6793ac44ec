"""What loaded models answer where shapes would mislead; converted models are `tests/families`."""

import json

import numpy as np
import onnx
import pytest

from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.errors import ModelLoadError
from tests import models
from tests.conftest import LoadModel, Serve, WriteModel
from tests.models import (
    found_model,
    labelled_model,
    nearest_model,
    pairs_model,
    reference,
)

ROWS = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32) * 3

wire_formats = pytest.mark.parametrize("wire_format", WireFormat, ids=lambda form: form.name)


async def test_distances_are_scores_and_name_the_nearest(
    write_model: WriteModel, serve: Serve
) -> None:
    """Of clusters the least distance is the answer, not the largest."""
    names = ["north", "east", "south"]
    served = await serve(write_model(nearest_model(), class_names=names))

    reply = await served.ask([[1.0, 0.0], [0.0, 8.0]])

    assert reply.answer["labels"] == ["north", "south"]
    assert reply.answer["probabilities"] is None
    np.testing.assert_allclose(
        reply.answer["scores"], [[1, 899, 82**0.5], [8, 900.03555, 1]], rtol=1e-5
    )


async def test_scores_of_pairs_of_classes_do_not_count_the_classes(
    write_model: WriteModel, serve: Serve
) -> None:
    """Six scores, four classes with a name each, and the label is the model's own."""
    path = write_model(pairs_model(), class_names=list("abcd"))
    labels, scores = reference(path, {"x": ROWS})
    served = await serve(path)

    reply = await served.ask(ROWS)

    assert reply.answer["labels"] == ["abcd"[label] for label in labels]
    assert reply.answer["probabilities"] is None
    np.testing.assert_allclose(reply.answer["scores"], scores, atol=1e-5)


@wire_formats
@pytest.mark.parametrize(("bright", "places"), [([0.0] * 4, []), ([0.9, 0.0, 0.9, 0.9], [0, 2, 3])])
async def test_a_detector_answers_whatever_it_finds(
    bright: list[float],
    places: list[int],
    wire_format: WireFormat,
    write_model: WriteModel,
    serve: Serve,
) -> None:
    """Boxes are no probabilities, and their number is not that of the rows, nothing included."""
    served = await serve(write_model(found_model(), class_names=["a", "b", "c", "d"]))

    reply = await served.ask(np.array([bright], np.float32), wire_format=wire_format)

    assert reply.predictions.tolist() == places
    assert reply.answer["labels"] == ["abcd"[place] for place in places]
    assert reply.answer["probabilities"] is None


async def test_a_detector_that_finds_nothing_harms_no_other(
    write_model: WriteModel, serve: Serve
) -> None:
    """Each member of a batch has its own answer."""
    served = await serve(write_model(found_model()))

    results, _ = await served.ask_batch([{"data": [[0.0] * 4]}, {"data": [[0.0, 0.9, 0.0, 0.0]]}])

    assert [result["predictions"] for result in results] == [[], [[1.0, 2.0, 300.0, 400.0]]]


async def test_outputs_without_a_shape_are_read_by_the_graph(
    write_model: WriteModel, serve: Serve
) -> None:
    """The file says nothing of their dimensions; the operators do."""
    model = onnx.load_from_string(labelled_model())
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    path = write_model(model.SerializeToString(), class_names=["low", "middle", "high"])
    expected = reference(path, {"x": ROWS})
    served = await serve(path)

    reply = await served.ask(ROWS)

    np.testing.assert_allclose(reply.probabilities, expected[1], atol=1e-5)
    assert reply.answer["labels"] == [["low", "middle", "high"][label] for label in expected[0]]


async def test_metadata_may_name_the_outputs(write_model: WriteModel, serve: Serve) -> None:
    """It wins over the graph."""
    outputs = {"predictions": "label", "scores": "embedding", "probabilities": "probabilities"}
    path = write_model(labelled_model(), outputs=outputs)
    expected = reference(path, {"x": ROWS})
    served = await serve(path)

    reply = await served.ask(ROWS)

    np.testing.assert_allclose(reply.answer["scores"], expected[2], rtol=1e-5)
    np.testing.assert_allclose(reply.probabilities, expected[1], atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"scores": "nowhere"}, "outputs.scores: expected one of label, probabilities, embedding"),
        ({"labels": "label"}, "unknown field `labels`"),
        ({"scores": 2}, "Expected `str | null`, got `int`"),
        (["label"], "Expected `object`, got `array`"),
    ],
)
def test_outputs_that_metadata_cannot_name(
    outputs: object, told: str, write_model: WriteModel, load: LoadModel
) -> None:
    """The field is told, what is expected and what was found."""
    path = write_model(labelled_model())
    path.with_suffix(".json").write_text(json.dumps({"outputs": outputs}))

    with pytest.raises(ModelLoadError, match=told):
        load(path)


def test_names_of_classes_for_a_lone_number_are_refused(
    write_model: WriteModel, load: LoadModel
) -> None:
    """One sigmoid says how likely a class is, and no row would ever be given a name."""
    model = models.graph(
        [
            models.node("MatMul", ["x", "weights"], ["z"]),
            models.node("Sigmoid", ["z"], ["y"]),
        ],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 1])],
        weights=np.ones((3, 1), np.float32),
    )

    with pytest.raises(ModelLoadError, match="class_names: number of names: expected 1"):
        load(write_model(model, class_names=["no", "yes"]))
