"""Fixtures for all: model files in fresh folders, and the server's inner parts joined in process.

`serve` joins a real repository, cache and predictor, as `build.py` does, without HTTP. Models come
from `tests/models.py`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from ml_pipeline.cache.base import ResponseCache
from ml_pipeline.cache.memory import MemoryCache
from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.load_model import load_model
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.wire.codec import WireFormat
from ml_pipeline.pipeline.answer_cache import AnswerCache
from ml_pipeline.pipeline.batch_predictor import BatchPredictor
from ml_pipeline.pipeline.inference import Inference
from ml_pipeline.pipeline.predictor import Predictor
from ml_pipeline.protocols.base import Call
from ml_pipeline.protocols.predict import PredictCall
from ml_pipeline.protocols.timings import Timings
from tests.lanes import lane_of, no_processes, seconds_of

pytest.register_assert_rewrite("tests.web.problem")  # which several folders use

WriteModel = Callable[..., Path]
LoadModel = Callable[..., Model]
Serve = Callable[..., Awaitable["Served"]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its lane, before `-m` chooses, and with its time."""
    for item in items:
        item.add_marker(lane_of(item.nodeid))
        if (seconds := seconds_of(item.nodeid)) is not None:
            item.add_marker(pytest.mark.timeout(seconds))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test of the unit lane, and its fixtures, start no process."""
    with no_processes(item.nodeid) if item.get_closest_marker("unit") else nullcontext():
        return (yield)


@pytest.fixture(scope="session")
def graphs() -> Iterator[GraphReader]:
    """One reader for all tests, which stays: it takes 0.2 s to start."""
    reader = GraphReader(lasting=True)
    yield reader
    reader.close()


@pytest.fixture
def options() -> EngineOptions:
    """Two lanes; runs of models this small stay on the loop's thread, however slow the machine."""
    return EngineOptions(
        num_sessions=2,
        providers=["CPUExecutionProvider"],
        share_weights_above_bytes=100 * 1024 * 1024,
        max_rows=10_000,
        batch=BatchOptions(
            max_batch_size=256,
            max_queue_size=10_000,
            max_queue_delay_seconds=0.0,
            inline_budget_seconds=1.0,
        ),
    )


@pytest.fixture
def pool_mode(options: EngineOptions) -> EngineOptions:
    """Every run in a lane, none on the loop's thread."""
    return with_batch(options, inline_budget_seconds=0.0)


def with_batch(options: EngineOptions, **changes: Any) -> EngineOptions:
    """Change how models are batched."""
    batch = msgspec.structs.replace(options.batch, **changes)
    return msgspec.structs.replace(options, batch=batch)


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """Write `models/NAME.onnx`, and `models/NAME.json` where there is metadata; give the former."""

    def write(content: bytes, name: str = "model", **metadata: Any) -> Path:
        path = tmp_path / "models" / f"{name}.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if metadata:
            path.with_suffix(".json").write_text(json.dumps(metadata))
        return path

    return write


@pytest.fixture
def load(options: EngineOptions, graphs: GraphReader) -> Iterator[LoadModel]:
    """Load one file as a model, with `NAME.json` beside it where there is one."""
    models: list[Model] = []

    def load(path: Path, options: EngineOptions = options) -> Model:
        metadata_path = path.with_suffix(".json")
        file = ModelFile(path.stem, "1", path, metadata_path if metadata_path.is_file() else None)
        models.append(load_model(file, options, lambda *_: None, lambda *_: None, graphs))
        return models[-1]

    yield load
    for model in models:
        model.pool.close()


class Reply(NamedTuple):
    """One answer, decoded, and what was learned on the way to it."""

    answer: dict[str, Any]
    timings: Timings

    @property
    def predictions(self) -> npt.NDArray[Any]:
        return to_array(self.answer["predictions"])

    @property
    def probabilities(self) -> npt.NDArray[Any]:
        return to_array(self.answer["probabilities"])

    @property
    def cached(self) -> bool:
        return bool(self.answer["model_info"]["cached"])


