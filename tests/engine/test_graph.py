"""Operators are found wherever they stand in a graph, and nothing else is taken for one."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from app.engine.graph import RANDOM_OPERATORS, VARYING_OPERATORS, has_operator
from tests import models


def written(path: Path, model: bytes) -> Path:
    """Write a model."""
    path.write_bytes(model)
    return path


def branching() -> bytes:
    """Give a model that draws numbers in one branch alone."""
    drawn = helper.make_tensor_value_info("drawn", onnx.TensorProto.FLOAT, None)
    then = models.node("RandomNormal", [], ["drawn"], shape=[1])
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


def test_an_operator_is_found(tmp_path: Path) -> None:
    """At the top of the graph."""
    path = written(tmp_path / "a.onnx", models.loop_model())

    assert has_operator(path, VARYING_OPERATORS)
    assert not has_operator(path, RANDOM_OPERATORS)


def test_an_operator_within_another_is_found(tmp_path: Path) -> None:
    """Such as in a branch."""
    path = written(tmp_path / "a.onnx", branching())

    assert has_operator(path, RANDOM_OPERATORS)
    assert not has_operator(path, VARYING_OPERATORS)


@pytest.mark.parametrize("operator", RANDOM_OPERATORS[:2])
def test_a_name_that_begins_like_another_is_not_taken_for_it(tmp_path: Path, operator: str) -> None:
    """RandomNormal is not RandomNormalLike."""
    path = written(tmp_path / "a.onnx", models.random_model("RandomNormalLike"))

    assert has_operator(path, [operator]) == (operator == "RandomNormalLike")


def test_words_elsewhere_are_no_operators(tmp_path: Path) -> None:
    """A weight's name, and what it holds."""
    model = models.graph(
        [models.node("Mul", ["x", "Loop"], ["y"])],
        [models.tensor("x", "float32", [None, 4])],
        [models.tensor("y", "float32", [None, 4])],
        Loop=np.frombuffer(b'"\x04Loop"\x04Loop\0\0\0\0', np.float32),
    )

    assert not has_operator(written(tmp_path / "a.onnx", model), VARYING_OPERATORS)


def test_an_operator_is_found_in_ort_s_own_format(tmp_path: Path) -> None:
    """And one that is not there is not."""
    path = tmp_path / "a.ort"
    models.save_in_ort_format(path, models.loop_model())

    assert has_operator(path, VARYING_OPERATORS)
    assert not has_operator(path, RANDOM_OPERATORS)
