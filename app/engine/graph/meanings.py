"""What each output of a model is, told by the operator that makes it."""

from onnx import ModelProto

from app.engine.graph.report import Meaning


def meanings(model: ModelProto) -> list[Meaning]:
    """Give one an output."""
    return [Meaning(output.name) for output in model.graph.output]
