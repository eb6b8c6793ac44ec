"""What a model is made of: digested once, and held to be the same before and behind."""

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.files.model_content import FileTouched, ModelContent
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.model.load_model import load_model
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import ModelLoadError
from tests.conftest import LoadModel
from tests.models import externally_weighted_model, save_with_external_weights, scale_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with weights in a second file, `model.weights`."""
    path = tmp_path / "model.onnx"
    save_with_external_weights(path, 2.0)
    return path


def test_a_stray_file_is_no_part_of_a_model(path: Path, load: LoadModel) -> None:
    """Though it is called like a tensor of its graph."""
    before = load(path).digest
    for name in ("x", "y", "factors", "Mul"):
        (path.parent / name).write_text("stray")

    assert load(path).digest == before


def test_a_lone_files_digest_is_its_own(tmp_path: Path, load: LoadModel) -> None:
    """So that anybody can tell which file is served."""
    path = tmp_path / "model.onnx"
    path.write_bytes(scale_model())

    assert load(path).digest == sha256(scale_model()).hexdigest()


def test_a_model_is_loaded_beside_a_project_in_no_time(path: Path, load: LoadModel) -> None:
    """In ten seconds at most beside 20,000 files, which were looked through for two minutes."""
    for number in range(20_000):
        folder = path.parent / str(number // 1000)
        folder.mkdir(exist_ok=True)
        (folder / str(number)).touch()
    begun = time.perf_counter()

    load(path)

    assert time.perf_counter() - begun < 10.0


def test_external_weights_count_for_sharing(
    path: Path, load: LoadModel, options: EngineOptions
) -> None:
    """The memory is theirs."""
    np.full(3 + 250_000, 2, np.float32).tofile(path.with_suffix(".weights"))
    options = msgspec.structs.replace(options, share_weights_above_bytes=500_000)

    assert path.stat().st_size < 500_000
    assert len({id(session) for session in load(path, options).pool.sessions}) == 1


class Interrupted(GraphReader):
    """Reads a graph, and then somebody does something to the files."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def answer(self) -> GraphReport:
        """Act, and tell of the file that was there."""
        report = super().answer()
        self._act()
        return report


def load_interrupted(path: Path, options: EngineOptions, act: Callable[[], object]) -> Model:
    """Load while somebody does something."""
    reader = Interrupted(act)
    file = ModelFile("model", "1", path, None)
    try:
        return load_model(file, options, lambda *_: None, lambda *_: None, reader)
    finally:
        reader.close()


def rewrite(path: Path, content: bytes) -> None:
    """Write another content into the file that is there."""
    path.write_bytes(content)


def replace(path: Path, content: bytes) -> None:
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_bytes(content)
    other.rename(path)


@pytest.mark.parametrize("act", [rewrite, replace])
def test_a_file_that_is_replaced_meanwhile_is_refused(
    act: Callable[[Path, bytes], None], tmp_path: Path, options: EngineOptions
) -> None:
    """In place, or by a rename."""
    path = tmp_path / "model.onnx"
    path.write_bytes(scale_model(2.0))

    with pytest.raises(ModelLoadError, match=r"model\.onnx: expected to stay as it is"):
        load_interrupted(path, options, lambda: act(path, scale_model(3.0)))


@pytest.mark.parametrize("act", [rewrite, replace])
def test_weights_that_are_replaced_meanwhile_are_refused(
    act: Callable[[Path, bytes], None], path: Path
) -> None:
    """The key of the old would lead to answers of the new, or the other way round."""
    weights = path.with_suffix(".weights")
    content = ModelContent(path, None)
    content.add_external([weights.name])

    act(weights, np.full(3, 3, np.float32).tobytes())

    with pytest.raises(ModelLoadError, match=r"model\.weights: expected to stay as it is"):
        content.check_unchanged()


def test_times_that_tell_nothing_are_not_relied_on(path: Path) -> None:
    """A file that was written just now may be written again within a step of the disk's clock."""
    weights, now = path.with_suffix(".weights"), time.time_ns()
    content = ModelContent(path, None, look=lambda _: (1, 2, 12, now, now))
    content.add_external([weights.name])

    rewrite(weights, np.full(3, 3, np.float32).tobytes())

    with pytest.raises(ModelLoadError, match=r"model\.weights: expected to stay as it is"):
        content.check_unchanged()


