"""Operators that ONNX Runtime does not have itself: registered, or asked for in words."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.sessions.custom_ops import EXTENSIONS, find_libraries, hint
from ml_pipeline.errors import ModelLoadError
from tests.backend.serving import Asked
from tests.conftest import Serve, WriteModel
from tests.engine.test_odd_models import foreign_model
from tests.server import run_python

UNKNOWN = "Fatal error: {}:Upper(-1) is not a registered function/op"


async def test_extensions_are_registered(
    write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """In every session."""
    options = msgspec.structs.replace(options, custom_ops=find_libraries([EXTENSIONS]))
    asked = Asked(await serve(write_model(foreign_model()), options))

    for binary in (True, False):
        (found,) = await asked.infer({"x": np.array(["word", ""], object)}, binary=binary)

        assert found.tolist() == ["WORD", ""]


def test_a_library_is_part_of_what_a_model_is() -> None:
    """Another version of it may answer otherwise."""
    (library,) = find_libraries([EXTENSIONS])

    assert len(library.digest) == 64


def test_a_package_that_is_missing_is_told() -> None:
    """With the command that installs it."""
    script = (
        "import sys; sys.modules['onnxruntime_extensions'] = None\n"
        "from ml_pipeline.engine.sessions.custom_ops import find_libraries\n"
        "find_libraries(['onnxruntime-extensions'])"
    )

    told = run_python(script).stderr

    assert "CUSTOM_OPS: onnxruntime-extensions is not installed; pip install onnxrun" in told


def test_a_library_that_is_missing_is_told(tmp_path: Path) -> None:
    """By its path."""
    path = str(tmp_path / "none.so")

    with pytest.raises(ModelLoadError, match=f"^CUSTOM_OPS: {path}: No such file or directory$"):
        find_libraries([path])


def test_what_is_no_library_is_told(tmp_path: Path) -> None:
    """In ONNX Runtime's words."""
    path = tmp_path / "text.so"
    path.write_text("no library")

    with pytest.raises(
        ModelLoadError, match=f"^CUSTOM_OPS: {path}: ONNX Runtime: .*Failed to load"
    ):
        find_libraries([str(path)])


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("ai.onnx.contrib", "; set CUSTOM_OPS=onnxruntime-extensions"),
        ("my.own", "; if a library has it, set CUSTOM_OPS to its path"),
    ],
)
def test_a_refusal_says_where_operators_may_come_from(domain: str, told: str) -> None:
    """By their domain."""
    assert hint(UNKNOWN.format(domain), ()) == told


def test_other_refusals_are_left_as_they_are() -> None:
    """No library would help."""
    assert hint("Protobuf parsing failed.", ()) == ""
