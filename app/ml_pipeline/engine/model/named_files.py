"""Model files and the names that they are served by, which their metadata may give."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ml_pipeline.engine.files.files_on_disk import reason_of
from ml_pipeline.engine.files.model_files import ModelFile, find_models
from ml_pipeline.engine.model.model import Model, served_name
from ml_pipeline.errors import ModelLoadError


class NamedFile(NamedTuple):
    """A model on disk, and what it is called."""

    file: ModelFile
    name: str


def find_named(path: Path, called: str | None) -> list[NamedFile]:
    """List what lies under a path, each with the name that it is served by.

    Args:
        path: File or folder.
        called: The name of the only model, in place of its own.

    Raises:
        ModelLoadError: Nothing is there, or it cannot be read.
    """
    return [NamedFile(file, _name_of(file)) for file in _find(path, called)]


def check_metadata(
    path: Path, called: str | None, chosen: Iterable[NamedFile], models: Iterable[Model]
) -> None:
    """See that each model has the metadata file, and the name, that it was chosen by.

    Args:
        path: As for `find_named`.
        called: Likewise.
        chosen: What was found before the load.
        models: What was made of each.

    Raises:
        ModelLoadError: It came, went, or says another name meanwhile.
    """
    found = {file.path: file.metadata_path for file in _find(path, called)}
    for (file, name), model in zip(chosen, models, strict=True):
        if model.name != name or found.get(file.path, file.metadata_path) != file.metadata_path:
            raise ModelLoadError(
                f"{file.told}: expected its metadata to stay as it is, found it changed"
            )


def _find(path: Path, called: str | None) -> list[ModelFile]:
    try:
        return find_models(path, called)
    except OSError as error:  # a folder that is gone by now, or closed to us
        raise ModelLoadError(f"MODEL_PATH {path}: {reason_of(error)}") from None


def _name_of(file: ModelFile) -> str:
    """What a model is called; its file's name where its metadata is broken, which loading tells."""
    try:
        return served_name(file)
    except ModelLoadError:
        return file.name
