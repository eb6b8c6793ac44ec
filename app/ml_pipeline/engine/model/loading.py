"""A load under way: on a thread of its own, which can be left to itself.

A call into ONNX Runtime, or into a disk that does not answer, cannot be interrupted. So nobody has
to wait for a load: who awaits it goes when it takes too long, or when the server ends, and the
thread, a daemon, ends with what it is at, or with the process.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Generic, TypeVar

from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.sessions.thread_priority import LOADER_NICENESS, give_way
from ml_pipeline.errors import InferenceError, ModelLoadError

Result = TypeVar("Result")

THREAD_NAME = "loader"

LONGEST_SLEEP_SECONDS = 3600.0
"""Event loops take no infinite one."""


class Loading(Generic[Result]):
    """Begins at once; made and awaited on the event loop.

    Mutable state: `result`, `finished`, and what the thread says it is at: `place` and `_since`.

    Args:
        work: Called with this object, on the thread.

    Attributes:
        result: Done when the work is, or when somebody has given it up.
        place: What is being loaded, for people.
        finished: Whether the work has been done, well or not, before anybody gave it up.
    """

    def __init__(self, work: Callable[["Loading[Result]"], Result]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._since = monotonic()
        self.place = "MODEL_PATH"
        self.finished = False
        self.result: asyncio.Future[Result] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread still is at it, whoever waits."""
        return self._thread.is_alive()

    def begin(self, place: str) -> None:
        """Say what is loaded next; its thread alone.

        Raises:
            ModelLoadError: It was given up, so the rest is not loaded.
        """
        if self.result.done():
            raise ModelLoadError(f"{place}: nobody waits for it any more")
        self.place, self._since = place, monotonic()

    async def wait(self, limit_seconds: float) -> Result:
        """Wait for the result.

        Args:
            limit_seconds: Longest that one model may take.

        Raises:
            ModelLoadError: It took longer, and is given up.
            InferenceError: What the work has raised, or `give_up` was told.
        """
        while not self.result.done():
            left = self._since + limit_seconds - monotonic()
            if left <= 0:
                self.give_up(
                    ModelLoadError(
                        f"{self.place}: expected to be loaded within {limit_seconds:g} s "
                        "(LOAD_TIMEOUT_SECONDS), found it not done; it cannot be interrupted, and "
                        "is left to itself"
                    )
                )
            await asyncio.wait({self.result}, timeout=min(max(left, 0.0), LONGEST_SLEEP_SECONDS))
        return self.result.result()

    def give_up(self, error: InferenceError) -> None:
        """Let whoever waits go with an error."""
        if not self.result.done():
            self.result.set_exception(error)

    def _run(self) -> None:
        give_way(LOADER_NICENESS)
        value, error = None, None
        try:
            value = self._work(self)
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._tell, value, error)

    def _tell(self, value: Any, error: Exception | None) -> None:
        if self.result.done():
            return
        self.finished = True
        if error is None:
            self.result.set_result(value)
        elif isinstance(error, InferenceError):
            self.result.set_exception(error)
        else:  # a fault of ours; some, such as StopIteration, cannot be set into a future
            refusal = ModelLoadError(f"{self.place}: {type(error).__name__}: {error}"[:300])
            refusal.__cause__ = error
            self.result.set_exception(refusal)


def any_left() -> bool:
    """Tell whether a load is still at it: Python must not be wound up beside its thread."""
    return any(thread.name == THREAD_NAME for thread in threading.enumerate())


def load_each(
    files: list[ModelFile], load: Callable[[ModelFile], Model], loading: "Loading[list[Model]]"
) -> list[Model]:
    """Load models one after the other; if any cannot be, all that cannot are told.

    Raises:
        ModelLoadError: A fault for each of them.
    """
    models: list[Model] = []
    faults: list[ModelLoadError] = []
    for file in files:
        loading.begin(file.told)
        try:
            model = load(file)
        except ModelLoadError as error:
            faults.append(error)
            models.clear()  # none of them will be served
        else:
            if not faults:
                models.append(model)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ModelLoadError(*(error.detail for error in faults))
    return models
