"""A file becomes a model: read, open, check, sample, try, measure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.batching.batcher import Batcher
from ml_pipeline.engine.batching.cost_curve import CostCurve
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.files.files_on_disk import reason_of
from ml_pipeline.engine.files.model_content import FileTouched, ModelContent
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.interface import Interface, open_interface
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.source import EngineOptions, Source
from ml_pipeline.engine.model.warm_up import measure
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import read_metadata
from ml_pipeline.engine.trials.batching import why_alone
from ml_pipeline.errors import InferenceError, ModelLoadError

OnBatch = Callable[[str, str, BatchRecord], None]
"""Observer of finished runs: model name, version and record."""

OnDisproved = Callable[[bytes, str], None]
"""Told the first identity of a model whose rows turn out not to stay apart, and the reason."""


def load_model(
    file: ModelFile,
    options: EngineOptions,
    on_batch: OnBatch,
    on_disproved: OnDisproved,
    graphs: GraphReader,
) -> Model:
    """Read, open, check, try and measure a model; blocks for the time that takes, any thread.

    Raises:
        ModelLoadError: Whatever is in the way, such as a file that is missing or corrupt, or
            contradicts its metadata; names the file.
    """
    started = perf_counter()
    with _faults_told_of(file):
        if file.fault:
            raise ModelLoadError(file.fault)
        source, interface, reason = _read_untouched(file, options, graphs)
        curve = _measure(source, interface, batching=reason is None)
        proof = _proof(source)
        batcher = Batcher(
            source.pool,
            curve,
            source.options.batch,
            batching=reason is None,
            steady=interface.steady,
            proof=proof,
            # No lambdas: they would hold what they are made from for as long as the model lives.
            on_batch=partial(on_batch, source.name, source.version),
            on_disproved=partial(on_disproved, source.identity),
        )
        return Model(
            source,
            interface,
            batcher,
            curve,
            batching_reason=reason,
            proof=proof,
            load_seconds=perf_counter() - started,
        )


class _Read(NamedTuple):
    """A model that was read, opened and tried, of files that stayed as they were meanwhile."""

    source: Source
    interface: Interface
    batching_reason: str | None


def _read_untouched(file: ModelFile, options: EngineOptions, graphs: GraphReader) -> _Read:
    """Read a model; once more if a file was touched, as by a backup, which has done with it now."""
    with suppress(FileTouched):
        return _read(file, options, graphs)
    return _read(file, options, graphs)


def _read(file: ModelFile, options: EngineOptions, graphs: GraphReader) -> _Read:
    content = ModelContent(file.path, file.metadata_path)  # before anything is made of it
    source = _open(file, options, graphs, content)
    interface = open_interface(source)
    max_batch_size = source.options.batch.max_batch_size
    reason = why_alone(source.pool, interface.sample, source.metadata, source.graph, max_batch_size)
    content.check_unchanged()  # else the new file's key would lead to the old one's answers
    return _Read(source, interface, reason)


def _open(
    file: ModelFile, options: EngineOptions, graphs: GraphReader, content: ModelContent
) -> Source:
    """Read the graph and the metadata, and open the sessions."""
    graphs.ask(file.path)
    metadata = read_metadata(file.metadata_path)
    graph = graphs.answer()
    content.add_external(graph.external)
    options = options.of(metadata)
    pool = SessionPool(
        file.path,
        num_sessions=options.num_sessions,
        providers=options.providers,
        shared=content.num_bytes > options.share_weights_above_bytes,
        custom_ops=options.custom_ops,
    )
    return Source(file, metadata, graph, content.digest, options, pool)


def _measure(source: Source, interface: Interface, *, batching: bool) -> CostCurve:
    """Warm every session, and time runs of as many rows as will be run together."""
    most = source.options.batch.max_batch_size if batching else 1
    return measure(source.pool, interface.sample, most, num_warm_ups=source.metadata.warmup)


def _proof(source: Source) -> Proof | None:
    """Begin to prove in service what the graph does not show."""
    if source.graph.batching.verdict == "independent":
        return None
    return Proof(accepted=source.metadata.batching == "accept")


@contextmanager
def _faults_told_of(file: ModelFile) -> Iterator[None]:
    """Tell whatever goes wrong within as ModelLoadError, which names the file."""
    try:
        yield
    except InferenceError as error:
        raise ModelLoadError(f"{file.told}: {error.detail}") from None
    except OSError as error:  # gone, or replaced while it is read
        name = Path(error.filename or file.path).name
        beside = "" if name == file.path.name else f"{name}: "
        raise ModelLoadError(f"{file.told}: {beside}{reason_of(error)}") from None
    except Exception as error:  # a fault of ours: those that are served already go on
        raise ModelLoadError(f"{file.told}: {reason_of(error)}") from error
