"""One loaded model: its file, specs, sessions and batcher.

`load_model` is the whole story: read, open, check, sample, prove, measure. The trial runs are
`warm_up.py`; where files lie and which model answers is `repository.py`.
"""

import asyncio
import hashlib
import mmap
from collections.abc import Callable, Hashable
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import msgspec
import onnxruntime as ort

from app.engine.answer import AnswerReader
from app.engine.batcher import Batcher, BatchOptions, BatchRecord
from app.engine.cache_key import identity
from app.engine.codec import RequestCodec
from app.engine.metadata import ModelMetadata, check_classes, read_metadata, refine
from app.engine.session_pool import SessionPool
from app.engine.tensor import Tensors
from app.engine.warm_up import measure, prove_batching, sample_inputs
from app.errors import InvalidInput, ModelLoadError, RunFailed

RANDOM_OPERATORS = (b"RandomNormal", b"RandomUniform", b"Multinomial", b"Bernoulli")
"""Graphs that hold one of these give a new answer each time and are never cached.

Source: the ONNX operator list; the `…Like` variants share a prefix. They are looked for by name in
the file's bytes: another thing of that name costs the cache, and nothing else.
"""

OnBatch = Callable[[str, BatchRecord], None]
"""Observer of finished runs: model name and record."""


class ModelFile(msgspec.Struct, frozen=True):
    """A model on disk, and what it is called unless its metadata says otherwise."""

    name: str
    version: str
    path: Path
    metadata_path: Path | None


class EngineOptions(msgspec.Struct, frozen=True):
    """How models are opened and run; made from the settings by `main.py`."""

    num_sessions: int
    providers: list[str]
    share_weights_above_bytes: int
    max_rows: int
    batch: BatchOptions


class Model:
    """A model that answers. Made by `load_model`, used inside `with model:`.

    Mutable state: `num_users`, the requests that hold it, so that a reload can wait for the last.

    Attributes:
        name: On the wire.
        version: On the wire.
        metadata: What its metadata file says.
        digest: SHA-256 of the ONNX file and the metadata, hex.
        inputs: Specs, refined by the metadata.
        outputs: Specs.
        sample: Rows to try it with, by input.
        reader: Picks the answer out of the outputs.
        cacheable: False where the graph is random.
        batching_reason: Why rows of several requests are not run together; None if they are.
        load_seconds: From opening the file to ready.
    """

    def __init__(
        self, file: ModelFile, metadata: ModelMetadata, pool: SessionPool, options: EngineOptions
    ) -> None:
        self.metadata, self.pool = metadata, pool
        self.name = metadata.model_name or file.name
        self.version = metadata.model_version or file.version
        self.digest, self.cacheable = _read_file(file)
        specs = pool.sessions[0].inputs
        self.inputs = (refine(specs[0], metadata),) if len(specs) == 1 else specs
        self.outputs = pool.sessions[0].outputs
        self.identity = identity(
            self.name, self.version, self.digest, ort.__version__, *options.providers
        )
        self.sample = sample_inputs(self.inputs, metadata.sample)
        self.reader = _reader(pool, self.sample, metadata)
        self.batching_reason = prove_batching(pool, self.sample)
        if options.batch.max_batch_size == 1:
            self.batching_reason = "MAX_BATCH_SIZE is 1"
        self.load_seconds = 0.0
        self.num_users = 0
        self._unused: asyncio.Event | None = None
        self._codec = RequestCodec(self.inputs[0], options.max_rows) if len(specs) == 1 else None
        self._one_group = all(spec.settled for spec in self.inputs)

    def open(self, options: BatchOptions, on_batch: OnBatch) -> None:
        """Measure the cost curve, warm every session, and start taking rows."""
        batching = self.batching_reason is None
        self.curve = measure(self.pool, self.sample, options.max_batch_size if batching else 1)
        self.batcher = Batcher(
            self.pool,
            self.curve,
            options,
            batching=batching,
            on_batch=lambda record: on_batch(self.name, record),
        )

    @property
    def codec(self) -> RequestCodec:
        """Decoder of `POST /predict` bodies. Raises InvalidInput if there are several inputs."""
        if self._codec is None:
            names = ", ".join(spec.name for spec in self.inputs)
            raise InvalidInput(
                f"data: expected a model with one input, found {len(self.inputs)} in "
                f"{self.name}: {names}"
            )
        return self._codec

    @property
    def sample_rows(self) -> list[Any]:
        """Rows to try the model with, as a client would write them. Needs a lone input."""
        rows: list[Any] = self.metadata.sample or self.sample[self.inputs[0].name].tolist()
        return rows

    def group(self, inputs: Tensors) -> Hashable:
        """What requests must have in common to share a run: the sizes the signature leaves open."""
        if self._one_group:
            return ()
        return tuple(array.shape[1:] for array in inputs.values())

    def __enter__(self) -> "Model":
        """Hold the model: it stays open until the last holder leaves."""
        self.num_users += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the model."""
        self.num_users -= 1
        if self._unused is not None and not self.num_users:
            self._unused.set()

    async def aclose(self) -> None:
        """Wait for the requests that hold the model, then end its threads; idempotent."""
        while self.num_users:
            self._unused = asyncio.Event()
            await self._unused.wait()
        await self.batcher.aclose()
        self.pool.close()

    def __repr__(self) -> str:
        return f"<Model {self.name}/{self.version} [{self.num_users} users] {self.batcher!r}>"


def load_model(file: ModelFile, options: EngineOptions, on_batch: OnBatch) -> Model:
    """Open, check, prove and warm a model; blocks for the time that takes, any thread.

    Raises:
        ModelLoadError: The file is missing or corrupt, or contradicts its metadata.
    """
    started = perf_counter()
    metadata = read_metadata(file.metadata_path)
    if not file.path.is_file():
        raise ModelLoadError(f"{file.path}: expected an ONNX file, found none")
    pool = SessionPool(
        file.path,
        num_sessions=options.num_sessions,
        providers=options.providers,
        share_weights_above_bytes=options.share_weights_above_bytes,
    )
    model = Model(file, metadata, pool, options)
    model.open(options.batch, on_batch)
    model.load_seconds = perf_counter() - started
    return model


def _reader(pool: SessionPool, sample: Tensors, metadata: ModelMetadata) -> AnswerReader:
    """Learn from one run what the signature does not say: number and labels of the classes."""
    labels, num_classes = metadata.class_labels, None
    try:
        outputs = pool.sessions[0].run_raw(sample)
    except RunFailed:  # the batching proof will say so
        outputs = []
    for output in outputs:
        if isinstance(output, list):
            labels = list(output[0])
            num_classes = len(labels)
        elif output.ndim == 2 and output.dtype.kind == "f":
            num_classes = output.shape[1]
    reader = AnswerReader(
        pool.sessions[0].outputs,
        class_names=metadata.class_names,
        class_labels=labels,
        classifier=(metadata.model_type or "").startswith("classif"),
    )
    if num_classes is not None and reader.is_classifier:
        check_classes(metadata, num_classes)
    return reader


def _read_file(file: ModelFile) -> tuple[str, bool]:
    """Digest the model's files; tell whether the graph is free of random operators."""
    digest = hashlib.sha256()
    with (
        file.path.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        digest.update(content)
        is_random = any(content.find(name) != -1 for name in RANDOM_OPERATORS)
    if file.metadata_path is not None:
        digest.update(file.metadata_path.read_bytes())
    return digest.hexdigest(), not is_random
