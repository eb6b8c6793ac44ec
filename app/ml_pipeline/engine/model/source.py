"""What a model is made of: its files, read and opened, and how its server wants it run."""

from typing import NamedTuple

import msgspec
import onnxruntime as ort

from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.report import GraphReport
from ml_pipeline.engine.sessions.custom_ops import Library
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import DeclaredMetadata
from ml_pipeline.engine.wire.cache_key import identity


class EngineOptions(msgspec.Struct, frozen=True):
    """How models are opened and run; made from the settings by `build.py`."""

    num_sessions: int
    providers: list[str]
    share_weights_above_bytes: int
    max_rows: int
    batch: BatchOptions
    custom_ops: tuple[Library, ...] = ()

    def of(self, metadata: DeclaredMetadata) -> "EngineOptions":
        """Those of one model, which may have some of its own."""
        batch = self.batch
        if metadata.max_batch_size is not None:
            batch = msgspec.structs.replace(batch, max_batch_size=metadata.max_batch_size)
        return msgspec.structs.replace(
            self, num_sessions=metadata.sessions or self.num_sessions, batch=batch
        )


class Source(NamedTuple):
    """What a model is made of.

    Attributes:
        file: Where it comes from.
        metadata: What its metadata file says.
        graph: What its graph says.
        digest: SHA-256 of the ONNX file, its external weights and the metadata, hex.
        options: Its own, where the metadata has some.
        pool: Its sessions.
    """

    file: ModelFile
    metadata: DeclaredMetadata
    graph: GraphReport
    digest: str
    options: EngineOptions
    pool: SessionPool

    @property
    def name(self) -> str:
        """On the wire."""
        return self.file.called or self.metadata.model_name or self.file.name

    @property
    def version(self) -> str:
        """On the wire."""
        return self.metadata.model_version or self.file.version

    @property
    def identity(self) -> bytes:
        """What tells its answers from those of every other model, and of every other build."""
        return identity(
            *(self.name, self.version, self.digest, ort.__version__, *self.options.providers),
            *(library.digest for library in self.options.custom_ops),
        )
