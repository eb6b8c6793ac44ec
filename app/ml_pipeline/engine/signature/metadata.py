"""What a model's metadata file says, held against what the ONNX file says.

All of it is optional. Where both speak of the same thing and differ, the model is not loaded: a
served model never contradicts its own description.
"""

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ml_pipeline.engine.files.files_on_disk import LFS_POINTER
from ml_pipeline.engine.files.model_names import ADDRESSABLE, is_addressable
from ml_pipeline.engine.signature.tensor import TensorSpec
from ml_pipeline.errors import ModelLoadError

OWN_NAMES = ("model_metadata.json", "metadata.json")
"""Names that nobody else gives to a file beside a model; `NAME.json` may be anybody's."""


class OutputNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which output is what, where the graph does not tell, or tells something else.

    Attributes:
        predictions: Name of the output that answers.
        probabilities: Of that with the probability of each class.
        scores: Of that with numbers by which a class is chosen and which are no probabilities.
    """

    predictions: str | None = None
    probabilities: str | None = None
    scores: str | None = None


class DeclaredMetadata(msgspec.Struct, frozen=True):
    """Contents of `model_metadata.json` (or `metadata.json`); other keys are ignored.

    Attributes:
        model_name: Name on the wire; the file's or folder's name if left out. It may hold slashes.
        model_version: Likewise; the version folder's name, or "1".
        model_type: Such as "classifier" or "regressor"; information, but of a classifier a lone
            `[B, C]` output predicts the largest column.
        input_shape: Sizes of the input, the batch first as null or -1.
        output_classes: Number of classes, or their labels in the order of the probabilities.
        features: Name of each feature.
        class_names: Name of each class.
        outputs: Which output is what.
        sample: Real rows, for `GET /sample`, warm-up and the batching trial: of a lone input, or
            by the name of the input.
        batching: False runs each request alone; "accept" runs them together though an answer may
            then depend on its neighbours, and caches none that does.
        max_batch_size: Rows in a run at most, in place of MAX_BATCH_SIZE.
        sessions: ONNX Runtime sessions, in place of SESSIONS.
        cache: False never caches; true lets the Open Inference Protocol's requests, too, be
            answered from the cache without asking for it.
        priority_levels: How many priorities the Open Inference Protocol's requests may ask for, 1
            the soonest; without it what they ask for counts for nothing.
        warmup: Runs of each session before the model answers; some models are slow at first.
    """

    model_name: str | None = None
    model_version: str | None = None
    model_type: str | None = None
    input_shape: list[int | None] | None = None
    output_classes: int | list[int | str] | None = None
    features: list[str] | None = None
    class_names: list[str] | None = None
    outputs: OutputNames = OutputNames()
    sample: list[Any] | dict[str, list[Any]] | None = None
    batching: bool | Literal["accept"] = True
    max_batch_size: Annotated[int, Meta(ge=1, le=65536)] | None = None
    sessions: Annotated[int, Meta(ge=1, le=256)] | None = None
    cache: bool | None = None
    priority_levels: Annotated[int, Meta(ge=2, le=9)] | None = None
    warmup: Annotated[int, Meta(ge=1, le=10_000)] = 1

    def __post_init__(self) -> None:
        for field in ("model_name", "model_version"):
            if not is_addressable(getattr(self, field) or "a"):
                raise ValueError(f"{field}: {ADDRESSABLE}, found {getattr(self, field)[:64]!r}")

    @property
    def num_classes(self) -> int | None:
        """Number of classes, if anything tells."""
        if isinstance(self.output_classes, int):
            return self.output_classes
        named = self.class_names if self.output_classes is None else self.output_classes
        return None if named is None else len(named)

    @property
    def is_classifier(self) -> bool:
        """Whether it speaks of classes."""
        return self.class_names is not None or (self.model_type or "").startswith("classif")

    @property
    def class_labels(self) -> list[int | str] | None:
        """Labels in the order of the probabilities, where they are listed."""
        return self.output_classes if isinstance(self.output_classes, list) else None


def read_metadata(path: Path | None) -> DeclaredMetadata:
    """Read a metadata file; no path gives empty metadata.

    Raises:
        ModelLoadError: Not JSON, or a field of a wrong type; says which. A file called like the
            model that holds no object is none of ours.
    """
    if path is None:
        return DeclaredMetadata()
    try:
        content = path.read_bytes().removeprefix(BOM_UTF8)
        return msgspec.json.decode(content, type=DeclaredMetadata)
    except msgspec.ValidationError as error:
        if path.name in OWN_NAMES:
            raise ModelLoadError(f"{path.name}: {error}") from None
        if not content.lstrip().startswith(b"{"):
            return (
                DeclaredMetadata()
            )  # another program's, which happens to be called like the model
        raise ModelLoadError(
            f"{path.name}: {error}; it is read as the model's metadata, so a file of another "
            "program cannot have that name"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "a Git LFS pointer: git lfs pull" if content.startswith(LFS_POINTER) else error
        raise ModelLoadError(f"{path.name}: expected JSON, found: {found}") from None
    except OSError as error:
        raise ModelLoadError(f"{path.name}: {error.strerror}") from None


def refine(spec: TensorSpec, metadata: DeclaredMetadata) -> TensorSpec:
    """Fill in sizes that the file leaves open and the metadata knows.

    Raises:
        ModelLoadError: A size that both give differs; names the field, expected and found.
    """
    refined = spec if metadata.input_shape is None else _refine_by_shape(spec, metadata.input_shape)
    names = metadata.features
    if names is None or len(refined.shape) != 2:
        return refined
    if refined.shape[1] == -1:
        return TensorSpec(spec.name, spec.dtype, (spec.shape[0], len(names)))
    _agree("features: number of names", refined.shape[1], len(names))
    return refined


def _refine_by_shape(spec: TensorSpec, input_shape: list[int | None]) -> TensorSpec:
    said = [-1 if size is None else size for size in input_shape]
    if spec.ranked:
        _agree("input_shape: number of dimensions", len(spec.shape), len(said))
    else:
        spec = TensorSpec(spec.name, spec.dtype, (-1,) * len(said))
    for axis, (size, other) in enumerate(zip(spec.shape, said, strict=True)):
        if other < 1 and other != -1:
            raise ModelLoadError(
                f"metadata: input_shape[{axis}]: expected null or a size from 1 on, found {other}"
            )
        if -1 not in (size, other):
            _agree(f"input_shape[{axis}]", size, other)
    # The first size stays as the file has it: an exporter's example batch is no limit.
    sizes = (o if s == -1 else s for s, o in zip(spec.shape[1:], said[1:], strict=True))
    return TensorSpec(spec.name, spec.dtype, (*spec.shape[:1], *sizes))


def find_output(outputs: tuple[TensorSpec, ...], role: str, name: str | None) -> int | None:
    """Find the output that the metadata names for a role; None if it names none.

    Raises:
        ModelLoadError: There is no such output; names the field, expected and found.
    """
    if name is None:
        return None
    names = [spec.name for spec in outputs]
    if name not in names:
        expected = ", ".join(names)
        raise ModelLoadError(f"metadata: outputs.{role}: expected one of {expected}; found {name}")
    return names.index(name)


def check_classes(
    metadata: DeclaredMetadata, num_classes: int | None, labels: list[int | str] | None = None
) -> None:
    """Hold the classes of the metadata against those of the model.

    Args:
        metadata: What is said.
        num_classes: As the graph or its columns have it; None if neither tells.
        labels: Their labels, where the graph tells.

    Raises:
        ModelLoadError: They differ; names the field, expected and found.
    """
    if num_classes is None:
        return
    if metadata.output_classes is not None:
        _agree("output_classes", num_classes, metadata.num_classes)
    if labels is not None and metadata.class_labels is not None:
        _agree("output_classes", labels, metadata.class_labels)
    if metadata.class_names is not None:
        _agree("class_names: number of names", num_classes, len(metadata.class_names))


def _agree(field: str, expected: object, found: object) -> None:
    if expected != found:
        raise ModelLoadError(
            f"metadata: {field}: expected {expected} as in the ONNX file, found {found}"
        )
