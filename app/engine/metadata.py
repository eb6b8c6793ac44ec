"""What a model's metadata file says, held against what the ONNX file says.

All of it is optional. Where both speak of the same thing and differ, the model is not loaded: a
served model never contradicts its own description.
"""

from pathlib import Path
from typing import Any

import msgspec

from app.engine.tensor import TensorSpec
from app.errors import ModelLoadError


class ModelMetadata(msgspec.Struct, frozen=True):
    """Contents of `model_metadata.json` (or `metadata.json`); other keys are ignored.

    Attributes:
        model_name: Name on the wire; the file's or folder's name if left out.
        model_version: Likewise; the version folder's name, or "1".
        model_type: Such as "classifier" or "regressor"; information, but "classifier" makes a
            lone `[B, C]` output probabilities.
        input_shape: Sizes of the input, the batch first as null or -1.
        output_classes: Number of classes, or their labels in the order of the probabilities.
        features: Name of each feature.
        class_names: Name of each class.
        sample: Real rows, for `GET /sample`, warm-up and the batching proof.
    """

    model_name: str | None = None
    model_version: str | None = None
    model_type: str | None = None
    input_shape: list[int | None] | None = None
    output_classes: int | list[int | str] | None = None
    features: list[str] | None = None
    class_names: list[str] | None = None
    sample: list[Any] | None = None

    @property
    def num_classes(self) -> int | None:
        """Number of classes, if anything tells."""
        if isinstance(self.output_classes, int):
            return self.output_classes
        named = self.class_names if self.output_classes is None else self.output_classes
        return None if named is None else len(named)

    @property
    def class_labels(self) -> list[int | str] | None:
        """Labels in the order of the probabilities, where they are listed."""
        return self.output_classes if isinstance(self.output_classes, list) else None


def read_metadata(path: Path | None) -> ModelMetadata:
    """Read a metadata file; no path gives empty metadata.

    Raises:
        ModelLoadError: Not JSON, or a field of a wrong type; says which.
    """
    if path is None:
        return ModelMetadata()
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(f"{path.name}: {error}") from None
    except OSError as error:
        raise ModelLoadError(f"{path.name}: {error.strerror}") from None


def refine(spec: TensorSpec, metadata: ModelMetadata) -> TensorSpec:
    """Fill in sizes that the file leaves open and the metadata knows.

    Raises:
        ModelLoadError: A size that both give differs; names the field, expected and found.
    """
    said = metadata.input_shape
    if said is None and metadata.features is not None and len(spec.shape) == 2:
        said = [None, len(metadata.features)]
    if said is None:
        return spec
    wanted = [-1 if size is None else size for size in said]
    _agree("input_shape: number of dimensions", len(spec.shape), len(wanted))
    for axis in range(1, len(wanted)):
        if -1 not in (wanted[axis], spec.shape[axis]):
            _agree(f"input_shape[{axis}]", spec.shape[axis], wanted[axis])
    sizes = (w if s == -1 else s for s, w in zip(spec.shape[1:], wanted[1:], strict=True))
    refined = TensorSpec(spec.name, spec.dtype, (spec.shape[0], *sizes))
    if metadata.features is not None and len(refined.shape) == 2 and refined.shape[1] != -1:
        _agree("features: number of names", refined.shape[1], len(metadata.features))
    return refined


def check_classes(metadata: ModelMetadata, num_classes: int) -> None:
    """Hold the classes of the metadata against those of the model's probabilities.

    Raises:
        ModelLoadError: They differ; names the field, expected and found.
    """
    if metadata.num_classes is not None and metadata.output_classes is not None:
        _agree("output_classes", num_classes, metadata.num_classes)
    if metadata.class_names is not None:
        _agree("class_names: number of names", num_classes, len(metadata.class_names))


def _agree(field: str, expected: int, found: int) -> None:
    if expected != found:
        raise ModelLoadError(
            f"metadata: {field}: expected {expected} as in the ONNX file, found {found}"
        )
