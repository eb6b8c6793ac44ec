"""What is said of whole graphs: inputs, outputs, and what is carried from one to the other."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ml_pipeline.engine.graph.batch_axis import judge
from ml_pipeline.engine.graph.report import Batching
from tests import models
from tests.models import node


def verdict(model: bytes) -> Batching:
    """Judge a file's bytes."""
    return judge(onnx.load_from_string(model))


def by_shape(target: list[str]) -> bytes:
    """Reshape rows of free length to sizes that are computed from the input's own."""
    sizes = {"rows": np.array([0]), "length": np.array([1]), "rest": np.array([-1])}
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "rows"], ["num_rows"], axis=0),
        node("Gather", ["shape", "length"], ["num_steps"], axis=0),
        node("Concat", target, ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    return models.graph(
        nodes,
        [models.tensor("x", "float32", ["n", "t", 4])],
        [models.tensor("y", "float32", None)],
        **sizes,
    )


def by_number_of_rows(*nodes: Any) -> bytes:
    """`y = x * 2` if the nodes make `chosen` true of `num`, the number of rows, else `y = x`."""
    return models.graph(
        [
            node("Shape", ["x"], ["num"], start=0, end=1),
            *nodes,
            node("Where", ["chosen", "two", "one"], ["factor"]),
            node("Mul", ["x", "factor"], ["y"]),
        ],
        [models.tensor("x", "float32", ["n", 4])],
        [models.tensor("y", "float32", ["n", 4])],
        one=np.array(1, np.float32),
        two=np.array(2, np.float32),
        few=np.array([8]),
        many=np.array([100]),
        most=np.array([200_000]),
        none=np.array([0]),
    )


among = [
    node("Greater", ["num", "few"], ["more"]),
    node("Less", ["num", "many"], ["less"]),
    node("And", ["more", "less"], ["chosen"]),
]

counted: list[Any] = [
    pytest.param([node("Equal", ["num", "few"], ["chosen"])], id="equal"),
    pytest.param(
        [node("Equal", ["num", "few"], ["equal"]), node("Not", ["equal"], ["chosen"])], id="not"
    ),
    pytest.param(among, id="between"),
    pytest.param(
        [node("Mod", ["num", "most"], ["rest"]), node("Equal", ["rest", "few"], ["chosen"])],
        id="remainder",
    ),
]


@pytest.mark.parametrize("nodes", counted)
def test_a_graph_that_asks_how_many_rows_there_are_is_coupled(nodes: list[Any]) -> None:
    """Also where it answers alike for each number of rows that the graph is followed with."""
    assert verdict(by_number_of_rows(*nodes)).verdict == "coupled"


def test_asking_whether_a_size_is_left_open_counts_no_rows() -> None:
    """As exporters do before they stretch a tensor: a number of rows is never 0 or -1."""
    model = by_number_of_rows(node("Equal", ["num", "none"], ["chosen"]))

    assert verdict(model).verdict == "independent"


coupled: list[Any] = [
    pytest.param(models.scale_model(shape=[4, 3]), "x has no free first dim", id="fixed"),
    pytest.param(models.scale_model(shape=[]), "x has no free first dim", id="scalar"),
    pytest.param(models.column_sum_model(), "reduces over the batch", id="sum"),
    pytest.param(models.loop_model(), "reduces the whole batch", id="loop"),
    pytest.param(by_shape(["num_steps", "rest"]), "cuts across rows", id="reshape"),
]


@pytest.mark.parametrize(("model", "reason"), coupled)
def test_a_graph_that_couples_rows_says_where(model: bytes, reason: str) -> None:
    """By the node, or by the input that has no rows."""
    found = verdict(model)

    assert found.verdict == "coupled"
    assert reason in found.reason


apart: list[Any] = [
    pytest.param(models.network_model(32), id="network"),
    pytest.param(models.two_input_model(), id="two-inputs"),
    pytest.param(models.sklearn_classifier(), id="zipmap"),
    pytest.param(models.width_free_model(), id="free-width"),
    pytest.param(by_shape(["num_rows", "rest"]), id="shape-arithmetic"),
]


@pytest.mark.parametrize("model", apart)
def test_a_graph_whose_rows_stay_apart_is_independent(model: bytes) -> None:
    """Through shape arithmetic and free sizes, too."""
    assert verdict(model).verdict == "independent"


def test_an_output_that_lacks_rows_is_coupled() -> None:
    """Whoever shares a run could not be given a part of it."""
    model = models.graph(
        [node("Shape", ["x"], ["size"]), node("Neg", ["x"], ["y"])],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 3]), models.tensor("size", "int64", [2])],
    )

    found = verdict(model)

    assert found.verdict == "coupled"
    assert found.reason == "output size does not have one row for each row of the input"


def test_a_coupled_tensor_that_no_output_needs_is_harmless() -> None:
    """Nobody's answer depends on it; nor on its shape, which rows do not decide."""
    model = models.graph(
        [
            node("CumSum", ["x", "first"], ["sums"]),
            node("Shape", ["sums"], ["shape"]),
            node("Reshape", ["x", "shape"], ["y"]),
        ],
        [models.tensor("x", "float32", [None, 3])],
        [models.tensor("y", "float32", [None, 3])],
        first=np.array(0),
    )

    assert verdict(model).verdict == "independent"


def test_an_input_of_any_rank_is_unknown() -> None:
    """Its first axis may be anything."""
    model = models.graph(
        [node("Neg", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )

    assert verdict(model).verdict == "unknown"


def test_an_operator_that_is_not_in_the_table_is_unknown() -> None:
    """And is named."""
    found = verdict(models.sequence_model())

    assert found.verdict == "unknown"
    assert found.node.startswith("SequenceConstruct")


def by_length(*, long_mixes: bool) -> bytes:
    """Take one of two branches by a size that each request decides."""
    mean = node("ReduceMean", ["x"], ["all"], axes=[0], keepdims=1)
    long = (
        [mean, node("Add", ["x", "all"], ["long"])]
        if long_mixes
        else [node("Neg", ["x"], ["long"])]
    )
    free = models.tensor("long", "float32", None), models.tensor("short", "float32", None)
    branches = {
        "then_branch": helper.make_graph(long, "then", [], [free[0]]),
        "else_branch": helper.make_graph([node("Abs", ["x"], ["short"])], "else", [], [free[1]]),
    }
    graph = models.graph(
        [
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "second"], ["length"]),
            node("Greater", ["length", "limit"], ["is_long"]),
            node("If", ["is_long"], ["y"], **branches),
        ],
        [models.tensor("x", "float32", ["n", "t"])],
        [models.tensor("y", "float32", ["n", "t"])],
        second=np.array(1),
        limit=np.array(5_000),
    )
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 17  # ReduceMean has its axes as an attribute
    return bytes(model.SerializeToString())


def test_a_branch_that_only_long_requests_take_counts() -> None:
    """However short the rows are that the graph is followed with."""
    assert verdict(by_length(long_mixes=False)).verdict == "independent"
    assert verdict(by_length(long_mixes=True)).verdict == "coupled"
