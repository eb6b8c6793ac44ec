"""A file that is replaced while a model is made of it: nothing is put together of two files."""

from pathlib import Path

import pytest

from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.model.load_model import load_model
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import ModelLoadError
from tests.models import mean_model, scale_model


class Interrupted(GraphReader):
    """Reads a graph at once, and then somebody replaces the file."""

    def __init__(self, replacement: bytes) -> None:
        super().__init__()
        self._replacement = replacement

    def ask(self, path: Path) -> None:
        """Read the file as it is, and replace it."""
        super().ask(path)
        self._report = super().answer()
        path.write_bytes(self._replacement)

    def answer(self) -> GraphReport:
        """Tell of the file that was there."""
        assert self._report is not None
        return self._report


def test_a_graph_is_never_told_of_another_file(tmp_path: Path, options: EngineOptions) -> None:
    """The rows of the new one would be run together by the verdict on the old one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(scale_model())
    reader = Interrupted(mean_model())

    with pytest.raises(ModelLoadError, match="expected to stay as it is, found it replaced"):
        load_model(
            ModelFile("model", "1", path, None), options, lambda *_: None, lambda *_: None, reader
        )
    reader.close()
