"""Which values an input takes, as far as the graph tells."""

from onnx import ModelProto

from app.engine.graph.nodes import must_be_given
from app.engine.graph.report import Domain


def domains(model: ModelProto) -> list[Domain]:
    """Give one an input."""
    return [Domain(each.name) for each in must_be_given(model.graph)]
