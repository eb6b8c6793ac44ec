"""Folders as they are on real disks: what is nobody's model is left out, what is broken is told.

Faults are told with their path below MODEL_PATH and the reason, all of them at once.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_pipeline.errors import ModelLoadError
from tests import models
from tests.conftest import Serve
from tests.models import save_with_external_weights, scale_model
from tests.server import run_python

LFS_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
ROW = [[1.0, 2.0, 3.0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a good model in it."""
    path = tmp_path / "models"
    path.mkdir()
    (path / "good.onnx").write_bytes(scale_model())
    return path


# What is nobody's model.


@pytest.mark.parametrize("name", ["._good.onnx", ".m-checkpoint.onnx", ".hidden.ort"])
async def test_hidden_files_are_ignored(name: str, folder: Path, serve: Serve) -> None:
    """Such as Macs and notebooks leave, whatever is in them."""
    (folder / name).write_bytes(b"\x00\x05\x16\x07" if name.startswith("._") else scale_model())

    served = await serve(folder)

    assert [model.name for model in served.repository.models] == ["good"]


async def test_hidden_folders_are_ignored(folder: Path, serve: Serve) -> None:
    """Such as those in which Jupyter keeps copies, and Kubernetes what its links lead to."""
    (folder / ".ipynb_checkpoints" / "1").mkdir(parents=True)
    (folder / ".ipynb_checkpoints" / "1" / "model.onnx").write_bytes(scale_model())

    served = await serve(folder)

    assert [model.name for model in served.repository.models] == ["good"]


def found_by_nobody(name: str) -> str:
    """What somebody who is not root finds in a folder with a model beside a closed folder."""
    script = f"""
import os, tempfile
from pathlib import Path
from ml_pipeline.engine.files.model_files import find_models
with tempfile.TemporaryDirectory() as path:
    os.chmod(path, 0o755)
    Path(path, "good.onnx").write_bytes(b"model")
    Path(path, {name!r}).mkdir(mode=0)
    if root := os.geteuid() == 0:
        os.seteuid(65534)
    print([(file.told, file.fault) for file in find_models(Path(path))])
    if root:
        os.seteuid(0)
"""
    done = run_python(script)
    return done.stdout.strip() or done.stderr


def test_lost_and_found_is_ignored_closed() -> None:
    """As it is on every ext4 volume."""
    assert found_by_nobody("lost+found") == "[('good.onnx', '')]"


def test_a_closed_folder_is_told() -> None:
    """It may hold a model that somebody misses."""
    assert found_by_nobody("bert") == "[('good.onnx', ''), ('bert', 'Permission denied')]"


async def test_lost_and_found_is_ignored(folder: Path, serve: Serve) -> None:
    """Also where it can be read: what fsck puts there is nobody's model."""
    (folder / "lost+found" / "1").mkdir(parents=True)
    (folder / "lost+found" / "1" / "model.onnx").write_bytes(scale_model())

    served = await serve(folder)

    assert [model.name for model in served.repository.models] == ["good"]


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', "{}", '{"vocabulary": {"a": 1}}'])
async def test_another_programs_json_is_none_of_ours(
    content: str, folder: Path, serve: Serve
) -> None:
    """It may be called like the model; what has no key of ours says nothing."""
    (folder / "good.json").write_text(content)

    served = await serve(folder)

    assert (await served.ask(ROW)).predictions.tolist() == [[2.0, 4.0, 6.0]]


async def test_a_mark_before_metadata_is_passed_over(folder: Path, serve: Serve) -> None:
    """Windows' editors put one there."""
    (folder / "good.json").write_text(json.dumps({"model_name": "better"}), "utf-8-sig")

    served = await serve(folder)

    assert [model.name for model in served.repository.models] == ["better"]


# What is broken.


def _empty(folder: Path) -> None:
    (folder / "m.onnx").touch()


def _pointer(folder: Path) -> None:
    (folder / "m.onnx").write_text(LFS_POINTER)


def _pointer_for_metadata(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(scale_model())
    (folder / "m.json").write_text(LFS_POINTER)


def _link_to_nowhere(folder: Path) -> None:
    (folder / "m.onnx").symlink_to("/nowhere/m.onnx")


def _link_to_itself(folder: Path) -> None:
    (folder / "m.onnx").symlink_to(folder / "m.onnx")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "m.onnx")


def _folder_without_a_model(folder: Path) -> None:
    (folder / "bert.onnx").mkdir()
    (folder / "bert.onnx" / "weights.bin").touch()


def _version_without_a_model(folder: Path) -> None:
    (folder / "bert" / "2" / "model.onnx").mkdir(parents=True)


def _empty_in_a_version(folder: Path) -> None:
    (folder / "bert" / "2").mkdir(parents=True)
    (folder / "bert" / "2" / "model.onnx").touch()


