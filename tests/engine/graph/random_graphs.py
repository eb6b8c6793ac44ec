"""Random graphs out of the operators that the analysis of the batch axis knows.

A graph grows node by node. Each node is run at once, with one row and with three, so that what
ONNX Runtime refuses is thrown away and the sizes of what is there are known. Numbers are small and
whole as far as they can be, so that kernels that add up in another order give the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ml_pipeline.engine.graph.batch_axis import judge
from ml_pipeline.engine.graph.nodes import subgraphs
from tests.engine.graph.examples.example import Array
from tests.engine.graph.together import session

COUNTS = (1, 3)
"""Rows that nodes are tried with."""

MOST_ELEMENTS = 4_096

BOOL, FLOAT, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.INT64

Draw = Callable[[int], int]
"""Draws a number below another."""


class Refused(Exception):
    """ONNX Runtime does not run this node, or what it gives is too large."""


class Graph:
    """A graph that grows.

    Args:
        draw: What decides everything.
        shapes: Of one row of each input.
        version: Of ONNX' operators.
    """

    def __init__(self, draw: Draw, shapes: Sequence[Sequence[int]], version: int) -> None:
        self.draw, self.version = draw, version
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self.found: dict[str, list[Array]] = {}
        self.inputs = {f"x{place}": tuple(shape) for place, shape in enumerate(shapes)}
        for name, shape in self.inputs.items():
            self.found[name] = [rows_of(count, shape, len(name)) for count in COUNTS]

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Draw one of several."""
        return choices[self.draw(len(choices))]

    def constant(self, value: Any) -> str:
        """Add a weight."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def pick(self, kind: str = "f", *, least_rank: int = 0) -> str:
        """Draw a tensor, of floats ("f") or of whole numbers ("i"); those made last most often."""
        names = [
            name
            for name, arrays in self.found.items()
            if arrays[-1].dtype.kind == kind and arrays[-1].ndim >= least_rank
        ]
        if not names:
            raise Refused
        return str(self.one_of(self.one_of((names[-1:], names[-1:], names[-3:], names))))

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape for three rows."""
        return self.found[name][-1].shape

    def axis(self, name: str) -> int:
        """Draw one of a tensor's axes, counted from either end."""
        rank = len(self.shape(name))
        if rank == 0:
            raise Refused
        return self.draw(2 * rank) - rank

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: int = 1,
        *,
        sees: Sequence[str] = (),
        **attributes: Any,
    ) -> list[str]:
        """Add a node, whose graphs see other tensors too, and name its results.

        Raises:
            Refused: It cannot be run.
        """
        made = sum(len(node.output) for node in self.nodes)
        names = [f"t{made + place}" for place in range(outputs)]
        node = helper.make_node(operator, inputs, names, **attributes)
        given = [name for name in dict.fromkeys([*inputs, *sees]) if name in self.found]
        results = self._run(node, given)
        self.nodes.append(node)
        for place, name in enumerate(names):
            self.found[name] = [arrays[place] for arrays in results]
        return names

    def _run(self, node: Any, given: Sequence[str]) -> list[list[Array]]:
        try:
            run = session(self._model([node], given, node.output))
            results: list[list[Array]] = [
                run.run(None, {name: self.found[name][world] for name in given})
                for world in range(len(COUNTS))
            ]
        except Exception as error:  # of ONNX Runtime, whose classes have no common base
            raise Refused from error
        # ONNX Runtime is not made for empty tensors: some operators end the process.
        if not all(0 < array.size <= MOST_ELEMENTS for arrays in results for array in arrays):
            raise Refused
        return results

    def _model(
        self, nodes: Sequence[Any], given: Sequence[str], outputs: Sequence[str]
    ) -> ModelProto:
        inputs = []
        for name in given:
            kind = helper.np_dtype_to_tensor_dtype(self.found[name][0].dtype)
            shape: list[str | int | None] | None
            shape = ["B", *self.inputs[name]] if name in self.inputs else None
            inputs.append(helper.make_tensor_value_info(name, kind, shape))
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "random",
            inputs,
            [ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(self.weights[n], n) for n in self.weights if n in used],
        )
        opsets = [helper.make_opsetid("", self.version)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def whole(self) -> str:
        """Name the last tensor that has as many rows as the input."""
        names = [
            name
            for name, arrays in self.found.items()
            if name not in self.inputs
            and all(a.shape[:1] == (count,) for a, count in zip(arrays, COUNTS, strict=True))
        ]
        return (names or list(self.found))[-1]

    def model(self, output: str) -> ModelProto:
        """Give what has grown as far as a tensor needs it."""
        return self._model(self._behind(output), list(self.inputs), [output])

    def _behind(self, name: str) -> list[Any]:
        """Give the nodes that a tensor is made with."""
        needed, kept = {name}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
                needed.update(i for g in subgraphs(node) for each in g.node for i in each.input)
        return kept[::-1]


def rows_of(count: int, shape: Sequence[int], seed: int) -> Array:
    """Draw rows of small whole numbers, each by another power of two: sums of a row are exact."""
    rng = np.random.default_rng((count, seed))
    scales = np.exp2(rng.integers(-8, 9, (count, *(1 for _ in shape))))
    return (rng.integers(-4, 5, (count, *shape)) * scales).astype(np.float32)


def grow(graph: Graph, makers: Sequence[Callable[[Graph], None]], steps: int) -> ModelProto:
    """Add nodes, without those that ONNX Runtime refuses.

    Two of three graphs are spared most of the nodes that mix rows: else they would be mixed early,
    and few large graphs would be said to keep them apart.
    """
    spared = graph.draw(3) > 0
    for _ in range(3 * steps):
        if len(graph.nodes) >= steps:
            break
        nodes, found = len(graph.nodes), len(graph.found)
        try:
            graph.one_of(makers)(graph)
            told = judge(graph.model(list(graph.found)[-1]))
            mixes = told.verdict == "coupled" and told.node != ""
            refused = mixes and spared and graph.draw(8) > 0
        except Refused:
            refused = True
        if refused:
            del graph.nodes[nodes:]
            for name in list(graph.found)[found:]:
                del graph.found[name]
    return graph.model(graph.whole())


def loaded(model: ModelProto) -> ort.InferenceSession | None:
    """Load a graph; None where ONNX Runtime refuses what it took node by node."""
    try:
        return session(model)
    except Exception:  # of ONNX Runtime, whose classes have no common base
        return None


def ints(*values: int) -> Any:
    """Give sizes or places."""
    return np.array(values, np.int64)


def small(graph: Graph, *shape: int) -> str:
    """Add a weight of small whole numbers."""
    return graph.constant(np.random.default_rng(graph.draw(99)).integers(-2, 3, shape).astype("f"))


def by_axes(graph: Graph, operator: str, x: str, axes: list[int], since: int, **more: Any) -> None:
    """Add a node whose axes are an operand since a version."""
    if graph.version >= since:
        graph.add(operator, [x, graph.constant(ints(*axes))], **more)
    else:
        graph.add(operator, [x], axes=axes, **more)
