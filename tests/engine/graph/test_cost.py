"""What a run's work depends on: each operator of the table, and those with subgraphs."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from ml_pipeline.engine.graph.cost import BY_OPERANDS, unbounded_node
from tests import models

SIZE: tuple[int, list[int | str | None]] = (TensorProto.INT64, [1])
ROW: tuple[int, list[int | str | None]] = (TensorProto.FLOAT, [None, 4])


def unbounded(*nodes: NodeProto, **constants: Any) -> str:
    """Name the unbounded node of a graph; `size` is of sizes, `value` is the largest number in x.

    Such graphs are only read, never run: operands have the right places, not always the right type.
    """
    before = [
        models.node("Shape", ["x"], ["size"]),
        models.node("ReduceMax", ["x"], ["largest"], keepdims=0),
        models.node("Cast", ["largest"], ["value"], to=TensorProto.INT64),
    ]
    model = models.graph(
        [*before, *nodes],
        [models.tensor("x", "float32", [None, 4]), models.tensor("given", "int64", [1])],
        [models.tensor("y", "float32", None)],
        **{"one": np.array(1, np.int64), "yes": np.array(True), **constants},
    )
    return unbounded_node(onnx.load_from_string(model))


def branch(*nodes: NodeProto, output: str) -> GraphProto:
    """Give a branch of an `If`; it sees what is outside."""
    return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(output, *ROW)])


def chosen_by(condition: str, then: GraphProto) -> NodeProto:
    """Give an `If` between a graph and the input itself."""
    other = branch(models.node("Identity", ["x"], ["same"]), output="same")
    return models.node("If", [condition], ["y"], then_branch=then, else_branch=other)


def squeezed() -> GraphProto:
    """Give a branch that moves elements about."""
    return branch(models.node("Squeeze", ["x"], ["moved"]), output="moved")


def multiplied() -> GraphProto:
    """Give a branch that works."""
    return branch(models.node("MatMul", ["x", "x"], ["product"]), output="product")


deciding = [
    pytest.param(operator, place, id=f"{operator}-{place}")
    for operator, places in BY_OPERANDS.items()
    for place in places
]


def with_operand(operator: str, place: int, operand: str) -> NodeProto:
    """Give a node with an operand at a place, and the weight at those before it."""
    return models.node(operator, [*["one"] * place, operand], ["y"], name="it")


@pytest.mark.parametrize(("operator", "place"), deciding)
@pytest.mark.parametrize("operand", ["value", "given"])
def test_work_that_values_decide_is_named(operator: str, place: int, operand: str) -> None:
    """An operand out of the rows' numbers, or that a request gives, may be as large as it likes."""
    assert unbounded(with_operand(operator, place, operand)) == f"{operator} it"


@pytest.mark.parametrize(("operator", "place"), deciding)
@pytest.mark.parametrize("operand", ["size", "one"])
def test_work_that_sizes_decide_is_not_named(operator: str, place: int, operand: str) -> None:
    """An operand out of the sizes, or of the weights, is what it was in the run measured."""
    assert unbounded(with_operand(operator, place, operand)) == ""


@pytest.mark.parametrize(
    "operator", ["NonZero", "RoiAlign", "Compress", "Unique", "NonMaxSuppression", "Unheard"]
)
def test_operators_outside_the_tables_are_named(operator: str) -> None:
    """What is not known to be bounded is not."""
    assert unbounded(models.node(operator, ["x"], ["y"])) == f"{operator} y"


def test_arithmetic_with_sizes_leaves_sizes() -> None:
    """Half of the rows are as many as sizes say."""
    half = models.node("Div", ["size", "one"], ["half"])

    assert unbounded(half, models.node("Range", ["one", "half", "one"], ["y"])) == ""


def test_arithmetic_with_values_leaves_values() -> None:
    """A size times a value is as large as the value makes it."""
    product = models.node("Mul", ["size", "value"], ["product"])

    assert unbounded(product, models.node("Range", ["one", "product", "one"], ["y"])) == "Range y"


# Subgraphs.


@pytest.mark.parametrize(
    ("condition", "then", "node"),
    [
        pytest.param("value", squeezed(), "If y", id="values-choose"),
        pytest.param("size", multiplied(), "If y", id="sizes-choose-what-works"),
        pytest.param("size", squeezed(), "", id="sizes-choose-what-moves"),
        pytest.param("yes", multiplied(), "", id="always-the-same"),
    ],
)
def test_a_branch_counts_for_what_chooses_it(condition: str, then: GraphProto, node: str) -> None:
    """A run that took one branch tells nothing of the other one's time."""
    assert unbounded(chosen_by(condition, then)) == node


def test_what_a_branch_gives_is_of_values_if_what_it_sees_is() -> None:
    """Its only operand is a constant, and yet the values outside reach its outputs."""
    inside = branch(models.node("Identity", ["value"], ["count"]), output="count")
    other = branch(models.node("Identity", ["one"], ["none"]), output="none")
    choice = models.node("If", ["yes"], ["many"], then_branch=inside, else_branch=other)

    assert unbounded(choice, models.node("Range", ["one", "many", "one"], ["y"])) == "Range y"


def test_an_unbounded_node_in_a_branch_is_named() -> None:
    """Wherever it stands."""
    inside = branch(models.node("NonZero", ["x"], ["found"], name="deep"), output="found")

    assert unbounded(chosen_by("yes", inside)) == "NonZero deep"


def loop(steps: str, condition: str, *, goes_on_if: str) -> NodeProto:
    """Give a loop over a matrix product."""
    body = helper.make_graph(
        [
            models.node("Identity", [goes_on_if], ["goes_on"]),
            models.node("MatMul", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", *SIZE),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", *ROW),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", *ROW),
        ],
    )
    return models.node("Loop", [steps, condition, "x"], ["y"], body=body)


@pytest.mark.parametrize(
    ("steps", "condition", "goes_on_if", "node"),
    [
        pytest.param("size", "", "going", "", id="as-often-as-sizes-say"),
        pytest.param("size", "yes", "step", "", id="the-number-of-the-step"),
        pytest.param("value", "", "going", "Loop y", id="as-often-as-values-say"),
        pytest.param("size", "value", "going", "Loop y", id="values-start-it"),
        pytest.param("size", "", "state", "Loop y", id="values-end-it"),
        pytest.param("", "yes", "going", "Loop y", id="for-ever"),
    ],
)
def test_a_loop_is_as_long_as_what_ends_it(
    steps: str, condition: str, goes_on_if: str, node: str
) -> None:
    """Only where sizes alone do is a run as long as the one that was measured."""
    assert unbounded(loop(steps, condition, goes_on_if=goes_on_if)) == node


@pytest.mark.parametrize(("operator", "node"), [("MatMul", ""), ("NonZero", "NonZero inside")])
def test_a_scan_is_bounded_if_its_body_is(operator: str, node: str) -> None:
    """It takes a step for each row, whatever is in them."""
    body = helper.make_graph(
        [models.node(operator, ["row", "row"], ["out"], name="inside")],
        "body",
        [helper.make_tensor_value_info("row", *ROW)],
        [helper.make_tensor_value_info("out", *ROW)],
    )

    assert unbounded(models.node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)) == node
