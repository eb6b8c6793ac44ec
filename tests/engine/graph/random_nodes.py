"""Ways for a random graph to grow (`random_graphs.py`): each adds a node or a few."""

from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from tests.engine.graph.random_graphs import BOOL, FLOAT, INT64, Graph, Refused

UNARY = ("Relu", "Neg", "Abs", "Tanh", "Sigmoid", "Identity", "Sign", "Floor", "Elu")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
REDUCE = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceSumSquare")


def ints(*values: int) -> Any:
    """Give sizes or places."""
    return np.array(values, np.int64)


def small(graph: Graph, *shape: int) -> str:
    """Add a weight of small whole numbers."""
    return graph.constant(np.random.default_rng(graph.draw(99)).integers(-2, 3, shape).astype("f"))


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


def reshape(graph: Graph) -> None:
    """To sizes that are known, or those of another tensor."""
    x = graph.pick(graph.one_of("ffi"))
    if graph.draw(4) == 0:
        graph.add("Reshape", [x, graph.pick("i")])
        return
    first = graph.one_of((-1, 0, -1, 1))
    rest = [graph.one_of((1, 2, 3, 4, 6, 12, 0, -1)) for _ in range(graph.draw(3))]
    graph.add("Reshape", [x, graph.constant(ints(first, *rest))])


def back_to_rows(graph: Graph) -> None:
    """As many rows as the input has, or a fixed size behind any number."""
    x, size = graph.pick(), graph.one_of((1, 2, 3, 4, 6, 8, 12, 24))
    graph.add("Reshape", [x, graph.constant(ints(-1, size))])


def flatten(graph: Graph) -> None:
    """Into two axes."""
    x = graph.pick()
    graph.add("Flatten", [x], axis=graph.axis(x))


def transpose(graph: Graph) -> None:
    """In any order of the axes."""
    x = graph.pick(least_rank=2)
    order = list(range(len(graph.shape(x))))
    perm = [order.pop(graph.draw(len(order))) for _ in range(len(order))]
    graph.add("Transpose", [x], perm=perm)


def by_axes(graph: Graph, operator: str, x: str, axes: list[int], since: int, **more: Any) -> None:
    """Add a node whose axes are an operand since a version."""
    if graph.version >= since:
        graph.add(operator, [x, graph.constant(ints(*axes))], **more)
    else:
        graph.add(operator, [x], axes=axes, **more)


def squeeze(graph: Graph) -> None:
    """Drop axes of one place, or put one in."""
    x = graph.pick(graph.one_of("ffi"))
    operator = graph.one_of(("Squeeze", "Unsqueeze", "Unsqueeze"))
    if operator == "Squeeze" and graph.draw(3) == 0:
        graph.add("Squeeze", [x])
    else:
        rank = len(graph.shape(x)) + (operator == "Unsqueeze")
        by_axes(graph, operator, x, [graph.draw(2 * max(rank, 1)) - rank], 13)


def reduce(graph: Graph) -> None:
    """Over one axis, two, or all."""
    x, operator = graph.pick(), graph.one_of(REDUCE)
    axes = [graph.axis(x) for _ in range(graph.one_of((1, 1, 1, 2)))]
    keep = {"keepdims": graph.draw(2)}
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


def arg_max(graph: Graph) -> None:
    """Whole numbers out of floats."""
    x = graph.pick()
    graph.add(graph.one_of(("ArgMax", "ArgMin")), [x], axis=graph.axis(x), keepdims=graph.draw(2))


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


def concat(graph: Graph) -> None:
    """Tensors behind each other."""
    kind = graph.one_of("fffi")
    x = graph.pick(kind)
    others = [graph.one_of((x, graph.pick(kind))) for _ in range(1 + graph.draw(2))]
    graph.add("Concat", [x, *others], axis=graph.axis(x))


def split(graph: Graph) -> None:
    """In two halves, or at a fixed place."""
    x = graph.pick()
    more = {"num_outputs": 2} if graph.version >= 18 else {}
    graph.add("Split", [x], 2, axis=graph.axis(x), **more)


