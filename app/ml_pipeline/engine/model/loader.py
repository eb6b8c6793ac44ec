"""Begins loads, ends those that hang, and keeps count of what these leave behind."""

from collections.abc import Callable
from functools import partial

from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.loading import Loading
from ml_pipeline.engine.model.model import Model
from ml_pipeline.errors import InferenceError, ModelLoadError

MAX_LEFT_BEHIND = 4
"""Loads that hang, each with a thread and what it has read: with as many, no more are begun."""

LoadModels = Callable[[GraphReader, Loading[list[Model]]], list[Model]]
"""Called on a thread of its own; says to the latter what it is at."""


class Loader:
    """Event loop only. Mutable state: the load under way, and those that were given up.

    Args:
        graphs: Reads the models' graphs.
        limit_seconds: Longest that one model may take.
    """

    def __init__(self, graphs: GraphReader, limit_seconds: float) -> None:
        self._graphs = graphs
        self._limit_seconds = limit_seconds
        self._under_way: Loading[list[Model]] | None = None
        self._left_behind: list[Loading[list[Model]]] = []

    async def load(self, load: LoadModels, *, in_turn: bool) -> list[Model]:
        """Load, one at a time.

        Args:
            load: What is to be done.
            in_turn: Whether graphs are read before their models are loaded, not beside.

        Raises:
            InferenceError: What it raises, or `stop` is told.
            ModelLoadError: It takes too long, or too many have.
        """
        self._left_behind = [each for each in self._left_behind if each.running]
        if len(self._left_behind) >= MAX_LEFT_BEHIND:
            raise ModelLoadError(
                f"MODEL_PATH: expected fewer than {MAX_LEFT_BEHIND} loads that hang, found as "
                "many; the server has to be started anew"
            )
        graphs = self._graphs
        graphs.in_turn = in_turn
        loading: Loading[list[Model]] = Loading(partial(_load_and_rest, graphs, load))
        self._under_way = loading
        try:
            return await loading.wait(self._limit_seconds)
        finally:
            self._under_way = None
            if not loading.finished:
                loading.give_up(ModelLoadError(f"{loading.place}: nobody waits for it any more"))
                loading.result.exception()  # seen: asyncio need not complain
                graphs.abandon()  # its thread may be waiting for it
                self._graphs = GraphReader()
                self._left_behind.append(loading)

    def stop(self, error: InferenceError) -> None:
        """Give up the load that is under way, whose caller gets an error."""
        if self._under_way is not None:
            self._under_way.give_up(error)
            self._graphs.abandon()


def _load_and_rest(
    graphs: GraphReader, load: LoadModels, loading: Loading[list[Model]]
) -> list[Model]:
    try:
        return load(graphs, loading)
    finally:
        graphs.rest()
