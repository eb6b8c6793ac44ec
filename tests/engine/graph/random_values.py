"""Ways for a random graph to grow: nodes that compute."""

from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from tests.engine.graph.random_graphs import (
    BOOL,
    FLOAT,
    INT64,
    Graph,
    Refused,
    by_axes,
    ints,
    small,
)

UNARY = ("Relu", "Neg", "Abs", "Tanh", "Sigmoid", "Identity", "Sign", "Floor", "Elu")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
REDUCE = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceSumSquare")


def unary(graph: Graph) -> None:
    """One element at a time."""
    graph.add(graph.one_of(UNARY), [graph.pick()])


def binary(graph: Graph) -> None:
    """Two tensors against each other."""
    graph.add(graph.one_of(BINARY), [graph.pick(), graph.pick()])


def with_constant(graph: Graph) -> None:
    """A weight of one axis, of some of a tensor's axes, or of one place of each."""
    x = graph.pick()
    shape = graph.shape(x)
    cut = shape[graph.draw(len(shape) + 1) :]
    kept = [size if graph.draw(3) else 1 for size in cut]
    graph.add(graph.one_of(BINARY), [x, small(graph, *kept)])


def where(graph: Graph) -> None:
    """One of two tensors by a third."""
    (chosen,) = graph.add("Greater", [graph.pick(), graph.constant(np.float32(0))])
    graph.add("Where", [chosen, graph.pick(), graph.pick()])


def reduce(graph: Graph) -> None:
    """Over one axis, two, or all."""
    x, operator = graph.pick(), graph.one_of(REDUCE)
    axes = [graph.axis(x) for _ in range(graph.one_of((1, 1, 1, 2)))]
    keep: dict[str, Any] = {"keepdims": graph.draw(2)}
    if graph.draw(8) == 0:
        graph.add(operator, [x], **keep)
    else:
        by_axes(graph, operator, x, axes, 13 if operator == "ReduceSum" else 18, **keep)


def along_axis(graph: Graph) -> None:
    """Normalised, ordered, or added up along an axis."""
    x = graph.pick(least_rank=1)
    axis, operator = (
        graph.axis(x),
        graph.one_of(("Softmax", "Hardmax", "LpNormalization", "CumSum", "TopK")),
    )
    if operator == "CumSum":
        graph.add(operator, [x, graph.constant(np.int64(axis))], exclusive=graph.draw(2))
    elif operator == "TopK":
        graph.add(operator, [x, graph.constant(ints(1 + graph.draw(2)))], 2, axis=axis)
    else:
        graph.add(operator, [x], axis=axis)


def to_float(graph: Graph) -> None:
    """Whole numbers as values."""
    graph.add("Cast", [graph.pick("i")], to=FLOAT)


def matmul(graph: Graph) -> None:
    """A tensor by a weight, a weight by a tensor, or two tensors."""
    x = graph.pick(least_rank=1)
    shape, kind = graph.shape(x), graph.draw(4)
    if kind == 0:
        graph.add("MatMul", [x, small(graph, shape[-1], 1 + graph.draw(3))])
    elif kind == 1:
        graph.add("MatMul", [small(graph, 1 + graph.draw(3), shape[-2:][0]), x])
    else:
        other = graph.pick(least_rank=1)
        if kind == 2:
            order = list(range(len(graph.shape(other))))
            (other,) = graph.add("Transpose", [other], perm=[*order[:-2], *order[:-3:-1]])
        graph.add("MatMul", [x, other])


def gemm(graph: Graph) -> None:
    """With either operand turned, and a bias of one row, one number, or rows of its own."""
    x, turned = graph.pick(least_rank=2), graph.draw(2)
    other = graph.one_of((small(graph, 3, graph.shape(x)[1 - turned]), graph.pick(least_rank=2)))
    bias = graph.one_of(([], [small(graph, 3)], [graph.pick()], [small(graph, 1)]))
    graph.add("Gemm", [x, other, *bias], transA=turned, transB=graph.draw(2))


