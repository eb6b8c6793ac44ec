"""A file becomes a model: read, open, check, sample, try, measure."""

from pathlib import Path
from time import perf_counter

from ml_pipeline.engine.files.files_on_disk import reason_of
from ml_pipeline.engine.files.model_content import ModelContent
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
    try:
        if file.fault:
            raise ModelLoadError(file.fault)
        return _load(file, options, on_batch, on_disproved, graphs)
    except InferenceError as error:
        raise ModelLoadError(f"{file.told}: {error.detail}") from None
    except OSError as error:  # gone, or replaced while it is read
        name = Path(error.filename or file.path).name
        beside = "" if name == file.path.name else f"{name}: "
        raise ModelLoadError(f"{file.told}: {beside}{reason_of(error)}") from None
    except Exception as error:  # a fault of ours: those that are served already go on
        raise ModelLoadError(f"{file.told}: {reason_of(error)}") from error


def _load(
    file: ModelFile,
    options: EngineOptions,
    on_batch: OnBatch,
    on_disproved: OnDisproved,
    graphs: GraphReader,
) -> Model:
    started = perf_counter()
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
    model.open(options.batch, on_batch, on_disproved)
    model.load_seconds = perf_counter() - started
    return model
