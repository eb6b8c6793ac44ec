"""Where models lie under `MODEL_PATH`, and which of their versions are served.

Two layouts, and a lone file:

- flat: `your_model.onnx` with `model_metadata.json` beside it; of several `.onnx` files each may
  have its own `NAME.json`;
- versioned: `NAME/VERSION/model.onnx` with `metadata.json` beside it. Which of them are served,
  `versions` in `NAME/metadata.json` says: so many of the latest (1 without it), or a list of them.

In place of an ONNX file there may be a folder of its name that holds `model.onnx`, and its weights:
so Triton has them. What is hidden, and `lost+found`, is nobody's model. What should be one and
cannot be read is listed with the reason: `files_on_disk.py`.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from ml_pipeline.engine.files.files_on_disk import fault_of, is_there, reason_of
from ml_pipeline.engine.files.model_names import ADDRESSABLE, is_addressable
from ml_pipeline.errors import ModelLoadError

SUFFIXES = (".onnx", ".ort")

FOREIGN = "lost+found"
"""Of every ext4 volume: root's, and closed to all others."""


class ModelFile(msgspec.Struct, frozen=True):
    """A model on disk, and what it is called unless its metadata says otherwise.

    Attributes:
        name: Of the file, or of the folder of its versions.
        version: Of the version's folder; 1 where there is none.
        chosen: Whether it is served: False for versions that are only there.
        called: What it is called all the same, whatever its metadata says.
        place: Its path for people, relative to MODEL_PATH; empty where that is its name.
        fault: Why it cannot be read; empty where nothing is known to be in the way.
    """

    name: str
    version: str
    path: Path
    metadata_path: Path | None
    chosen: bool = True
    called: str | None = None
    place: str = ""
    fault: str = ""

    @property
    def told(self) -> str:
        """Its path for people."""
        return self.place or self.path.name


class VersionPolicy(msgspec.Struct, frozen=True):
    """Contents of `NAME/metadata.json`; other keys are ignored."""

    versions: Annotated[int, msgspec.Meta(ge=1)] | list[int | str] = 1


def find_models(path: Path, called: str | None = None) -> list[ModelFile]:
    """List the models under a folder, or the one in a file: by name, then version, oldest first.

    Args:
        path: Folder or file.
        called: The name of the only one, in place of its own.

    Raises:
        ModelLoadError: Nothing is there, or there are several where one is to be called by a name,
            or that is none that a path can hold.
        OSError: The path itself cannot be read.
    """
    files = _find(path)
    if called is None:
        return files
    if not is_addressable(called):
        raise ModelLoadError(f"MODEL_NAME: {ADDRESSABLE}, found {called[:64]!r}")
    names = sorted({file.name for file in files})
    if len(names) > 1:
        raise ModelLoadError(f"MODEL_NAME: expected one model, found {', '.join(names)}")
    return [msgspec.structs.replace(file, called=called) for file in files]


def _find(path: Path) -> list[ModelFile]:
    if not is_there(path):
        raise ModelLoadError(f"MODEL_PATH {path}: expected a file or folder, found nothing")
    if not path.is_dir():
        return [_flat(path, alone=True)]
    entries = [entry for entry in sorted(path.iterdir()) if not _is_foreign(entry)]
    versions = {entry: _versioned(entry) for entry in entries}
    flat = [entry for entry in entries if entry.suffix in SUFFIXES and not versions[entry]]
    files = [_flat(entry, alone=len(flat) == 1) for entry in flat]
    files += [file for entry in entries for file in versions[entry]]
    if not files:
        raise ModelLoadError(
            f"MODEL_PATH {path}: expected *.onnx or NAME/VERSION/model.onnx, found neither"
        )
    return files


def _is_foreign(path: Path) -> bool:
    """Whether it is hidden, such as what editors, Macs and mounts leave behind."""
    return path.name.startswith(".") or path.name == FOREIGN


def _flat(path: Path, *, alone: bool) -> ModelFile:
    own, shared = path.with_suffix(".json"), path.parent / "model_metadata.json"
    metadata_path = own if is_there(own) else shared if alone and is_there(shared) else None
    file, fault = _onnx_file(path)
    place = str(file.relative_to(path.parent))
    return ModelFile(path.stem, "1", file, metadata_path, place=place, fault=fault)


def _versioned(folder: Path) -> list[ModelFile]:
    """List the versions in a folder; none if it is no folder, or has none."""
    try:
        if not folder.is_dir():
            return []
        places = [each for each in folder.iterdir() if each.name.isdecimal()]
        found = {each.name: file for each in places if (file := _version(folder.name, each))}
        if not found:
            return []
        versions = sorted(found, key=int)
        chosen = _chosen(folder, versions)
    except (OSError, ModelLoadError) as error:
        place = folder.name if isinstance(error, OSError) else f"{folder.name}/metadata.json"
        fault = reason_of(error)
        return [ModelFile(folder.name, "1", folder, None, place=place, fault=fault)]
    return [
        msgspec.structs.replace(found[version], chosen=version in chosen) for version in versions
    ]


def _version(name: str, folder: Path) -> ModelFile | None:
    """Describe the model in a version's folder; None if there is none."""
    place = f"{name}/{folder.name}"
    try:
        path = next((path for path in map(folder.joinpath, _names()) if is_there(path)), None)
        if path is None:
            return None
        metadata_path: Path | None = folder / "metadata.json"
        if metadata_path is not None and not is_there(metadata_path):
            metadata_path = None
    except OSError as error:
        return ModelFile(name, folder.name, folder, None, place=place, fault=reason_of(error))
    file, fault = _onnx_file(path)
    place = f"{place}/{file.relative_to(folder)}"
    return ModelFile(name, folder.name, file, metadata_path, place=place, fault=fault)


def _names() -> list[str]:
    return [f"model{suffix}" for suffix in SUFFIXES]


def _onnx_file(path: Path) -> tuple[Path, str]:
    """Find the file itself, which may be in a folder of its name, and what is wrong with it."""
    try:
        if not path.is_dir():
            return path, fault_of(path)
        inside = next((each for each in map(path.joinpath, _names()) if is_there(each)), None)
    except OSError as error:
        return path, reason_of(error)
    if inside is None:
        return path, "expected an ONNX file, or a folder that holds model.onnx; found neither"
    return inside, fault_of(inside)


def _chosen(folder: Path, versions: list[str]) -> list[str]:
    path = folder / "metadata.json"
    policy = VersionPolicy()
    if is_there(path):
        try:
            policy = msgspec.json.decode(path.read_bytes(), type=VersionPolicy)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelLoadError(str(error)) from None
        except OSError as error:
            raise ModelLoadError(reason_of(error)) from None
    if isinstance(policy.versions, int):
        return versions[-policy.versions :]
    named = [str(version) for version in policy.versions]
    for version in named:
        if version not in versions:
            raise ModelLoadError(
                f"versions: expected some of {', '.join(versions)}, found {version[:24]}"
            )
    return named
