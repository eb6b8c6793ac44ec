"""A file becomes a model: read, open, check, sample, try, measure."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter

from ml_pipeline.engine.files.files_on_disk import reason_of
from ml_pipeline.engine.files.model_content import FileTouched, ModelContent
from ml_pipeline.engine.files.model_files import ModelFile
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.model import EngineOptions, Model, OnBatch, OnDisproved
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.metadata import read_metadata
from ml_pipeline.errors import InferenceError, ModelLoadError


def load_model(
    file: ModelFile,
    options: EngineOptions,
    on_batch: OnBatch,
    on_disproved: OnDisproved,
    graphs: GraphReader,
) -> Model:
    """Open, check, prove and warm a model; blocks for the time that takes, any thread.

    Raises:
        ModelLoadError: Whatever is in the way, such as a file that is missing or corrupt, or
            contradicts its metadata; names the file.
    """
    started = perf_counter()
    with _faults_told_of(file):
        if file.fault:
            raise ModelLoadError(file.fault)
        model = _make_untouched(file, options, graphs)
        model.open(options.of(model.metadata).batch, on_batch, on_disproved)
    model.load_seconds = perf_counter() - started
    return model


def _make_untouched(file: ModelFile, options: EngineOptions, graphs: GraphReader) -> Model:
    """Make a model; once more if a file was touched, as by a backup, which has done with it now."""
    with suppress(FileTouched):
        return _make(file, options, graphs)
    return _make(file, options, graphs)


def _make(file: ModelFile, options: EngineOptions, graphs: GraphReader) -> Model:
    """Make a model of files that stay as they are meanwhile."""
    content = ModelContent(file.path, file.metadata_path)  # before anything is made of it
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
    model = Model(file, metadata, pool, graph, options, digest=content.digest)
    content.check_unchanged()  # else the new file's key would lead to the old one's answers
    return model


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
