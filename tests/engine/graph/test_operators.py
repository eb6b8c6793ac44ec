"""Every operator of the table: its examples judged, and run with rows together and apart."""

import pytest
from onnx import ModelProto, parser

from ml_pipeline.engine.graph.batch_axis import judge
from ml_pipeline.engine.graph.batch_axis.operators import RULES
from ml_pipeline.engine.graph.nodes import domain_of, walk
from ml_pipeline.engine.graph.read import report
from tests.engine.graph.examples import EXAMPLES, NEVER_APART, WITHOUT_KERNEL
from tests.engine.graph.examples.example import Example
from tests.engine.graph.together import ABSOLUTE, difference, session

COUNTS = (2, 7, 64)
"""Numbers of rows that are run together."""

ROUNDS_MORE = "MatMulNBits"
"""Adds up weights of four bits by another kernel for one row: 1e-6, where others have 1e-7."""


def names(example: Example) -> str:
    """Name an example by its text."""
    return f"{example.text} {example.version}"


def of_verdict(verdict: str) -> pytest.MarkDecorator:
    """Run a test with each example that has a verdict."""
    chosen = [example for example in EXAMPLES if example.verdict == verdict]
    return pytest.mark.parametrize("example", chosen, ids=names)


@of_verdict("independent")
def test_rows_that_are_said_to_stay_apart_do(example: Example) -> None:
    """Each is answered as alone, however many run together."""
    assert judge(example.model).verdict == "independent", judge(example.model)
    run = session(example.model)
    near = 1e-6 if ROUNDS_MORE in example.text else ABSOLUTE
    assert [difference(run, example.rows(count), near) for count in COUNTS] == ["", "", ""]


@of_verdict("coupled")
def test_rows_that_are_said_to_mix_do(example: Example) -> None:
    """A node is named, and a run shows that it is no false alarm."""
    found = judge(example.model)
    assert found.verdict == "coupled", found
    run = session(example.model)
    assert any(difference(run, example.rows(count)) for count in COUNTS) == example.shown


def with_function(body: str) -> ModelProto:
    """Give a model whose only node is a function of its own."""
    return parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21, "own": 1]> '
        "g (float[B, 4] x) => (float[B, 4] y) { y = own.F(x) } "
        f'<domain: "own", opset_import: ["": 21]> F (a) => (b) {{ {body} }}'
    )


def test_a_function_is_followed() -> None:
    """As if its nodes stood in its place."""
    apart, mixed = with_function("b = Softmax(a)"), with_function("b = Softmax<axis = 0>(a)")

    assert report(apart).batching.verdict == "independent"
    assert report(mixed).batching.verdict == "coupled"
    assert report(mixed).batching.node.startswith("Softmax")


def operators_of(verdict: str) -> set[tuple[str, str]]:
    """Give domain and name of each operator in the examples of a verdict."""
    chosen = [example for example in EXAMPLES if example.verdict == verdict]
    return {(domain_of(n), n.op_type) for example in chosen for n in walk(example.model.graph)}


def test_every_operator_of_the_table_has_an_example() -> None:
    """Whose rows stay apart; or mix, where they always do."""
    rules = {(domain, operator) for domain, rules in RULES.items() for operator in rules}

    assert sorted(rules - operators_of("independent") - NEVER_APART - set(WITHOUT_KERNEL)) == []
    assert sorted(NEVER_APART - operators_of("coupled")) == []
    assert sorted(NEVER_APART & operators_of("independent")) == []