def slice_(graph: Graph) -> None:
    """A part of an axis, between fixed places or those that a tensor tells."""
    x, axis = graph.pick(graph.one_of("ffi")), 0
    axis = graph.axis(x)
    starts = ints(graph.one_of((0, 0, 1, -1, -3)))
    ends = ints(graph.one_of((1, 2, -1, 2**31, 2**63 - 1, 3)))
    step = graph.one_of((1, 1, 1, 2, -1))
    operands = [graph.constant(each) for each in (starts, ends, ints(axis), ints(step))]
    if graph.draw(4) == 0:
        operands[graph.draw(2)] = graph.pick("i")
    graph.add("Slice", [x, *operands])


def repeat(graph: Graph) -> None:
    """Tile, or stretch to fixed sizes or those of another tensor."""
    x = graph.pick(graph.one_of("ffi"))
    if graph.draw(3) == 0:
        repeats = [graph.one_of((1, 1, 2)) for _ in graph.shape(x)]
        graph.add("Tile", [x, graph.constant(ints(*repeats))])
    elif graph.draw(2):
        graph.add("Expand", [x, graph.pick("i")])
    else:
        sizes = [graph.one_of((1, 1, size, 3)) for size in (2, *graph.shape(x))[graph.draw(2) :]]
        graph.add("Expand", [x, graph.constant(ints(*sizes))])


def pad(graph: Graph) -> None:
    """At both ends of the axes."""
    x = graph.pick()
    pads = [graph.one_of((0, 0, 0, 1)) for _ in range(2 * len(graph.shape(x)))]
    graph.add("Pad", [x, graph.constant(ints(*pads))], mode=graph.one_of(("constant", "edge")))


def gather(graph: Graph) -> None:
    """By fixed places, or by whole numbers that were found; of a tensor or of a table."""
    x = graph.pick(graph.one_of("ffi"))
    places = graph.one_of(
        (graph.constant(np.int64(0)), graph.constant(ints(0, -1)), graph.pick("i"))
    )
    if graph.draw(4) == 0:
        x = small(graph, 3, 2)
        graph.add("Gather", [x, places], axis=graph.draw(2))
    else:
        graph.add("Gather", [x, places], axis=graph.axis(x))


def gather_elements(graph: Graph) -> None:
    """By whole numbers of the same shape, read or written."""
    x, places = graph.pick(), graph.pick("i")
    if graph.draw(2):
        graph.add("GatherElements", [x, places], axis=graph.axis(x))
    else:
        graph.add("ScatterElements", [x, places, graph.pick()], axis=graph.axis(x))


def gather_nd(graph: Graph) -> None:
    """By tuples of whole numbers, read or written."""
    x, places = graph.pick(), graph.pick("i")
    if graph.draw(2):
        graph.add("GatherND", [x, places], batch_dims=graph.draw(2))
    else:
        graph.add("ScatterND", [x, places, graph.pick()])


def one_hot(graph: Graph) -> None:
    """A new axis."""
    operands = [graph.pick("i"), graph.constant(ints(2)), graph.constant(np.float32([0, 1]))]
    graph.add("OneHot", operands, axis=graph.one_of((-1, 0, 1)))


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


def sizes(graph: Graph) -> None:
    """A tensor's shape, one of its sizes, or how many elements it has."""
    (shape,) = graph.add("Shape", [graph.pick(graph.one_of("ffi"))])
    kind = graph.draw(4)
    if kind:
        place = np.int64(graph.draw(2)) if kind == 1 else ints(graph.draw(2))
        (size,) = graph.add("Gather", [shape, graph.constant(place)])
        if kind == 3:
            graph.add("Concat", [size, graph.constant(ints(1 + graph.draw(3)))], axis=0)


def count(graph: Graph) -> None:
    """Compute with whole numbers."""
    x = graph.pick("i")
    other = graph.one_of((graph.constant(ints(2)), graph.constant(np.int64(1)), graph.pick("i")))
    graph.add(graph.one_of(("Add", "Sub", "Mul", "Mod", "Div", "Max")), [x, other])


def numbers(graph: Graph) -> None:
    """0, 1, 2, … as many as a size says; or one number everywhere."""
    size = graph.pick("i")
    if graph.draw(3) == 0:
        graph.add("ConstantOfShape", [size])
        return
    if graph.shape(size) != ():
        (size,) = graph.add("Reshape", [size, graph.constant(ints())])
    zero, one = graph.constant(np.int64(graph.one_of((0, 0, 0, 1)))), graph.constant(np.int64(1))
    (numbers,) = graph.add("Range", [zero, size, one])
    if graph.draw(2):
        by_axes(graph, "Unsqueeze", numbers, [graph.one_of((1, -1, 0))], 13)


