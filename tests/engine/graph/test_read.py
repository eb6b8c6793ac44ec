"""What is random, what is unbounded and what lies in other files, wherever it stands in a graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from ml_pipeline.engine.graph.nodes import STEP_BYTES, load
from ml_pipeline.engine.graph.read import read_graph, report
from ml_pipeline.engine.graph.report import GraphReport
from tests import models


def read(model: bytes) -> GraphReport:
    """Report of a file's bytes."""
    return report(onnx.load_from_string(model))


def noisy(*, dropout: bytes = b"") -> bytes:
    """Give a model that draws numbers in one branch alone."""
    drawn = helper.make_tensor_value_info("drawn", TensorProto.FLOAT, None)
    then = models.node("RandomNormal", [], ["drawn"], shape=[1], name="noise")
    other = models.node("Identity", ["zero"], ["drawn"])
    branches = {
        "then_branch": helper.make_graph([then], "then", [], [drawn]),
        "else_branch": helper.make_graph([other], "else", [], [drawn]),
    }
    return models.graph(
        [
            models.node("If", ["yes"], ["chosen"], **branches),
            models.node("Add", ["x", "chosen"], ["y"]),
        ],
        [models.tensor("x", "float32", [None, 1])],
        [models.tensor("y", "float32", [None, 1])],
        zero=np.zeros(1, np.float32),
        yes=np.array(True),
    )


def with_function() -> bytes:
    """Give a model whose one function draws, as exporters of PyTorch write it."""
    opsets = [helper.make_opsetid("", 21)]
    noise = helper.make_function(
        "pkg.torch",
        "Noise",
        ["a"],
        ["b"],
        [
            helper.make_node("RandomNormalLike", ["a"], ["r"]),
            helper.make_node("Add", ["a", "r"], ["b"]),
        ],
        opsets,
    )
    graph = helper.make_graph(
        [helper.make_node("Noise", ["x"], ["y"], domain="pkg.torch")],
        "g",
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 3])],
    )
    opsets.append(helper.make_opsetid("pkg.torch", 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[noise])
    return bytes(model.SerializeToString())


def dropout(training: bool | None) -> bytes:
    """Give a model whose only node is a Dropout."""
    constants = {"ratio": np.array(0.5, np.float32)}
    operands = ["x", "ratio"]
    if training is not None:
        constants["training"] = np.array(training)
        operands.append("training")
    return models.graph(
        [models.node("Dropout", operands, ["y"])],
        [models.tensor("x", "float32", [None, 8])],
        [models.tensor("y", "float32", [None, 8])],
        **constants,
    )


def batch_normalisation(*, training: bool) -> bytes:
    """Give a model whose only node normalises, in training as PyTorch exports it."""
    outputs = ["y", "new_mean", "new_variance"] if training else ["y"]
    operands = ["x", "scale", "bias", "mean", "variance"]
    switch = {"training_mode": 1} if training else {}
    return models.graph(
        [models.node("BatchNormalization", operands, outputs, **switch)],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 3])],
        scale=np.ones(3, np.float32),
        bias=np.zeros(3, np.float32),
        mean=np.zeros(3, np.float32),
        variance=np.ones(3, np.float32),
    )


draws: list[Any] = [
    pytest.param(models.random_model(), "RandomNormalLike", id="top"),
    pytest.param(noisy(), "RandomNormal noise", id="branch"),
    pytest.param(with_function(), "RandomNormalLike", id="function"),
    pytest.param(dropout(training=True), "Dropout y", id="training"),
]


@pytest.mark.parametrize(("model", "node"), draws)
def test_a_random_draw_is_found(model: bytes, node: str) -> None:
    """At the top, in a branch, in a function, and in a Dropout that trains."""
    assert read(model).random.startswith(node)


@pytest.mark.parametrize("training", [None, False])
def test_a_dropout_at_rest_draws_nothing(training: bool | None) -> None:
    """Which is how models are exported."""
    assert read(dropout(training)).random == ""


def test_a_normalisation_in_training_counts_as_drawn() -> None:
    """ONNX Runtime answers the same rows otherwise each time: it goes on from the last averages."""
    training = batch_normalisation(training=True)
    session = ort.InferenceSession(training)
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    first, second = (session.run(None, {"x": rows})[0] for _ in range(2))

    assert not np.array_equal(first, second)  # if it stops doing so, these may be cached again
    assert read(training).random == "BatchNormalization y"
    assert read(batch_normalisation(training=False)).random == ""


def test_a_dropout_that_a_request_may_train_draws() -> None:
    """Its switch is an input that has a value, and need not keep it."""
    model = onnx.load_from_string(dropout(training=False))
    model.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, []))

    assert report(model).random == "Dropout y"


def test_words_elsewhere_are_no_operators() -> None:
    """A weight's name, and what it holds."""
    model = models.graph(
        [models.node("Mul", ["x", "Loop"], ["y"])],
        [models.tensor("x", "float32", [None, 4])],
        [models.tensor("y", "float32", [None, 4])],
        Loop=np.frombuffer(b'"\x04Loop"\x04Loop\0\0\0\0', np.float32),
    )

    assert read(model).unbounded == ""


def test_a_loop_is_unbounded() -> None:
    """Its values decide how often it runs."""
    assert read(models.loop_model()).unbounded.startswith("Loop")


def test_onnx_runtime_s_own_format_is_read(tmp_path: Path) -> None:
    """ONNX Runtime writes it as ONNX for us."""
    path = tmp_path / "a.ort"
    models.save_in_ort_format(path, models.loop_model())

    found = read_graph(path)

    assert found.unbounded.startswith("Loop")
    assert found.random == ""


def test_weights_in_other_files_are_named(tmp_path: Path) -> None:
    """Relative to the model's folder, as the file has them."""
    path = tmp_path / "a.onnx"
    model = onnx.load_from_string(models.network_model(64))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)

    assert read_graph(path).external == ["weights.bin"]


def elsewhere(location: str) -> TensorProto:
    """Four numbers in another file."""
    tensor = TensorProto(
        name=location, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_weights_in_other_files_are_named_wherever_they_stand() -> None:
    """In a constant, a list of tensors, a sparse tensor, and in a branch."""
    inner = helper.make_graph([], "inner", [], [], [elsewhere("branch")])
    node = onnx.NodeProto(op_type="Constant")
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=elsewhere("value"))
    node.attribute.add(name="many", type=onnx.AttributeProto.TENSORS, tensors=[elsewhere("list")])
    node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH, g=inner)
    graph = helper.make_graph([node], "test", [], [])
    graph.sparse_initializer.add(values=elsewhere("sparse"))

    found = report(helper.make_model(graph))

    assert found.external == ["branch", "list", "sparse", "value"]


def test_a_file_is_read_as_a_whole(tmp_path: Path) -> None:
    """It is read in steps, the last of which is a part of one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.network_model(512))
    assert path.stat().st_size % STEP_BYTES > 0
    assert path.stat().st_size > STEP_BYTES

    assert load(path) == onnx.load(path)


def test_a_file_that_is_none_is_unknown(tmp_path: Path) -> None:
    """And says so, and is taken for random."""
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")

    found = read_graph(path)

    assert found.batching.verdict == "unknown"
    assert found.random
    assert "cannot be read" in found.batching.reason