def link(path: Path, content: bytes) -> None:
    """Make a backup of the file."""
    path.with_name(f"backup-{len(list(path.parent.iterdir()))}").hardlink_to(path)


def there_and_back(path: Path, content: bytes) -> None:
    """Put another file in its place for a moment."""
    own = path.rename(path.with_name("own"))
    path.write_bytes(scale_model(5.0))
    own.rename(path)


def rewrite_and_back(path: Path, content: bytes) -> None:
    """Write another content into it for a moment."""
    path.write_bytes(scale_model(5.0))
    path.write_bytes(content)


TOUCHES = pytest.mark.parametrize("act", [link, rewrite, replace, there_and_back, rewrite_and_back])


@TOUCHES
@pytest.mark.parametrize("suffix", [".onnx", ".weights", ".json"])
def test_a_file_that_may_have_been_another_is_told(
    suffix: str, act: Callable[[Path, bytes], None], path: Path
) -> None:
    """It is what it was, but who read it meanwhile may have read something else."""
    path.with_suffix(".json").write_text("{}")
    content = ModelContent(path, path.with_suffix(".json"))
    content.add_external(["model.weights"])
    touched = path.with_suffix(suffix)

    act(touched, touched.read_bytes())

    with pytest.raises(FileTouched, match=rf"{touched.name}: .*found it touched meanwhile"):
        content.check_unchanged()


@TOUCHES
def test_a_file_that_is_touched_once_is_read_again(
    act: Callable[[Path, bytes], None], path: Path, options: EngineOptions, load: LoadModel
) -> None:
    """A backup links it, or somebody copies the same content over it: it is loaded all the same."""
    acts = iter([lambda: act(path, path.read_bytes())])

    model = load_interrupted(path, options, lambda: next(acts, lambda: None)())

    assert model.digest == load(path).digest


class Momentary(GraphReader):
    """Reads a graph; while a session is made of the file for the first time, it is another."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__()
        self._path, self._others = path, [content]

    def answer(self) -> Any:
        """Put the other content there, and its own back when more is asked of the graph."""
        report = super().answer()
        if not self._others:
            return report
        own = self._path.read_bytes()
        self._path.write_bytes(self._others.pop())
        return PutBack(report, lambda: self._path.write_bytes(own))


class PutBack:
    """A report on a graph that acts when it is asked for `meanings`: sessions are there by then."""

    def __init__(self, report: GraphReport, act: Callable[[], object]) -> None:
        self._report, self._act = report, act

    def __getattr__(self, name: str) -> Any:
        if name == "meanings":
            self._act()
        return getattr(self._report, name)


def test_a_file_of_a_moment_is_never_served(tmp_path: Path, options: EngineOptions) -> None:
    """Its session would answer by the key of the file that was there before, and is there again."""
    path = tmp_path / "model.onnx"
    path.write_bytes(scale_model(2.0))
    reader = Momentary(path, scale_model(3.0))

    file = ModelFile("model", "1", path, None)
    model = load_model(file, options, lambda *_: None, lambda *_: None, reader)
    reader.close()

    [answer] = model.pool.run({"x": np.ones((1, 3), np.float32)})
    assert model.digest == sha256(path.read_bytes()).hexdigest()
    assert answer.tolist() == [[2.0, 2.0, 2.0]]


def test_a_file_that_is_touched_again_and_again_is_refused(
    path: Path, options: EngineOptions
) -> None:
    """Somebody is at it: what was read may be of any time."""
    with pytest.raises(ModelLoadError, match="found it touched meanwhile"):
        load_interrupted(path, options, lambda: link(path, b""))


def test_what_lies_outside_is_not_even_read(tmp_path: Path) -> None:
    """ONNX Runtime refuses it; a device would have no end."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(externally_weighted_model("/dev/zero"))
    (folder / "link").symlink_to("/dev/zero")
    content = ModelContent(folder / "model.onnx", None)

    content.add_external(["/dev/zero", "../../dev/zero", "link"])

    assert content.digest == sha256((folder / "model.onnx").read_bytes()).hexdigest()