def first_size(graph: Graph) -> tuple[str, str]:
    """How many rows there are, on an axis and as a number."""
    (shape,) = graph.add("Shape", [graph.one_of(list(graph.inputs))])
    (size,) = graph.add("Gather", [shape, graph.constant(ints(0))])
    (number,) = graph.add("Reshape", [size, graph.constant(np.zeros(0, np.int64))])
    return size, number


def computed_shape(graph: Graph) -> None:
    """Sizes that hold the number of rows, for a reshape, a stretch, or a tensor of one number."""
    x, (size, number) = graph.pick(), first_size(graph)
    rest = graph.constant(ints(*(graph.one_of((-1, 1, 2, 3, 6)) for _ in range(graph.draw(3)))))
    (shape,) = graph.add("Concat", [rest, size] if graph.draw(4) == 0 else [size, rest], axis=0)
    kind = graph.draw(4)
    if kind == 0:
        graph.add("ConstantOfShape", [shape])
    elif kind == 1:
        (value,) = graph.add("Cast", [graph.one_of((number, graph.pick("i")))], to=FLOAT)
        graph.add("Expand", [graph.one_of((value, small(graph, 1))), shape])
    else:
        graph.add(graph.one_of(("Reshape", "Reshape", "Expand")), [x, shape])


def own_row(graph: Graph) -> None:
    """Read or written by the row's number, alone or before another."""
    x, (_, number) = graph.pick(), first_size(graph)
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    (numbers,) = graph.add("Range", [zero, number, one])
    if graph.draw(3) == 0:
        graph.add("Gather", [x, numbers], axis=graph.one_of((0, 0, 1)))
        return
    (column,) = graph.add("Reshape", [numbers, graph.constant(ints(-1, 1))])
    if graph.draw(2):
        other = graph.one_of((column, graph.pick("i")))
        pair = [column, other] if graph.draw(3) else [other, column]
        (column,) = graph.add("Concat", pair, axis=graph.one_of((-1, -1, 1)))
    if graph.draw(2):
        graph.add("GatherND", [x, column])
    else:
        graph.add("ScatterND", [x, column, graph.pick()])


def place(graph: Graph) -> None:
    """The place of the largest, to pick by it, or as a new axis."""
    x = graph.pick()
    (largest,) = graph.add("ArgMax", [x], axis=graph.axis(x), keepdims=graph.draw(2))
    kind = graph.draw(4)
    if kind == 0:
        values = graph.constant(np.float32([0, 1]))
        graph.add("OneHot", [largest, graph.constant(ints(3)), values], axis=graph.draw(3) - 1)
    elif kind == 1:
        graph.add("Gather", [small(graph, 24, 2), largest], axis=graph.draw(2))
    elif kind == 2:
        graph.add("GatherElements", [x, largest], axis=graph.axis(x))
    else:
        graph.add("Cast", [largest], to=FLOAT)


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


def compress(graph: Graph) -> None:
    """What a condition leaves of an axis, or of all elements."""
    x = graph.pick()
    more = {"axis": graph.axis(x)} if graph.draw(4) else {}
    graph.add("Compress", [x, graph.constant(np.array([True, False, True]))], **more)


def quantise(graph: Graph) -> None:
    """By one scale that all elements decide."""
    quantised = graph.add("DynamicQuantizeLinear", [graph.pick()], 3)
    graph.add("DequantizeLinear", quantised)


MAKERS = (
    *(unary, binary, binary, with_constant, with_constant, where, reshape, reshape, back_to_rows),
    *(back_to_rows, flatten, transpose, transpose, squeeze, squeeze, reduce, reduce, along_axis),
    *(along_axis, arg_max, to_float, matmul, matmul, gemm, einsum, concat, concat, split, slice_),
    *(slice_, repeat, repeat, pad, gather, gather, gather_elements, gather_nd, one_hot, normalise),
    *(computed_shape, computed_shape, computed_shape, own_row, own_row, place, place),
    *(convolve, triangle, sizes, sizes, count, numbers, numbers, branch, loop, compress, quantise),
)
