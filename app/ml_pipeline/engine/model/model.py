"""One loaded model: its file, specs, sessions and batcher.

It is made by `load_model.py`. Whether requests share a run is decided in `batching.py`; where files
lie and which model answers is `repository.py`.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from math import prod
from types import TracebackType
from typing import Any

import msgspec
import onnxruntime as ort

from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.batching.batcher import Batcher
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.model.warm_up import measure
from ml_pipeline.engine.sessions.custom_ops import Library
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import ModelMetadata, read_metadata, refine
from ml_pipeline.engine.signature.tensor import Tensors, TensorSpec
from ml_pipeline.engine.trials.batching import domains_of, why_alone
from ml_pipeline.engine.trials.sample import sample_inputs
from ml_pipeline.engine.wire.answer import open_reader
from ml_pipeline.engine.wire.cache_key import identity
from ml_pipeline.engine.wire.codec import RequestCodec
from ml_pipeline.engine.wire.infer_request import InferReader
from ml_pipeline.engine.wire.json_pieces import HEAVY_VALUES
from ml_pipeline.errors import InvalidInput

OnBatch = Callable[[str, str, BatchRecord], None]
"""Observer of finished runs: model name, version and record."""

OnDisproved = Callable[[bytes, str], None]
"""Told the first identity of a model whose rows turn out not to stay apart, and the reason."""


class EngineOptions(msgspec.Struct, frozen=True):
    """How models are opened and run; made from the settings by `build.py`."""

    num_sessions: int
    providers: list[str]
    share_weights_above_bytes: int
    max_rows: int
    batch: BatchOptions
    custom_ops: tuple[Library, ...] = ()

    def of(self, metadata: ModelMetadata) -> "EngineOptions":
        """Those of one model, which may have some of its own."""
        batch = self.batch
        if metadata.max_batch_size is not None:
            batch = msgspec.structs.replace(batch, max_batch_size=metadata.max_batch_size)
        return msgspec.structs.replace(
            self, num_sessions=metadata.sessions or self.num_sessions, batch=batch
        )


class Model:
    """A model that answers. Made by `load_model`, used inside `with model:`.

    Mutable state: `num_users`, the requests that hold it, so that a reload can wait for the last;
    and what `disprove` changes.

    Attributes:
        file: Where it comes from.
        name: On the wire.
        version: On the wire.
        metadata: What its metadata file says.
        graph: What its graph says.
        digest: SHA-256 of the ONNX file, its external weights and the metadata, hex.
        identity: What goes into the keys of its answers; another one once batching is disproved.
        first_identity: The same until then.
        inputs: Specs, refined by the metadata.
        optional_inputs: Specs of those that need not be given.
        outputs: Specs.
        sample: Rows to try it with, by input.
        reader: Picks the answer out of the outputs.
        infer_reader: Decodes requests of the Open Inference Protocol.
        max_batch_size: Most rows that are run together.
        light_rows: Up to which an answer is not worth looking at: it is written in one go.
        cacheable: False where the graph is random, or the metadata says so.
        steady: Whether the number of rows tells what a run costs: not with free sizes or strings,
            nor with operators whose work depends on values.
        batching_reason: Why rows of several requests are not run together; None if they are.
        proof: Whether they may be, as far as service has shown; None where the graph shows it.
        disproof: Why they may not, found in service; empty if nothing was.
        load_seconds: From opening the file to ready.
    """

    def __init__(
        self,
        file: ModelFile,
        metadata: ModelMetadata,
        pool: SessionPool,
        graph: GraphReport,
        options: EngineOptions,
        *,
        digest: str,
    ) -> None:
        self.file, self.metadata, self.pool, self.graph = file, metadata, pool, graph
        self.name = file.called or metadata.model_name or file.name
        self.version = metadata.model_version or file.version
        self.digest = digest
        self.cacheable = metadata.cache is not False and not graph.random
        specs = tuple(_as_told(spec, graph) for spec in pool.sessions[0].inputs)
        self.inputs = (refine(specs[0], metadata),) if len(specs) == 1 else specs
        self.outputs = pool.sessions[0].outputs
        self.identity = self.first_identity = identity(
            *(self.name, self.version, self.digest, ort.__version__, *options.providers),
            *(library.digest for library in options.custom_ops),
        )
        self.sample = sample_inputs(pool, self.inputs, metadata.sample, domains_of(graph))
        self.reader = open_reader(pool, self.sample, graph.meanings, metadata)
        self.batching_reason = why_alone(
            pool, self.sample, metadata, graph, options.batch.max_batch_size
        )
        self.disproof = ""
        accepted, shown = metadata.batching == "accept", graph.batching.verdict == "independent"
        self.proof = None if shown else Proof(accepted=accepted)
        self.load_seconds = 0.0
        self.num_users = 0
        self._unused: asyncio.Event | None = None
        self._codec = None
        if len(specs) == 1 and specs[0].dtype != "bfloat16" and self.inputs[0].ranked:
            self._codec = RequestCodec(self.inputs[0], options.max_rows)
        self.optional_inputs = pool.sessions[0].optional_inputs
        self.infer_reader = InferReader(
            self.inputs, self.outputs, self.optional_inputs, options.max_rows
        )
        self.max_batch_size = options.batch.max_batch_size
        self.light_rows = _light_rows(self.outputs)
        self._max_rows = options.max_rows
        self._one_group = all(spec.settled for spec in self.inputs)
        has_strings = any(spec.dtype == "str" for spec in self.inputs)  # each as long as it likes
        rows_tell = self._one_group and not has_strings
        self.steady = rows_tell and not graph.unbounded

    def open(self, options: BatchOptions, on_batch: OnBatch, on_disproved: OnDisproved) -> None:
        """Measure the cost curve, warm every session, and start taking rows."""
        batching = self.batching_reason is None
        most = options.max_batch_size if batching else 1
        self.curve = measure(self.pool, self.sample, most, num_warm_ups=self.metadata.warmup)
        self.batcher = Batcher(
            self.pool,
            self.curve,
            options,
            batching=batching,
            steady=self.steady,
            proof=self.proof,
            # No lambdas: they would hold the model in a cycle.
            on_batch=partial(on_batch, self.name, self.version),
            on_disproved=partial(on_disproved, self.first_identity),
        )

    def disprove(self, reason: str) -> None:
        """Run each request alone from now on, and find nothing that caches hold so far.

        Args:
            reason: What was found in service.
        """
        self.disproof = reason
        self.batching_reason = f"found in service: {reason}"
        self.identity = identity(self.first_identity.hex(), "each request alone")
        self.proof = self.proof or Proof()
        self.proof.refuted = True
        self.batcher.stop_batching()

    @property
    def takes_rows(self) -> bool:
        """Whether `POST /predict` can fill it."""
        return self._codec is not None

    @property
    def codec(self) -> RequestCodec:
        """Decoder of `POST /predict` bodies. Raises InvalidInput if there are several inputs."""
        if self._codec is None:
            route = f"use /v2/models/{self.name}/infer"
            if len(self.inputs) == 1 and not self.inputs[0].ranked:
                raise InvalidInput(f"data: expected a model that tells its input's shape; {route}")
            if len(self.inputs) == 1:
                raise InvalidInput(f"data: expected no bfloat16 to be asked for in JSON; {route}")
            names = ": " + ", ".join(spec.name for spec in self.inputs) if self.inputs else ""
            raise InvalidInput(
                f"data: expected a model with one input, found {len(self.inputs)} in "
                f"{self.name}{names}; {route}"
            )
        return self._codec

    @property
    def sample_rows(self) -> Any:
        """Rows to try the model with, as a client would write them; needs `takes_rows`."""
        name, rows = self.inputs[0].name, self.metadata.sample
        if isinstance(rows, dict):
            rows = rows[name]
        return rows or self.sample[name].tolist()

    def group(self, inputs: Tensors) -> Hashable:
        """What requests must have in common to share a run: the sizes the signature leaves open.

        Who gives an optional input shares none: its value is for all rows of a run. Nor does who
        gives an input without values: that rows stay apart was not tried with it.
        """
        if len(inputs) > len(self.inputs):
            return object()
        if self._one_group:
            return ()
        if not all(array.size for array in inputs.values()):
            return object()
        return tuple(array.shape[1:] for array in inputs.values())

    def count_rows(self, inputs: Tensors) -> int:
        """Rows of a request: the first size of its inputs; 1 where that is fixed.

        Raises:
            InvalidInput: The inputs differ in it, or there are too many.
        """
        counts = {spec.name: len(inputs[spec.name]) for spec in self.inputs if spec.batched}
        num_rows = max(counts.values(), default=1)
        if self.batching_reason is None and min(counts.values()) != num_rows:
            found = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise InvalidInput(f"inputs: expected the same number of rows in each, found {found}")
        if num_rows > self._max_rows:
            raise InvalidInput(f"inputs: expected at most {self._max_rows} rows, found {num_rows}")
        return num_rows

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
        if self.num_users:
            self._unused = self._unused or asyncio.Event()
            await self._unused.wait()
        await self.batcher.aclose()
        self.pool.close()

    def __repr__(self) -> str:
        return f"<Model {self.name}/{self.version} [{self.num_users} users] {self.batcher!r}>"


def _light_rows(outputs: Sequence[TensorSpec]) -> int:
    if not all(spec.settled for spec in outputs):
        return 0
    return HEAVY_VALUES // max(sum(abs(prod(spec.shape)) for spec in outputs), 1)


def _as_told(spec: TensorSpec, graph: GraphReport) -> TensorSpec:
    """Tell apart a scalar from what has any shape, which ONNX Runtime does not."""
    return msgspec.structs.replace(spec, ranked=spec.name not in graph.shapeless)


def served_name(file: ModelFile) -> str:
    """Tell what a model is called on the wire.

    Raises:
        ModelLoadError: Its metadata cannot be read.
    """
    return file.called or read_metadata(file.metadata_path).model_name or file.name
