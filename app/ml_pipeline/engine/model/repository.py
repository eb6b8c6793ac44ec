"""The models that answer, by name and version: loaded, replaced, taken out, while others answer.

Where they lie is `model_files.py`, what one is `model.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.load_model import OnBatch, load_model
from ml_pipeline.engine.model.loader import Loader
from ml_pipeline.engine.model.loading import Loading, load_each
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.named_files import NamedFile, check_metadata, find_named
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import ModelLoadError, ModelNotFound, NotReady

SHUTTING_DOWN = "server: expected to be running, found it shutting down"

Versions = dict[str, Model]
"""By version, the default last."""


class IndexEntry(NamedTuple):
    """A version that is served or could be; the reason says why it is not."""

    name: str
    version: str
    ready: bool
    reason: str


class Repository:
    """Event loop only, but for loading, which has a thread.

    Mutable state: the models, replaced as a whole by a reload; the names that were taken out; those
    whose rows were found not to stay apart; and the tasks that drain replaced models.

    Args:
        path: File or folder.
        options: How models are opened and run.
        on_batch: Observer of finished runs.
        graphs: Reads the models' graphs.
        called: The name of the only model, in place of its own.
        load_timeout_seconds: Longest that loading one model may take.

    Attributes:
        unloaded: Names of models that were taken out, until they are loaded again.
        on_refused: Told of a load that was refused.
        on_disproved: Told of a model whose rows were found not to stay apart in service here.
        recall: Awaited with models before they answer, to `disprove` those that others have.
    """

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        on_batch: OnBatch,
        graphs: GraphReader,
        *,
        called: str | None = None,
        load_timeout_seconds: float = inf,
    ) -> None:
        self._path = path
        self._called = called
        self._options = options
        self._on_batch = on_batch
        self._models: dict[str, Versions] = {}
        self._only: Versions | None = None  # of the model whose name need not be told
        self.unloaded: frozenset[str] = frozenset()
        self._loader = Loader(graphs, load_timeout_seconds)
        self._disproofs: dict[bytes, str] = {}
        self.on_refused: Callable[[ModelLoadError], None] | None = None
        self.on_disproved: Callable[[Model], None] | None = None
        self.recall: Callable[[list[Model]], Awaitable[None]] | None = None
        self._looking: Loading[list[NamedFile]] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._closed = False

    @property
    def models(self) -> list[Model]:
        """The models that answer, by name and version."""
        return [model for versions in self._models.values() for model in versions.values()]

    def get(self, name: str | None, version: str | None = None) -> Model:
        """Find a model; without a name, the only one, without a version, the default.

        Raises:
            ModelNotFound: No model of that name or version, or no name where there are several.
        """
        versions = self._only if name is None else self._models.get(name)
        if versions is None:
            found = "none" if name is None else repr(name[:64])
            expected = ", ".join(self._models) or "those that are loaded, which are none"
            raise ModelNotFound(f"model: expected one of {expected}, found {found}")
        if version is None:
            return versions[next(reversed(versions))]
        if version not in versions:
            expected = ", ".join(versions)
            raise ModelNotFound(f"version: expected one of {expected}, found {version[:64]!r}")
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """Those of a model that are served; the default is the last."""
        return list(self._models.get(name, ()))

    async def reload(self, unloaded: Collection[str] = ()) -> list[Model]:
        """Load everything under the path anew and swap it in; the old models drain.

        New models are built and warmed beside the old ones; the swap is one assignment. A file
        that cannot be loaded leaves everything as it was.

        Args:
            unloaded: Names of models that are left out, until they are loaded by name.

        Returns:
            The models that were loaded.

        Raises:
            ModelLoadError: Nothing has been replaced.
            NotReady: The repository was closed in the meantime.
        """
        async with self._reloading:
            loaded = await self._open(lambda name: name not in unloaded)
            self.unloaded = frozenset(unloaded)
            self._swap(_by_name(loaded))
            return loaded

    async def load(self, name: str) -> list[Model]:
        """Load one model's versions anew, or one that is not served; others are left alone.

        Raises:
            ModelNotFound: There is no such model under the path.
            ModelLoadError: Nothing has been replaced.
            NotReady: The repository was closed in the meantime.
        """
        async with self._reloading:
            loaded = await self._open(lambda found: found == name)
            if not loaded:
                raise ModelNotFound(f"model: expected one under MODEL_PATH, found no {name[:64]!r}")
            self.unloaded -= {name}
            others = [model for model in self.models if model.name != name]
            self._swap(_by_name([*others, *loaded]))
            return loaded

    async def unload(self, name: str) -> None:
        """Take a model out, with all of its versions; requests under way are answered.

        Raises:
            ModelNotFound: It is not served.
        """
        async with self._reloading:
            self.get(name)
            self.unloaded |= {name}
            self._swap(_by_name([model for model in self.models if model.name != name]))

    async def index(self) -> list[IndexEntry]:
        """List what is served, and what lies under the path and is not."""
        if self._looking is None or self._looking.result.done():
            self._looking = Loading(lambda _: self._on_disk())  # not behind a load under way
        on_disk = await asyncio.shield(self._looking.result)
        served = {model.file.path: model for model in self.models}
        entries = [IndexEntry(model.name, model.version, True, "") for model in served.values()]
        for file, name in on_disk:
            if file.path not in served:
                reason = "not loaded" if file.chosen else "not chosen by the version policy"
                reason = file.fault or reason
                if name in self.unloaded:
                    reason = "unloaded"
                entries.append(IndexEntry(name, file.version, False, reason))
        return sorted(entries)

    def disprove(self, identity: bytes, reason: str) -> list[Model]:
        """Take note that the rows of a model do not stay apart, for as long as this process runs.

        Args:
            identity: Its first.
            reason: In words.

        Returns:
            Served models that are of this identity, and were not known to be so.
        """
        self._disproofs.setdefault(identity, reason)
        return self._apply_disproofs(self.models)

    def _apply_disproofs(self, models: list[Model]) -> list[Model]:
        found = []
        for model in models:
            reason = self._disproofs.get(model.first_identity)
            if reason is not None and not model.disproof:
                model.disprove(reason)
                found.append(model)
        return found

    def _find_disproved(self, identity: bytes, reason: str) -> None:
        for model in self.disprove(identity, reason):
            if self.on_disproved is not None:
                self.on_disproved(model)

    async def _open(self, wanted: Callable[[str], bool]) -> list[Model]:
        """Load those of the names that are wanted, and learn of disproofs before they answer."""
        if self._closed:
            raise NotReady(SHUTTING_DOWN)
        in_turn = bool(self._models)  # others are answered meanwhile
        try:
            loaded = await self._loader.load(partial(self._load, wanted), in_turn=in_turn)
        except ModelLoadError as error:
            if self.on_refused is not None:
                self.on_refused(error)
            raise
        if self.recall is not None:
            await self.recall(loaded)
        self._apply_disproofs(loaded)
        return loaded

    def stop_loading(self) -> None:
        """Give up the load that is under way, and refuse others: the server ends."""
        self._closed = True
        self._loader.stop(NotReady(SHUTTING_DOWN))

    def _on_disk(self) -> list[NamedFile]:
        """What lies under the path; nothing where that cannot be read."""
        try:
            return find_named(self._path, self._called)
        except ModelLoadError:  # gone, or about to be replaced: what is served is served
            return []

    def _load(
        self, wanted: Callable[[str], bool], graphs: GraphReader, loading: Loading[list[Model]]
    ) -> list[Model]:
        def load(file: ModelFile) -> Model:
            return load_model(file, self._options, self._on_batch, self._find_disproved, graphs)

        found = find_named(self._path, self._called)
        chosen = [each for each in found if each.file.chosen and wanted(each.name)]
        models = load_each([each.file for each in chosen], load, loading)
        check_metadata(self._path, self._called, chosen, models)
        _by_name(models)
        return models

    def _swap(self, models: dict[str, Versions]) -> None:
        """Put models into place; those that are replaced answer what they have, then close.

        Raises:
            NotReady: The repository was closed.
        """
        if self._closed:
            raise NotReady(SHUTTING_DOWN)
        old, self._models = self.models, models
        self._only = next(iter(models.values())) if len(models) == 1 else None
        staying = {id(model) for model in self.models}
        for model in old:
            if id(model) not in staying:
                task = asyncio.create_task(model.aclose())
                self._draining.add(task)
                task.add_done_callback(self._draining.discard)

    async def aclose(self) -> None:
        """Drain every model; idempotent."""
        self._closed = True
        await asyncio.gather(*self._draining, *(model.aclose() for model in self.models))


def _by_name(models: list[Model]) -> dict[str, Versions]:
    """Sort models by name, then by version as they were found.

    Raises:
        ModelLoadError: Two of one name come from different files, or two are of one version.
    """
    found: dict[str, Versions] = {}
    for model in sorted(models, key=lambda each: each.name):
        versions = found.setdefault(model.name, {})
        if any(other.file.name != model.file.name for other in versions.values()):
            other = next(iter(versions.values()))
            raise ModelLoadError(
                f"model_name: expected one {model.name!r}, found two: {other.file.told} and "
                f"{model.file.told}"
            )
        if model.version in versions:
            raise ModelLoadError(
                f"model_version: expected one {model.version!r} of {model.name}, found two"
            )
        versions[model.version] = model
    return found
