"""What a piece of work ends with."""

from collections.abc import Coroutine
from typing import Any

from ml_pipeline.fronts.http.work import Work
from tests.http.serving import eventually


class Log:
    """What a piece of work was done with; given to `Work` as `done`."""

    def __init__(self) -> None:
        self.done: list[str | None] = []

    def start(self, coroutine: Coroutine[Any, Any, str]) -> Work[str]:
        """Begin a piece of work."""
        work = Work(coroutine, self.done.append)
        work.go_on()
        return work

    async def wait(self) -> None:
        """Wait until it is done."""
        await eventually(lambda: bool(self.done))
