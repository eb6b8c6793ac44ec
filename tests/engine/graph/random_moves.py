"""Ways for a random graph to grow: nodes that move, pick, repeat and number elements."""

from typing import Any

import numpy as np

from tests.engine.graph.random_graphs import FLOAT, Graph, by_axes, ints, small


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


def squeeze(graph: Graph) -> None:
    """Drop axes of one place, or put one in."""
    x = graph.pick(graph.one_of("ffi"))
    operator = graph.one_of(("Squeeze", "Unsqueeze", "Unsqueeze"))
    if operator == "Squeeze" and graph.draw(3) == 0:
        graph.add("Squeeze", [x])
    else:
        rank = len(graph.shape(x)) + (operator == "Unsqueeze")
        by_axes(graph, operator, x, [graph.draw(2 * max(rank, 1)) - rank], 13)


def arg_max(graph: Graph) -> None:
    """Whole numbers out of floats."""
    x = graph.pick()
    graph.add(graph.one_of(("ArgMax", "ArgMin")), [x], axis=graph.axis(x), keepdims=graph.draw(2))


def concat(graph: Graph) -> None:
    """Tensors behind each other."""
    kind = graph.one_of("fffi")
    x = graph.pick(kind)
    others = [graph.one_of((x, graph.pick(kind))) for _ in range(1 + graph.draw(2))]
    graph.add("Concat", [x, *others], axis=graph.axis(x))


def split(graph: Graph) -> None:
    """In two halves, or at a fixed place."""
    x = graph.pick()
    more: dict[str, Any] = {"num_outputs": 2} if graph.version >= 18 else {}
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
    operands = [
        graph.pick("i"),
        graph.constant(ints(2)),
        graph.constant(np.array([0, 1], np.float32)),
    ]
    graph.add("OneHot", operands, axis=graph.one_of((-1, 0, 1)))


def place(graph: Graph) -> None:
    """The place of the largest, to pick by it, or as a new axis."""
    x = graph.pick()
    (largest,) = graph.add("ArgMax", [x], axis=graph.axis(x), keepdims=graph.draw(2))
    kind = graph.draw(4)
    if kind == 0:
        values = graph.constant(np.array([0, 1], np.float32))
        graph.add("OneHot", [largest, graph.constant(ints(3)), values], axis=graph.draw(3) - 1)
    elif kind == 1:
        graph.add("Gather", [small(graph, 24, 2), largest], axis=graph.draw(2))
    elif kind == 2:
        graph.add("GatherElements", [x, largest], axis=graph.axis(x))
    else:
        graph.add("Cast", [largest], to=FLOAT)


def copies(graph: Graph, x: str, shape: list[int]) -> str:
    """Two copies, of the whole behind each other, or of each row beside each other."""
    kind = graph.draw(3)
    if kind == 0:
        return graph.add("Concat", [x, x], axis=0)[0]
    if kind == 1:
        repeats = ints(2, *(1 for _ in shape))
        return graph.add("Tile", [x, graph.constant(repeats)])[0]
    (beside,) = graph.add("Concat", [x, x], axis=1)
    return graph.add("Reshape", [beside, graph.constant(ints(-1, *shape))])[0]


def blocks(graph: Graph) -> None:
    """Copies of two kinds against each other, and then rows of both."""
    x = graph.pick(least_rank=2)
    shape = list(graph.shape(x)[1:])
    left, right = copies(graph, x, shape), copies(graph, x, shape)
    kind = graph.draw(4)
    if kind == 0:
        (right,) = graph.add("ArgMax", [right], axis=1, keepdims=1)
        (found,) = graph.add("GatherElements", [left, right], axis=1)
        shape[0] = 1
    elif kind == 1:
        (found,) = graph.add("Concat", [left, right], axis=1)
        shape[0] *= 2
    elif kind == 2 and len(shape) > 1:
        order = [*range(len(shape) - 1), len(shape), len(shape) - 1]
        (right,) = graph.add("Transpose", [right], perm=order)
        (found,) = graph.add("MatMul", [left, right])
        shape[-1] = shape[-2]
    else:
        (found,) = graph.add("Sub", [left, right])
    graph.add("Reshape", [found, graph.constant(ints(-1, 2 * shape[0], *shape[1:]))])


OFTEN = (reshape, back_to_rows, transpose, squeeze, concat, slice_, repeat, gather, place, blocks)
MAKERS = OFTEN * 2 + (flatten, arg_max, split, pad, gather_elements, gather_nd, one_hot)