def einsum(graph: Graph) -> None:
    """Two matrices by letters."""
    equation = graph.one_of(
        ("ab,ab->a", "ab,cb->ac", "ab,ac->abc", "abc,abd->acd", "ab,ab->b", "ab->ba", "abc,abc->ab")
    )
    count = equation.count(",") + 1
    graph.add("Einsum", [graph.pick() for _ in range(count)], equation=equation)


def normalise(graph: Graph) -> None:
    """By mean and variance."""
    x = graph.pick(least_rank=2)
    shape = graph.shape(x)
    if graph.draw(2) and graph.version >= 17:
        graph.add("LayerNormalization", [x, small(graph, shape[-1])], axis=-1)
    elif graph.draw(2):
        graph.add("InstanceNormalization", [x, small(graph, shape[1]), small(graph, shape[1])])
    else:
        weights = [small(graph, shape[1]) for _ in range(3)]
        variance = graph.constant(np.ones(shape[1], np.float32))
        graph.add("BatchNormalization", [x, *weights, variance])


def convolve(graph: Graph) -> None:
    """Along the last axis, or a pool of it."""
    x = graph.pick(least_rank=3)
    if len(graph.shape(x)) != 3:
        raise Refused
    if graph.draw(2):
        graph.add("Conv", [x, small(graph, 2, graph.shape(x)[1], 2)], pads=[1, 0])
    else:
        graph.add("MaxPool", [x], 1 + graph.draw(2), kernel_shape=[2], pads=[1, 0])


def triangle(graph: Graph) -> None:
    """Half of a matrix."""
    graph.add("Trilu", [graph.pick()], upper=graph.draw(2))


def condition(graph: Graph, x: str) -> str:
    """Whether a tensor's only, or largest, element is positive."""
    if graph.draw(2):
        (x,) = graph.add("ReduceMax", [x], keepdims=0)
    (found,) = graph.add("Greater", [x, graph.constant(np.float32(0))])
    return found


def branch(graph: Graph) -> None:
    """One way or another, by a tensor's values or for good."""
    x = graph.pick()
    chosen = condition(graph, graph.pick()) if graph.draw(2) else graph.constant(np.array(True))
    operators = graph.one_of(UNARY), graph.one_of(UNARY)
    bodies = [
        helper.make_graph(
            [helper.make_node(name, [x], ["r"])], name, [], [ValueInfoProto(name="r")]
        )
        for name in operators
    ]
    graph.add("If", [chosen], sees=[x], then_branch=bodies[0], else_branch=bodies[1])


def loop(graph: Graph) -> None:
    """Twice, or as often as a tensor says; with a tensor carried on and one gathered."""
    x, seen = graph.pick(), graph.pick()
    inputs = [("i", INT64), ("g", BOOL), ("s", FLOAT)]
    nodes = [
        helper.make_node("Identity", ["g"], ["h"]),
        helper.make_node(graph.one_of(BINARY), ["s", seen], ["n"]),
        helper.make_node(graph.one_of(UNARY), ["n"], ["o"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info(name, kind, [] if kind != FLOAT else None)
            for name, kind in inputs
        ],
        [ValueInfoProto(name=name) for name in ("h", "n", "o")],
    )
    rounds = graph.pick("i") if graph.draw(4) == 0 else graph.constant(np.int64(2))
    graph.add("Loop", [rounds, graph.constant(np.array(True)), x], 2, sees=[seen], body=body)


def draw(graph: Graph) -> None:
    """Numbers at random, of which the analysis says nothing."""
    graph.add("RandomUniformLike", [graph.pick()], seed=1.0)


def quantise(graph: Graph) -> None:
    """By one scale that all elements decide."""
    quantised = graph.add("DynamicQuantizeLinear", [graph.pick()], 3)
    graph.add("DequantizeLinear", quantised)


def compress(graph: Graph) -> None:
    """What a condition leaves of an axis, or of all elements."""
    x = graph.pick()
    more: dict[str, Any] = {"axis": graph.axis(x)} if graph.draw(4) else {}
    graph.add("Compress", [x, graph.constant(np.array([True, False, True]))], **more)


OFTEN = (binary, with_constant, reduce, along_axis, matmul, unary, loop, branch)
SELDOM = (where, to_float, gemm, einsum, normalise, convolve, triangle)
MAKERS = OFTEN * 2 + SELDOM + (quantise, compress, draw, draw)
