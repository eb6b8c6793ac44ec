"""A load that hangs, or raises whatever it likes: a refusal, and no harm to the next one."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.model.loader import MAX_LEFT_BEHIND, Loader
from ml_pipeline.engine.model.loading import any_left
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import InferenceError, ModelLoadError, NotReady
from tests.models import scale_model
from tests.server import wait_until

LIMIT_SECONDS = 0.3


class Stuck(GraphReader):
    """Hangs when it is asked for the first time, for as long as nobody lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go = threading.Event()

    def answer(self) -> GraphReport:
        """Hang."""
        self.begun.set()
        self.go.wait(30.0)
        return super().answer()


class Raising(GraphReader):
    """Raises what nobody expects, for as long as it is told to."""

    error: Exception | None = None

    def answer(self) -> GraphReport:
        """Raise, or answer."""
        report = super().answer()
        if self.error is not None:
            raise self.error
        return report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(scale_model())
    return path


@pytest.fixture
def stuck() -> Stuck:
    return Stuck()


@pytest.fixture
async def repository(path: Path, stuck: Stuck, options: EngineOptions) -> AsyncIterator[Repository]:
    """Its first load hangs; what is left is waited for at the end."""
    opened = Repository(path, options, lambda *_: None, stuck, load_timeout_seconds=LIMIT_SECONDS)
    yield opened
    stuck.go.set()
    await none_left()
    await opened.aclose()


async def none_left() -> None:
    """Wait until no load is at it any more."""
    await asyncio.to_thread(wait_until, lambda: not any_left())


async def test_a_load_that_hangs_is_refused_in_time(repository: Repository) -> None:
    """In words that name the model and the setting."""
    with pytest.raises(ModelLoadError, match=r"^model\.onnx: .* 0\.3 s \(LOAD_TIMEOUT_SECONDS\)"):
        await asyncio.wait_for(repository.reload(), 5.0)


async def test_a_load_that_hangs_does_not_block_the_next(
    path: Path, stuck: Stuck, options: EngineOptions
) -> None:
    """Which has a thread and a reader of its own, while the other still hangs."""
    limit = 5.0  # for the next one, however busy the machine is
    repository = Repository(path, options, lambda *_: None, stuck, load_timeout_seconds=limit)
    with pytest.raises(ModelLoadError):
        await repository.reload()

    (loaded,) = await repository.reload()

    assert loaded.graph.batching.verdict == "independent"
    assert any_left()
    stuck.go.set()
    await none_left()
    await repository.aclose()


async def test_what_was_given_up_is_not_served_late(repository: Repository, stuck: Stuck) -> None:
    """It comes to its end some time, and nobody takes what it has made."""
    with pytest.raises(ModelLoadError):
        await repository.reload()

    stuck.go.set()
    await none_left()

    assert repository.models == []


async def test_who_waits_for_a_load_is_told_that_the_server_ends(
    path: Path, stuck: Stuck, options: EngineOptions
) -> None:
    """Long before the load is done."""
    repository = Repository(path, options, lambda *_: None, stuck)
    waiting = asyncio.create_task(repository.reload())
    await asyncio.to_thread(stuck.begun.wait)

    repository.stop_loading()

    with pytest.raises(NotReady, match="found it shutting down"):
        await asyncio.wait_for(waiting, 5.0)
    assert any_left()
    stuck.go.set()
    await none_left()


async def test_loads_that_hang_are_not_piled_up() -> None:
    """Each has a thread and memory; when there are as many as may be, a load is refused."""
    loader, go = Loader(GraphReader(), limit_seconds=0.05), threading.Event()

    def hang(*_: object) -> list[Model]:
        go.wait(30.0)
        return []

    for _ in range(MAX_LEFT_BEHIND):
        with pytest.raises(ModelLoadError, match="LOAD_TIMEOUT_SECONDS"):
            await loader.load(hang, in_turn=False)

    with pytest.raises(ModelLoadError, match="fewer than 4 loads that hang"):
        await loader.load(hang, in_turn=False)

    go.set()
    await none_left()
    assert await loader.load(hang, in_turn=False) == []


@pytest.mark.parametrize(
    "error",
    [StopIteration(), ZeroDivisionError("float division by zero"), TypeError("no"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_load_raises_is_a_refusal(
    error: Exception, path: Path, options: EngineOptions
) -> None:
    """Of which the cause is kept for the log; the next load is as if nothing had been."""
    reader = Raising()
    repository = Repository(path, options, lambda *_: None, reader)
    reader.error = error

    with pytest.raises(ModelLoadError, match=rf"^model\.onnx: {type(error).__name__}: ") as refused:
        await asyncio.wait_for(repository.reload(), 10.0)

    reader.error = None
    assert refused.value.__cause__ is error
    assert await asyncio.wait_for(repository.reload(), 10.0)
    await repository.aclose()


async def test_whatever_finding_models_raises_is_a_refusal(
    tmp_path: Path, options: EngineOptions
) -> None:
    """Even that does not hang."""
    repository = Repository(tmp_path / ("long" * 200), options, lambda *_: None, GraphReader())

    with pytest.raises(InferenceError, match=r"^MODEL_PATH .*: File name too long$"):
        await asyncio.wait_for(repository.reload(), 10.0)
