"""The model repository: files under `MODEL_PATH` → models that answer.

Two layouts, and a lone file:

- flat: `your_model.onnx` with `model_metadata.json` beside it; of several `.onnx` files each may
  have its own `NAME.json`;
- versioned: `NAME/VERSION/model.onnx` with `metadata.json` beside it; the highest number is served.
"""

import asyncio
from pathlib import Path

from app.engine.model import EngineOptions, Model, ModelFile, OnBatch, load_model
from app.errors import ModelLoadError, ModelNotFound, NotReady


def find_models(path: Path) -> list[ModelFile]:
    """List the models under a folder, or the one in a file, by name.

    Raises:
        ModelLoadError: Nothing is there.
    """
    if path.is_file():
        return [_flat(path, alone=True)]
    if not path.is_dir():
        raise ModelLoadError(f"MODEL_PATH {path}: expected a file or folder, found nothing")
    flat = sorted(path.glob("*.onnx"))
    files = [_flat(file, alone=len(flat) == 1) for file in flat]
    files += [_latest(folder) for folder in sorted(path.iterdir()) if _versions(folder)]
    if not files:
        raise ModelLoadError(
            f"MODEL_PATH {path}: expected *.onnx or NAME/VERSION/model.onnx, found neither"
        )
    return files


def _flat(path: Path, *, alone: bool) -> ModelFile:
    own, shared = path.with_suffix(".json"), path.parent / "model_metadata.json"
    metadata_path = own if own.is_file() else shared if alone and shared.is_file() else None
    return ModelFile(path.stem, "1", path, metadata_path)


def _versions(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [v for v in folder.iterdir() if v.name.isdecimal() and (v / "model.onnx").is_file()]


def _latest(folder: Path) -> ModelFile:
    version = max(_versions(folder), key=lambda v: int(v.name))
    metadata_path = version / "metadata.json"
    return ModelFile(
        folder.name,
        version.name,
        version / "model.onnx",
        metadata_path if metadata_path.is_file() else None,
    )


class Repository:
    """The models that answer, by name. Event loop only, but for loading, which has a thread.

    Mutable state: the dict of models, replaced as a whole by a reload, and the tasks that drain
    replaced models.

    Args:
        path: File or folder.
        options: How models are opened and run.
        on_batch: Observer of finished runs.
    """

    def __init__(self, path: Path, options: EngineOptions, on_batch: OnBatch) -> None:
        self._path = path
        self._options = options
        self._on_batch = on_batch
        self._models: dict[str, Model] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._closed = False

    @property
    def models(self) -> list[Model]:
        """The models that answer, by name."""
        return list(self._models.values())

    def get(self, name: str | None) -> Model:
        """Find a model; without a name, the only one.

        Raises:
            ModelNotFound: No model of that name, or no name where there are several.
        """
        if name is None and len(self._models) == 1:
            return next(iter(self._models.values()))
        model = self._models.get(name or "")
        if model is None:
            found = "none" if name is None else repr(name[:64])
            expected = ", ".join(self._models)
            raise ModelNotFound(f"model: expected one of {expected}, found {found}")
        return model

    async def reload(self) -> list[Model]:
        """Load everything under the path anew and swap it in; the old models drain.

        New models are built and warmed beside the old ones; the swap is one assignment. A file
        that cannot be loaded leaves everything as it was.

        Returns:
            The models that were loaded.

        Raises:
            ModelLoadError: Nothing has been replaced.
            NotReady: The repository was closed in the meantime.
        """
        async with self._reloading:
            loaded = await asyncio.to_thread(self._load_all)
            if self._closed:
                raise NotReady("server: expected to be running, found it shutting down")
            old, self._models = self._models, {model.name: model for model in loaded}
            for model in old.values():
                task = asyncio.create_task(model.aclose())
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)
            return loaded

    def _load_all(self) -> list[Model]:
        models: dict[str, Model] = {}
        for file in find_models(self._path):
            try:
                model = load_model(file, self._options, self._on_batch)
            except (OSError, ValueError) as error:  # gone, emptied or replaced while it is read
                raise ModelLoadError(f"{file.path.name}: {error}") from None
            if model.name in models:
                raise ModelLoadError(f"model_name: expected one {model.name!r}, found two")
            models[model.name] = model
        return [models[name] for name in sorted(models)]

    async def aclose(self) -> None:
        """Drain every model; idempotent."""
        self._closed = True
        await asyncio.gather(*self._draining, *(model.aclose() for model in self.models))
