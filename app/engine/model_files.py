"""Where models lie under `MODEL_PATH`, and which of their versions are served.

Two layouts, and a lone file:

- flat: `your_model.onnx` with `model_metadata.json` beside it; of several `.onnx` files each may
  have its own `NAME.json`;
- versioned: `NAME/VERSION/model.onnx` with `metadata.json` beside it. Which of them are served,
  `versions` in `NAME/metadata.json` says: so many of the latest (1 without it), or a list of them.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from app.errors import ModelLoadError

SUFFIXES = (".onnx", ".ort")


class ModelFile(msgspec.Struct, frozen=True):
    """A model on disk, and what it is called unless its metadata says otherwise.

    Attributes:
        name: Of the file, or of the folder of its versions.
        version: Of the version's folder; 1 where there is none.
        chosen: Whether it is served: False for versions that are only there.
        called: What it is called all the same, whatever its metadata says.
    """

    name: str
    version: str
    path: Path
    metadata_path: Path | None
    chosen: bool = True
    called: str | None = None


class VersionPolicy(msgspec.Struct, frozen=True):
    """Contents of `NAME/metadata.json`; other keys are ignored."""

    versions: Annotated[int, msgspec.Meta(ge=1)] | list[int | str] = 1


def find_models(path: Path, called: str | None = None) -> list[ModelFile]:
    """List the models under a folder, or the one in a file: by name, then version, oldest first.

    Args:
        path: Folder or file.
        called: The name of the only one, in place of its own.

    Raises:
        ModelLoadError: Nothing is there, a version that should be served is not, or there are
            several where one is to be called by a name.
    """
    files = _find(path)
    if called is None:
        return files
    names = sorted({file.name for file in files})
    if len(names) > 1:
        raise ModelLoadError(f"MODEL_NAME: expected one model, found {', '.join(names)}")
    return [msgspec.structs.replace(file, called=called) for file in files]


def _find(path: Path) -> list[ModelFile]:
    if path.is_file():
        return [_flat(path, alone=True)]
    if not path.is_dir():
        raise ModelLoadError(f"MODEL_PATH {path}: expected a file or folder, found nothing")
    flat = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    files = [_flat(file, alone=len(flat) == 1) for file in flat]
    for folder in sorted(path.iterdir()):
        files += _versioned(folder)
    if not files:
        raise ModelLoadError(
            f"MODEL_PATH {path}: expected *.onnx or NAME/VERSION/model.onnx, found neither"
        )
    return files


def _flat(path: Path, *, alone: bool) -> ModelFile:
    own, shared = path.with_suffix(".json"), path.parent / "model_metadata.json"
    metadata_path = own if own.is_file() else shared if alone and shared.is_file() else None
    return ModelFile(path.stem, "1", path, metadata_path)


def _versioned(folder: Path) -> list[ModelFile]:
    if not folder.is_dir():
        return []
    found = {each.name: _model_in(each) for each in folder.iterdir() if each.name.isdecimal()}
    versions = sorted((name for name, path in found.items() if path is not None), key=int)
    if not versions:
        return []
    chosen = _chosen(folder, versions)
    files = []
    for version in versions:
        path, metadata_path = found[version], folder / version / "metadata.json"
        assert path is not None
        files.append(
            ModelFile(
                folder.name,
                version,
                path,
                metadata_path if metadata_path.is_file() else None,
                version in chosen,
            )
        )
    return files


def _model_in(folder: Path) -> Path | None:
    paths = [folder / f"model{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def _chosen(folder: Path, versions: list[str]) -> list[str]:
    path = folder / "metadata.json"
    policy = VersionPolicy()
    if path.is_file():
        try:
            policy = msgspec.json.decode(path.read_bytes(), type=VersionPolicy)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelLoadError(f"{folder.name}/{path.name}: {error}") from None
    if isinstance(policy.versions, int):
        return versions[-policy.versions :]
    named = [str(version) for version in policy.versions]
    for version in named:
        if version not in versions:
            raise ModelLoadError(
                f"{folder.name}/{path.name}: versions: expected some of {', '.join(versions)}, "
                f"found {version[:24]}"
            )
    return named