class Served:
    """Models that answer in process.

    Attributes:
        batches: A record of each finished run, the oldest first.
    """

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        clock: Callable[[], float],
        graphs: GraphReader,
    ) -> None:
        self.batches: list[BatchRecord] = []
        self.repository = Repository(
            path, options, lambda *told: self.batches.append(told[-1]), graphs
        )
        self.cache = MemoryCache(64 * 1024 * 1024, clock=clock)
        self.join(self.cache)

    def join(
        self,
        cache: ResponseCache,
        *,
        default_ttl_seconds: float = 3600,
        max_ttl_seconds: float = 86_400,
    ) -> None:
        """Answer with this cache from now on."""
        self.inference = inference = Inference()
        answers = AnswerCache(
            cache,
            inference,
            default_ttl_seconds=default_ttl_seconds,
            max_ttl_seconds=max_ttl_seconds,
        )
        self.predictor = Predictor(self.repository, inference, answers)
        self.batch_predictor = BatchPredictor(self.repository, inference, answers, max_members=100)

    async def predict(self, call: Call) -> bytes:
        """Answer a call."""
        answer, _ = await self.predictor.predict(call, Timings(monotonic()))
        return answer

    async def ask(
        self,
        rows: Any,
        *,
        wire_format: WireFormat = WireFormat.JSON,
        answer_format: WireFormat | None = None,
        model: str | None = None,
        timeout_seconds: float = 60.0,
        **fields: Any,
    ) -> Reply:
        """Send one request; `fields` are those beside `data`."""
        call = PredictCall(
            model,
            None,
            (now := monotonic()) + timeout_seconds,
            body=to_body({"data": rows, **fields}, wire_format),
            body_format=wire_format,
            answer_format=answer_format or wire_format,
        )
        answer, _ = await self.predictor.predict(call, timings := Timings(now))
        return Reply(from_body(answer, call.answer_format), timings)

    async def ask_batch(
        self,
        members: list[dict[str, Any]],
        *,
        wire_format: WireFormat = WireFormat.JSON,
        timeout_seconds: float = 60.0,
    ) -> tuple[list[dict[str, Any]], list[Timings]]:
        """Send one batch of requests; give the results, and the timings of those answered."""
        call = PredictCall(
            None,
            None,
            (now := monotonic()) + timeout_seconds,
            body=to_body({"requests": members}, wire_format),
            body_format=wire_format,
            answer_format=wire_format,
        )
        pieces, answered = await self.batch_predictor.predict(call, Timings(now), "request-1")
        return from_body(b"".join(pieces), wire_format)["results"], answered


def json_call(body: bytes, model: str | None = None) -> PredictCall:
    """A body of JSON, to be answered in JSON within a minute."""
    return PredictCall(
        model,
        None,
        monotonic() + 60,
        body=body,
        body_format=WireFormat.JSON,
        answer_format=WireFormat.JSON,
    )


@pytest.fixture
async def serve(options: EngineOptions, graphs: GraphReader) -> AsyncIterator[Serve]:
    """Load the models under a path and answer; closed at the end of the test."""
    opened: list[Served] = []

    async def start(
        path: Path, options: EngineOptions = options, clock: Callable[[], float] = monotonic
    ) -> Served:
        served = Served(path, options, clock, graphs)
        opened.append(served)
        await served.repository.reload()
        return served

    yield start
    for served in opened:
        await served.repository.aclose()


def to_body(content: Any, wire_format: WireFormat) -> bytes:
    """Write a request; arrays go as lists in JSON, and as raw bytes in MessagePack."""
    if wire_format is WireFormat.JSON:
        return msgspec.json.encode(content, enc_hook=lambda array: array.tolist())
    return msgspec.msgpack.encode(content, enc_hook=_raw_tensor)


def from_body(body: bytes, wire_format: WireFormat) -> Any:
    """Read an answer."""
    decode = msgspec.json.decode if wire_format is WireFormat.JSON else msgspec.msgpack.decode
    return decode(body)


def to_array(value: Any) -> npt.NDArray[Any]:
    """Make an array of nested lists, or of a raw tensor."""
    if isinstance(value, dict):
        return np.frombuffer(value["data"], value["dtype"]).reshape(value["shape"])
    return np.asarray(value)


def _raw_tensor(array: npt.NDArray[Any]) -> Any:
    if array.dtype.hasobject:
        return array.tolist()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes()}