def _metadata_of_a_wrong_type(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(scale_model())
    (folder / "m.json").write_text('{"features": "none"}')


def _metadata_link(folder: Path) -> None:
    (folder / "m.onnx").write_bytes(scale_model())
    (folder / "m.json").symlink_to("/nowhere/m.json")


def _policy(folder: Path) -> None:
    (folder / "bert" / "2").mkdir(parents=True)
    (folder / "bert" / "2" / "model.onnx").write_bytes(scale_model())
    (folder / "bert" / "metadata.json").write_text('{"versions": 0}')


def _pointer_for_weights(folder: Path) -> None:
    save_with_external_weights(folder / "m.onnx", 2.0)
    (folder / "m.weights").write_text(LFS_POINTER)


def _no_weights(folder: Path) -> None:
    save_with_external_weights(folder / "m.onnx", 2.0)
    (folder / "m.weights").unlink()


def _no_model(folder: Path) -> None:
    (folder / "bert" / "2").mkdir(parents=True)
    (folder / "bert" / "2" / "model.onnx").write_bytes(b"no model")


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (_empty, "m.onnx: expected a file with content, found an empty one"),
    (_pointer, "m.onnx: expected a file with content, found a Git LFS pointer: git lfs pull"),
    (_pointer_for_metadata, "m.onnx: m.json: expected JSON, found: a Git LFS pointer: git lfs"),
    (_link_to_nowhere, "m.onnx: expected a file, found a link that leads nowhere"),
    (_link_to_itself, "m.onnx: Too many levels of symbolic links"),
    (_pipe, "m.onnx: expected a file, found a folder, pipe, socket or device"),
    (_folder_without_a_model, "bert.onnx: expected an ONNX file, or a folder that holds model.on"),
    (_version_without_a_model, "bert/2/model.onnx: expected an ONNX file, or a folder that holds"),
    (_empty_in_a_version, "bert/2/model.onnx: expected a file with content, found an empty one"),
    (_metadata_of_a_wrong_type, "m.onnx: m.json: Expected `array | null`, got `str` - at `$.feat"),
    (_metadata_link, "m.onnx: m.json: No such file or directory"),
    (_policy, "bert/metadata.json: Expected `int` >= 1 - at `$.versions`"),
    (_pointer_for_weights, "m.onnx: external data m.weights: expected a file with content, found"),
    (_no_weights, "m.onnx: external data m.weights: expected a file, found none"),
    (_no_model, "bert/2/model.onnx: ONNX Runtime: "),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), BROKEN, ids=[told for _, told in BROKEN])
async def test_what_is_broken_is_told_with_path_and_reason(
    spoil: Callable[[Path], None], told: str, folder: Path, serve: Serve
) -> None:
    """The path is that below MODEL_PATH."""
    spoil(folder)

    with pytest.raises(ModelLoadError) as refused:
        await serve(folder)

    assert refused.value.detail.startswith(told)


async def test_all_that_is_broken_is_told_at_once(folder: Path, serve: Serve) -> None:
    """So that nobody mends one file a start."""
    _empty_in_a_version(folder)
    _pointer(folder)
    (folder / "text.onnx").write_text("no model")

    with pytest.raises(ModelLoadError) as refused:
        await serve(folder)

    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        *("m.onnx", "text.onnx", "bert/2/model.onnx"),
    ]
    assert all(fault in refused.value.detail for fault in refused.value.faults)


async def test_very_many_faults_are_told_in_part(folder: Path, serve: Serve) -> None:
    """A refusal is an answer, too."""
    for number in range(50):
        (folder / f"{number:02}.onnx").touch()

    with pytest.raises(ModelLoadError) as refused:
        await serve(folder)

    assert len(refused.value.faults) == 50
    assert refused.value.detail.endswith("; and 30 more, which the log has")


async def test_the_index_says_why_a_model_is_not_served(folder: Path, serve: Serve) -> None:
    """What broke after the start is listed with the reason."""
    served = await serve(folder)
    _empty(folder)

    entries = {entry.name: entry.reason for entry in await served.repository.index()}

    assert entries == {"good": "", "m": "expected a file with content, found an empty one"}


async def test_a_broken_neighbour_keeps_no_model_from_being_loaded(
    folder: Path, serve: Serve
) -> None:
    """By its name; a reload of all is refused."""
    served = await serve(folder)
    _empty(folder)

    loaded = await served.repository.load("good")

    assert [model.name for model in loaded] == ["good"]
    with pytest.raises(ModelLoadError, match=r"^m\.onnx: "):
        await served.repository.reload()


# A folder in place of a file, as Triton has it.


@pytest.mark.parametrize("place", ["bert/1/model.onnx", "bert.onnx"])
async def test_a_folder_in_place_of_the_file_is_served(
    place: str, folder: Path, serve: Serve
) -> None:
    """With the weights in it."""
    (folder / place).mkdir(parents=True)
    save_with_external_weights(folder / place / "model.onnx", 3.0)

    served = await serve(folder)

    assert (await served.ask(ROW, model="bert")).predictions.tolist() == [[3.0, 6.0, 9.0]]


async def test_versions_may_lie_in_a_folder_named_like_a_model(folder: Path, serve: Serve) -> None:
    """A dot is a sign like any other."""
    (folder / "bert.onnx" / "3").mkdir(parents=True)
    (folder / "bert.onnx" / "3" / "model.onnx").write_bytes(models.scale_model(3.0))

    served = await serve(folder)

    assert served.repository.versions("bert.onnx") == ["3"]
