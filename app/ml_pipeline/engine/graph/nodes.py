"""Small steps through an ONNX graph, for all that read one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

STEP_BYTES = 256 * 1024


def load(path: Path) -> ModelProto:
    """Read a model without the weights that lie in files of their own.

    Raises:
        Exception: What `onnx`, or ONNX Runtime for a file in its own format, says of a broken one.
    """
    return _from_ort(path) if path.suffix == ".ort" else ModelProto.FromString(_read(path))


def _read(path: Path) -> bytearray:
    """Read a file in steps: a kernel without preemption keeps its core for all of one read(2).

    In one step a file of 100 MB kept clients of the server beside it waiting for 27 ms, whoever was
    nicer; so they wait for 4 ms at times, its tick (`python -m bench loading`).
    """
    content = bytearray(path.stat().st_size)
    position = 0
    with path.open("rb", buffering=0) as file, memoryview(content) as places:
        while count := file.readinto(places[position : position + STEP_BYTES]):
            position += count
    del content[position:]
    return content


def _from_ort(path: Path) -> ModelProto:
    """Have ONNX Runtime write its own format as ONNX."""
    import onnxruntime as ort  # 0.1 s that ONNX files need not pay

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ONNX")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "model.onnx"))
        ort.InferenceSession(path, options)
        return onnx.load(options.optimized_model_filepath)


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Give an attribute's value; strings as `str`."""
    for each in node.attribute:
        if each.name == name:
            value = helper.get_attribute_value(each)
            if each.type == AttributeProto.STRING:
                return value.decode(errors="replace")
            if each.type == AttributeProto.STRINGS:
                return [text.decode(errors="replace") for text in value]
            return (
                list(value) if each.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value
            )
    return default


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Give the graphs in a node's attributes."""
    for each in node.attribute:
        if each.type == AttributeProto.GRAPH:
            yield each.g
        elif each.type == AttributeProto.GRAPHS:
            yield from each.graphs


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """Give every node, those of subgraphs behind the node that holds them."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from walk(inner)


def domain_of(node: NodeProto) -> str:
    """Name the operator's domain; the standard one is empty."""
    return "" if node.domain == "ai.onnx" else node.domain


def title(node: NodeProto) -> str:
    """Name a node for people: its operator, and its own name or that of its output."""
    return f"{node.op_type} {node.name or next(filter(None, node.output), '')}".rstrip()


def constants(model: ModelProto) -> dict[str, TensorProto]:
    """Give what never changes: weights that no request can replace, and `Constant` nodes."""
    may_be_given = {each.name for each in model.graph.input} if model.ir_version >= 4 else set()
    found = {each.name: each for each in model.graph.initializer if each.name not in may_be_given}
    for node in walk(model.graph):
        if node.op_type == "Constant" and (value := attribute(node, "value")) is not None:
            found[node.output[0]] = value
    return found


def must_be_given(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """List the inputs that the graph has no value for."""
    known = {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [each for each in graph.input if each.name not in known]
