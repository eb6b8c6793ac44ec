"""Ways for a random graph to grow: sizes, how many rows there are, and their numbers."""

import numpy as np

from tests.engine.graph.random_graphs import FLOAT, Graph, by_axes, ints, small


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
    """Compute with whole numbers; what they are divided by is not 0."""
    divisor = graph.constant(graph.one_of((ints(2), np.int64(2), np.int64(3))))
    if graph.draw(2):
        graph.add(graph.one_of(("Mod", "Div")), [graph.pick("i"), divisor])
    else:
        other = graph.one_of((divisor, graph.pick("i")))
        graph.add(graph.one_of(("Add", "Sub", "Mul", "Max")), [graph.pick("i"), other])


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


MAKERS = (sizes, count, numbers, own_row) * 2 + (computed_shape,) * 3
