"""One loaded model: what is known of it, its sessions and its batcher.

It is made by `load_model.py`; where files lie and which model answers is `repository.py`.
"""

import asyncio
from collections.abc import Hashable, Sequence
from math import prod
from types import TracebackType
from typing import Any

from ml_pipeline.engine.batching.batcher import Batcher
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.model.interface import Interface
from ml_pipeline.engine.model.source import Source
from ml_pipeline.engine.signature.metadata import read_metadata
from ml_pipeline.engine.signature.tensor import Tensors, TensorSpec
from ml_pipeline.engine.wire.cache_key import identity
from ml_pipeline.engine.wire.codec import RequestCodec
from ml_pipeline.engine.wire.json_pieces import HEAVY_VALUES
from ml_pipeline.errors import InvalidInput


class Model:
    """A model that answers. Made by `load_model`, used inside `with model:`.

    It has more attributes than other classes: requests take from it whatever is known of the model,
    and each look into another object would be paid by each of them.

    Mutable state: `num_users`, the requests that hold it, so that a reload can wait for the last;
    and what `disprove` changes.

    Args:
        source: What it is made of.
        interface: What goes in and comes out.
        batcher: Takes its rows.
        curve: What a run costs, by its rows.
        batching_reason: Why rows of several requests are not run together; None if they are.
        proof: Whether they may be, as far as service has shown; None where the graph shows it.
        load_seconds: From opening the file to ready.

    Attributes:
        file, metadata, graph, digest, pool: As in `Source`.
        name: On the wire.
        version: On the wire.
        identity: What goes into the keys of its answers; another one once batching is disproved.
        first_identity: The same until then.
        inputs, optional_inputs, outputs, sample, reader, infer_reader, steady: As in `Interface`.
        max_batch_size: Most rows that are run together.
        light_rows: Up to which an answer is not worth looking at: it is written in one go.
        cacheable: False where the graph is random, or the metadata says so.
        disproof: Why rows may not share a run, found in service; empty if nothing was.
    """

    def __init__(
        self,
        source: Source,
        interface: Interface,
        batcher: Batcher,
        curve: CostCurve,
        *,
        batching_reason: str | None,
        proof: Proof | None,
        load_seconds: float,
    ) -> None:
        self.file, self.metadata, self.graph = source.file, source.metadata, source.graph
        self.name, self.version, self.digest = source.name, source.version, source.digest
        self.identity = self.first_identity = source.identity
        self.pool, self.batcher, self.curve = source.pool, batcher, curve
        self.inputs, self.optional_inputs = interface.inputs, interface.optional_inputs
        self.outputs, self.sample = interface.outputs, interface.sample
        self.reader, self.infer_reader = interface.reader, interface.infer_reader
        self.steady = interface.steady
        self.batching_reason, self.proof, self.disproof = batching_reason, proof, ""
        self.load_seconds = load_seconds
        self.max_batch_size = source.options.batch.max_batch_size
        self.light_rows = _light_rows(self.outputs)
        self.cacheable = self.metadata.cache is not False and not self.graph.random
        self.num_users = 0
        self._interface = interface
        self._codec = interface.codec
        self._one_group = interface.settled
        self._max_rows = source.options.max_rows
        self._unused: asyncio.Event | None = None

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
            raise self._interface.why_no_rows(self.name)
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


def served_name(file: ModelFile) -> str:
    """Tell what a model is called on the wire.

    Raises:
        ModelLoadError: Its metadata cannot be read.
    """
    return file.called or read_metadata(file.metadata_path).model_name or file.name
