"""One report of one file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from onnx import GraphProto, ModelProto, inliner
from onnx.external_data_helper import ExternalDataInfo

from ml_pipeline.engine.graph.batch_axis import judge
from ml_pipeline.engine.graph.cost import unbounded_node
from ml_pipeline.engine.graph.domains import domains
from ml_pipeline.engine.graph.meanings import meanings
from ml_pipeline.engine.graph.nodes import load, subgraphs
from ml_pipeline.engine.graph.randomness import random_node
from ml_pipeline.engine.graph.report import Batching, GraphReport

Told = TypeVar("Told")


def read_graph(path: Path) -> GraphReport:
    """Read a graph; never raises: what cannot be read is said to be unknown."""
    try:
        model = load(path)
        return report(model)
    except Exception as error:  # whatever is odd about a file, ONNX Runtime decides if it serves
        reason = f"the graph cannot be read: {type(error).__name__}"
        return GraphReport(Batching("unknown", "", reason), reason, reason)


def report(model: ModelProto) -> GraphReport:
    """Put together what its parts tell; one that fails tells nothing, and harms no other."""
    if model.functions:  # so that nothing below has to know of them
        model = inliner.inline_local_functions(model)
    unknown = GraphReport()
    return GraphReport(
        batching=_told(judge, model, unknown.batching),
        random=_told(random_node, model, "the graph cannot be read"),
        unbounded=_told(unbounded_node, model, unknown.unbounded),
        meanings=_told(meanings, model, unknown.meanings),
        domains=_told(domains, model, unknown.domains),
        external=sorted(set(_external(model.graph))),
        shapeless=_told(shapeless, model, unknown.shapeless),
    )


def shapeless(model: ModelProto) -> list[str]:
    """List inputs of any number of dimensions; those of a scalar are told, and are none."""
    tensors = {each.name: each.type.tensor_type for each in model.graph.input}
    return [name for name, tensor in tensors.items() if not tensor.HasField("shape")]


def _told(part: Callable[[ModelProto], Told], model: ModelProto, otherwise: Told) -> Told:
    try:
        return part(model)
    except Exception as error:  # an odd file, or a fault of ours: neither may keep a model out
        print(f"{part.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
        return otherwise


def _external(graph: GraphProto) -> list[str]:
    tensors = [*graph.initializer, *(each.values for each in graph.sparse_initializer)]
    for node in graph.node:
        for each in node.attribute:
            tensors += [each.t, each.sparse_tensor.values, *each.tensors]
    found = [ExternalDataInfo(each).location for each in tensors if each.external_data]
    for node in graph.node:
        for inner in subgraphs(node):
            found += _external(inner)
    return found
