"""What this replica serves, told as announcements tell it, and made to be as one says."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.log import get_logger
from ml_pipeline.replicas.announcements import Reloaded


class Served:
    """The models of one replica. Event loop only; a line in the log for each that comes or goes.

    Mutable state: the names of all models so far.

    Args:
        repository: The models.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._names_so_far: set[str] = set()

    async def reload(self, unloaded: Sequence[str] = ()) -> list[Model]:
        """Load everything anew, but for what is to stay unloaded.

        Raises:
            InferenceError: What `Repository.reload` raises.
        """
        return self._noted(await self._repository.reload(unloaded))

    async def load(self, name: str) -> list[Model]:
        """Load one model anew.

        Raises:
            InferenceError: What `Repository.load` raises.
        """
        return self._noted(await self._repository.load(name))

    async def unload(self, name: str) -> None:
        """Take one model out.

        Raises:
            InferenceError: What `Repository.unload` raises.
        """
        await self._repository.unload(name)
        get_logger().info("model_unloaded", model=name)

    async def become(self, news: Reloaded) -> None:
        """Load or unload the one model that differs; where several do, load everything anew.

        Raises:
            InferenceError: A model is not there, or cannot be loaded.
        """
        here, there = self.digests, news.digests
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        name = differing[0] if len(differing) == 1 else ""
        if name in there and (name in here or name in self._repository.unloaded):
            await self.load(name)
        elif name in news.unloaded:
            await self._repository.unload(name)
        else:
            await self.reload(news.unloaded)

    @property
    def names(self) -> list[str]:
        """Of the models whose announcements are of interest: served, or taken out."""
        return sorted({*self.digests, *self._repository.unloaded})

    @property
    def digests(self) -> dict[str, str]:
        """Content digest by model; of several versions one for all."""
        versions: dict[str, list[str]] = {}
        for model in self._repository.models:
            versions.setdefault(model.name, []).append(model.digest)
        return {name: _together(digests) for name, digests in versions.items()}

    def announcement(self, replica: str) -> Reloaded:
        """Say what is served, as an announcement without a number."""
        gone = self._names_so_far.difference(self.names)
        self._names_so_far.update(self.names)
        unloaded = sorted(self._repository.unloaded)
        return Reloaded(replica, 0, self.digests, unloaded, sorted(gone))

    def difference(self, news: Reloaded) -> str:
        """Name the first model that is not as announced; empty if all are."""
        here = self.digests
        for name, digest in news.digests.items():
            if here.get(name) != digest:
                found = here.get(name, "none")
                return f"{name}: expected digest {digest[:12]}, found {found[:12]}"
        for name in news.unloaded:
            if name in here:
                return f"{name}: expected it to be unloaded, found it served"
        return ""

    def _noted(self, loaded: list[Model]) -> list[Model]:
        self._names_so_far.update(self.names)
        for model in loaded:
            _log_loaded(model)
        return loaded


def _together(digests: list[str]) -> str:
    """One digest for all versions of a model; of a lone one its own."""
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _log_loaded(model: Model) -> None:
    """Write a line for a loaded model, with a warning where batching is off."""
    fields: dict[str, Any] = {
        "model": model.name,
        "version": model.version,
        "digest": model.digest[:12],
        "seconds": round(model.load_seconds, 3),
    }
    get_logger().info("model_loaded", **fields)
    if model.batching_reason is not None:
        get_logger().warning("batching_off", model=model.name, reason=model.batching_reason)
